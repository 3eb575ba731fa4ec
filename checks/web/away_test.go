package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

// closed is an address that nobody listens on.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func runWith(t *testing.T, e checks.Env, m *checks.Module, raw map[string]any, fail string) checks.Result {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, raw, checks.Rules{Fail: checks.Rule{Text: fail}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	check.Timeout = 2 * time.Second
	return checktest.RunCheck(t, checks.NewRunner(e, nil), check)
}

// TestNoRuleIsGreenWithoutAnAnswer: a site's rule need not name ok.
func TestNoRuleIsGreenWithoutAnAnswer(t *testing.T) {
	address := closed(t)
	page := map[string]any{"url": "http://" + address, "expect": map[string]any{"json": map[string]any{"$.db": "ok"}}}
	port := map[string]any{"targets": []string{address}}
	for _, tt := range []struct {
		module *checks.Module
		raw    map[string]any
		fail   string
		want   checks.Level
	}{
		{Get, page, "status != 200", checks.Unknown}, {Get, page, "status >= 500", checks.Unknown}, {Get, page, "first_byte > 1s", checks.Unknown},
		{Get, page, "connect > 1s", checks.Unknown}, {Get, page, "size < 1KiB", checks.Unknown},
		{Get, page, "body_ok == false", checks.Crit}, {Get, page, "dependency == false", checks.Crit},
		{Connect, port, "connect > 1s", checks.Unknown},
	} {
		if res := runWith(t, env(), tt.module, tt.raw, tt.fail); res.Level != tt.want {
			t.Errorf("%s, fail %s: %v, %s; want %v", tt.module.Name, tt.fail, res.Level, res.Note, tt.want)
		}
	}
}

// TestAFailingResolverIsNotTheTarget: who could not be asked is not down. A
// name that the resolver says does not exist is.
func TestAFailingResolverIsNotTheTarget(t *testing.T) {
	t.Parallel()
	via := func(server string) checks.Env {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", server)
		}}
		return checks.Env{Root: "/", Dialer: &net.Dialer{Resolver: r}, Resolver: r}
	}
	for name, tt := range map[string]struct {
		server string
		want   checks.Level
		class  checks.Class
	}{
		"refuses":           {closed(t), checks.Unknown, checks.DNS},
		"says no such name": {resolver(t, true), checks.Crit, ""},
		"gives no answer":   {resolver(t, false), checks.Unknown, checks.DNS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for m, raw := range map[*checks.Module]map[string]any{Get: {"url": "http://gone.test./"}, Connect: {"targets": []string{"gone.test.:80"}}} {
				if res := runWith(t, via(tt.server), m, raw, ""); res.Level != tt.want || res.Class != tt.class {
					t.Errorf("%s: %v, %q: %s %s", m.Name, res.Level, res.Class, res.Note, res.Err)
				}
			}
		})
	}
}

func TestOneTargetThatCannotBeResolvedHidesNoOther(t *testing.T) {
	r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}
	}}
	srv := site(t)
	open := strings.TrimPrefix(srv.URL, "http://")
	res := runWith(t, checks.Env{Root: "/", Dialer: &net.Dialer{Resolver: r}}, Connect, map[string]any{"targets": []string{open, "gone.test.:80"}}, "")
	ok, _ := res.Fact("ok", open)
	if res.Level != checks.Crit || !ok.Bool() || res.Why[0].Label != "gone.test.:80" {
		t.Errorf("%v: %s %+v", res.Level, res.Note, res.Why)
	}
}

// TestHeadersWithoutAnEndAreCutOff: in time and in memory.
func TestHeadersWithoutAnEndAreCutOff(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"headers": "HTTP/1.1 200 OK\r\n", "one line": "HTTP/1.1 200 OK\r\nX: ", "informational answers": ""} {
		more := map[string]string{"headers": "X-A: b\r\n", "one line": strings.Repeat("x", 512), "informational answers": "HTTP/1.1 103 Early Hints\r\n\r\n"}[name]
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for _, err := io.WriteString(conn, first); err == nil; {
				_, err = io.WriteString(conn, more)
			}
		}))
		res := run(t, Get, 5*time.Second, map[string]any{"url": srv.URL})
		if why, _ := res.Fact("reason", ""); res.Level != checks.Crit || why.Text == "" || why.Text == "no answer in time" {
			t.Errorf("%s: %v, %s", name, res.Level, res.Note)
		}
		srv.Close()
	}
}
