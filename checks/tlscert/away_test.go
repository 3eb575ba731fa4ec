package tlscert

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

// TestNoRuleAboutTheTimeLeftIsGreenWhenUnreachable: a site's rules need not
// name reachable.
func TestNoRuleAboutTheTimeLeftIsGreenWhenUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	rules := checks.Rules{Warn: checks.Rule{Text: "left < 30d"}, Fail: checks.Rule{Text: "left < 7d"}}
	check, problems := checks.NewCheck(Expiry, "cert", map[string]any{"targets": []string{l.Addr().String()}}, rules)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if res := checktest.RunCheck(t, checks.NewRunner(checks.Env{Dialer: &net.Dialer{}}, nil), check); res.Level != checks.Unknown {
		t.Errorf("%v: %s", res.Level, res.Note)
	}
}

// TestAFailingResolverIsNotTheTarget: who could not be asked is not down.
func TestAFailingResolverIsNotTheTarget(t *testing.T) {
	env := checks.Env{Dialer: &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nobody answers")
	}}}}
	if res := run(t, env, 5*time.Second, map[string]any{"targets": []string{"lms.test.:443"}}); res.Level != checks.Unknown || res.Class != checks.DNS {
		t.Errorf("%v, %q: %s %s", res.Level, res.Class, res.Note, res.Err)
	}
	good := listen(t, serving(with(self(t, "127.0.0.1"))))
	res := run(t, env, 5*time.Second, map[string]any{"targets": []string{good, "lms.test.:443"}})
	if _, ok := res.Fact("left", good); !ok || res.Level != checks.Crit {
		t.Errorf("%v: %s %s", res.Level, res.Note, res.Err)
	}
}

// TestAPeerThatNeverFinishesIsUnreachable: in time, wherever it stops.
func TestAPeerThatNeverFinishesIsUnreachable(t *testing.T) {
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	says := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, text)
			silent(c)
		}
	}
	endless := func(c net.Conn) {
		for _, err := io.WriteString(c, "220-"); err == nil; {
			_, err = io.WriteString(c, "220-more\r\n")
		}
	}
	for name, target := range map[string]string{
		"no ServerHello":             listen(t, silent),
		"half a record":              listen(t, says("\x16\x03\x03")),
		"no greeting":                "smtp://" + listen(t, silent),
		"a greeting and no more":     "smtp://" + listen(t, says("220 mail\r\n")),
		"a greeting without an end":  "smtp://" + listen(t, endless),
		"no answer to SSLRequest":    "postgres://" + listen(t, silent),
		"a yes and then no TLS":      "postgres://" + listen(t, says("S")),
		"an error to SSLRequest":     "postgres://" + listen(t, says("E\x00\x00\x00\x04")),
		"what comes before STARTTLS": "smtp://" + listen(t, says("220 a\r\n250 b\r\n220 c\r\nMAIL FROM: injected\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := run(t, checks.Env{Dialer: &net.Dialer{}}, time.Second, map[string]any{"targets": []string{target}})
			_, left := res.Fact("left", target)
			if valid, ok := res.Fact("valid", target); res.Level != checks.Crit || left || !ok || valid.Bool() || strings.Contains(res.Err, "no answer within") {
				t.Errorf("%v: %s %s", res.Level, res.Note, res.Err)
			}
		})
	}
}
