package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

const planted = "planted-smtp-password"

// people is an entry with two recipients at the sink.
func people(s *sink, url string) checks.Notify {
	return checks.Notify{SMTP: strings.ReplaceAll(url, "ADDR", s.addr), From: "Ops Deck <opsdeck@example.com>", To: []string{"ada@example.com", "Grace <grace@example.com>"}}
}

func environment(t *testing.T, entry checks.Notify) checks.Env {
	return checks.Env{
		Root: "/", Dialer: &net.Dialer{}, Token: "opsdeck/test0001", Dir: t.TempDir(), Out: t.Output(),
		Site: checks.SiteFacts{Name: "Advanced-LMS", Notify: map[string]checks.Notify{"ops": entry}},
	}
}

func check(t *testing.T, raw map[string]any) checks.Check {
	t.Helper()
	if raw == nil {
		raw = map[string]any{"subject": "Wartung am Sonntag – 02:00", "text": "The site closes at 02:00.\n.\nIt opens at 04:00.", "event": "notice"}
	}
	c, problems := checks.NewCheck(Send, "tell", raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c.Timeout = 5 * time.Second
	return c
}

func act(t *testing.T, env checks.Env, timeout time.Duration) checks.Result {
	t.Helper()
	c := check(t, nil)
	c.Timeout = timeout
	return checks.NewRunner(env, nil).Act(t.Context(), c, env)
}

func probed(t *testing.T, env checks.Env) checks.Result {
	t.Helper()
	return checks.NewRunner(env, nil).Probe(t.Context(), check(t, nil), env, checks.Rule{})
}

func previewed(t *testing.T, env checks.Env) checks.Result {
	t.Helper()
	return checks.NewRunner(env, nil).Preview(t.Context(), check(t, nil), env)
}

func expect(t *testing.T, res checks.Result, want checks.Level, says, facts string) {
	t.Helper()
	raw, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(append(res.Detail, res.Err, res.Note), "\n")
	if res.Level != want || !strings.Contains(text, says) {
		t.Errorf("%v %s, want %v and %q\n%s", res.Level, res.Class, want, says, text)
	}
	if strings.Contains(string(raw), planted) || strings.Contains(string(raw), "hook-secret") {
		t.Errorf("a secret is in %s", raw)
	}
	for one := range strings.SplitSeq(facts, ", ") {
		name, value, asked := strings.Cut(one, "=")
		f, ok := res.Fact(name, "")
		if got := fmt.Sprint(f.JSON()); asked && (!ok || got != value) {
			t.Errorf("%s is %s (there: %v), want %s", name, got, ok, value)
		}
	}
}

func TestThePreviewShowsTheTextAndAllItIsFor(t *testing.T) {
	t.Parallel()
	s := (&sink{}).start(t)
	entry := people(s, "smtp://ADDR")
	entry.Webhook = "http://127.0.0.1:1/hook-secret"
	env := environment(t, entry)
	res := previewed(t, env)
	expect(t, res, checks.OK, "", "recipients=3")
	want := `From: "Ops Deck" <opsdeck@example.com> through ` + s.addr + `
To: ada@example.com by mail
To: grace@example.com by mail
To: http://127.0.0.1:1 by webhook
Subject: Wartung am Sonntag – 02:00

The site closes at 02:00.
.
It opens at 04:00.`
	if got := strings.Join(res.Detail, "\n"); got != want || res.Target != "ops" {
		t.Errorf("preview of %q:\n%s", res.Target, got)
	}
	if table, ok := res.Table("recipients"); !ok || len(table.Rows) != 3 {
		t.Errorf("recipients: %+v", table)
	}
	if s.commands() != "" {
		t.Errorf("the preview talked to the server: %s", s.commands())
	}
	entry.To = append(entry.To, "mallory@example.com")
	if other := previewed(t, environment(t, entry)); other.Fingerprint == res.Fingerprint {
		t.Error("one recipient more has the same fingerprint")
	}
	expect(t, probed(t, env), checks.Crit, "nothing was handed over", "done=false")
}

func TestAMailIsDeliveredByTLSWithLoginAndRecorded(t *testing.T) {
	t.Parallel()
	for _, mechs := range []string{"PLAIN LOGIN", "LOGIN"} {
		for _, implicit := range []bool{false, true} {
			s := (&sink{mechs: mechs, password: planted, implicit: implicit}).start(t)
			entry := people(s, map[bool]string{false: "smtp://ADDR?tls=starttls&ca=", true: "smtps://ADDR?ca="}[implicit]+s.ca)
			entry.User, entry.Password = "opsdeck", checks.NewSecret(planted)
			env := environment(t, entry)
			res := act(t, env, 5*time.Second)
			expect(t, res, checks.OK, "accepted for 2 of 2", "delivered=2, refused=0, recipients=2, response=250 2.0.0 queued as 4711, done=true")
			expect(t, probed(t, env), checks.OK, "accepted for 2 of 2", "done=true, delivered=2")
			received := s.received()
			if len(received) != 1 || !s.secure[0] {
				t.Fatalf("%d mails, by TLS: %v", len(received), s.secure)
			}
			whole(t, received[0])
			if info, err := os.Stat(filepath.Join(env.Dir, recordName)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the record: %v %v", info, err)
			}
		}
	}
}

// whole reads a mail as its receiver would.
func whole(t *testing.T, raw string) {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(msg.Body)
	if err != nil || !strings.Contains(string(body), "The site closes at 02:00.\r\n.\r\nIt opens at 04:00.") {
		t.Errorf("the body is %q, %v", body, err)
	}
	for name, want := range map[string]string{
		"From": `"Ops Deck" <opsdeck@example.com>`, "Auto-Submitted": "auto-generated", "X-Opsdeck-Event": "notice", "X-Opsdeck-Token": "opsdeck/test0001",
	} {
		if got := msg.Header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	id := (message{site: "Advanced-LMS", name: "ops", event: "notice"}).id("opsdeck/test0001")
	if got := msg.Header.Get("Message-Id"); got != "<"+id+"@example.com>" {
		t.Errorf("Message-ID is %q", got)
	}
}

func TestWhatTheMailServerSaysIsTheVerdict(t *testing.T) {
	t.Parallel()
	long := map[string]string{"EHLO": "250-" + strings.Repeat("x", 2<<20)}
	tests := []struct {
		name        string
		sink        *sink
		query       string
		want        checks.Level
		class       checks.Class
		says, facts string
		probe       checks.Level // crit: known not to be out; unknown: nobody knows
		mails       int
	}{
		{"one recipient refused", &sink{refuse: map[string]string{"grace@example.com": "550 5.1.1 no such user"}}, "", checks.Warn, "", "grace@example.com: refused 550 5.1.1 no such user", "delivered=1, refused=1, done=true", checks.OK, 1},
		{"all recipients refused", &sink{refuse: map[string]string{"RCPT": "451 4.7.1 greylisted"}}, "", checks.Crit, "", "ada@example.com: refused 451 4.7.1 greylisted", "delivered=0, refused=2, done=false", checks.Crit, 0},
		{"the sender refused", &sink{refuse: map[string]string{"MAIL": "553 5.7.1 not you"}}, "", checks.Crit, "", "553 5.7.1 not you", "delivered=0, refused=2, response=553 5.7.1 not you", checks.Crit, 0},
		{"the text refused", &sink{refuse: map[string]string{".": "554 5.7.1 spam"}}, "", checks.Crit, "", "554 5.7.1 spam", "delivered=0, refused=2", checks.Crit, 1},
		{"no text wanted", &sink{refuse: map[string]string{"DATA": "452 4.3.1 disk full"}}, "", checks.Crit, "", "452 4.3.1 disk full", "refused=2", checks.Crit, 0},
		{"closes after the text", &sink{end: "."}, "", checks.Unknown, checks.Other, "it may have been delivered: it closed the connection", "delivered=0, done=false", checks.Unknown, 1},
		{"hangs after the text", &sink{hang: "."}, "", checks.Unknown, checks.Timeout, "it may have been delivered: no answer in time", "delivered=0", checks.Unknown, 1},
		{"closes before the text", &sink{end: "DATA"}, "", checks.Unknown, checks.Other, "handing over the text: it closed the connection", "delivered=0, refused=0", checks.Crit, 0},
		{"closes at a recipient", &sink{end: "RCPT"}, "", checks.Unknown, checks.Other, "handing over a recipient", "delivered=0", checks.Crit, 0},
		{"hangs from the start", &sink{hang: "connect"}, "", checks.Unknown, checks.Timeout, "greeting: no answer in time", "delivered=0", checks.Crit, 0},
		{"hangs at the sender", &sink{hang: "MAIL"}, "", checks.Unknown, checks.Timeout, "handing over the sender: no answer in time", "delivered=0", checks.Crit, 0},
		{"hangs at the end", &sink{hang: "QUIT"}, "", checks.OK, "", "accepted for 2 of 2", "delivered=2", checks.OK, 1},
		{"offers no STARTTLS", &sink{noTLS: true}, "?tls=starttls", checks.Unknown, checks.TLS, "offers no STARTTLS, and nothing is sent in clear", "delivered=0", checks.Crit, 0},
		{"a certificate of nobody", &sink{}, "?tls=starttls", checks.Unknown, checks.TLS, "certificate signed by unknown authority", "delivered=0", checks.Crit, 0},
		{"talks without end", &sink{refuse: long}, "", checks.Unknown, checks.Limit, "talks without end", "delivered=0", checks.Crit, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.sink.start(t)
			env := environment(t, people(s, "smtp://ADDR"+tt.query))
			res := act(t, env, 1500*time.Millisecond)
			expect(t, res, tt.want, tt.says, tt.facts)
			if res.Class != tt.class {
				t.Errorf("class %q: %s", res.Class, res.Err)
			}
			expect(t, probed(t, env), tt.probe, "", "")
			if got := len(s.received()); got != tt.mails {
				t.Errorf("%d mails", got)
			}
		})
	}
}

func TestAWrongPasswordIsAnAuthError(t *testing.T) {
	t.Parallel()
	tests := []struct{ mechs, says string }{
		{"PLAIN", "refuses the login of opsdeck: 535 5.7.8"}, {"LOGIN", "refuses the login of opsdeck: 535 5.7.8"},
		{"NTLM", "no way to log in that is safe"}, {"", "no way to log in"},
	}
	for _, tt := range tests {
		s := (&sink{mechs: tt.mechs, password: "another"}).start(t)
		entry := people(s, "smtp://ADDR?tls=starttls&ca="+s.ca)
		entry.User, entry.Password = "opsdeck", checks.NewSecret(planted)
		env := environment(t, entry)
		res := act(t, env, 2*time.Second)
		expect(t, res, checks.Unknown, tt.says, "delivered=0")
		if res.Class != checks.Auth {
			t.Errorf("%q: class %q", tt.mechs, res.Class)
		}
		expect(t, probed(t, env), checks.Crit, "", "done=false")
	}
}

func TestAServerThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	env := environment(t, checks.Notify{SMTP: "smtp://" + l.Addr().String(), From: "a@b.example", To: []string{"c@d.example"}})
	res := act(t, env, 2*time.Second)
	expect(t, res, checks.Unknown, "connecting to the mail server", "delivered=0, done=false")
	if res.Class != checks.Refused {
		t.Errorf("class %q", res.Class)
	}
	expect(t, probed(t, env), checks.Crit, "", "done=false")
}

func TestNothingIsSentTwiceByOneAction(t *testing.T) {
	t.Parallel()
	s := (&sink{}).start(t)
	env := environment(t, people(s, "smtp://ADDR"))
	expect(t, act(t, env, 2*time.Second), checks.OK, "", "delivered=2")
	expect(t, act(t, env, 2*time.Second), checks.OK, "accepted for 2 of 2", "delivered=2")
	if n := len(s.received()); n != 1 {
		t.Errorf("%d mails", n)
	}
	lost := (&sink{end: "."}).start(t)
	env = environment(t, people(lost, "smtp://ADDR"))
	expect(t, act(t, env, 2*time.Second), checks.Unknown, "may have been delivered", "")
	expect(t, act(t, env, 2*time.Second), checks.Unknown, "may have been delivered", "")
	if n := len(lost.received()); n != 1 {
		t.Errorf("%d mails after the answer was lost", n)
	}
}

func TestWithoutARecordNothingIsSent(t *testing.T) {
	t.Parallel()
	s := (&sink{}).start(t)
	env := environment(t, people(s, "smtp://ADDR"))
	env.Dir = filepath.Join(env.Dir, "not-there")
	res := act(t, env, 2*time.Second)
	expect(t, res, checks.Unknown, "writing the delivery record", "delivered=0")
	for _, env := range []checks.Env{{}, {Token: "opsdeck/x"}, {Dir: t.TempDir()}} {
		env.Root, env.Dialer, env.Site = "/", &net.Dialer{}, checks.SiteFacts{Notify: map[string]checks.Notify{"ops": people(s, "smtp://ADDR")}}
		expect(t, act(t, env, 2*time.Second), checks.Unknown, "a notice is an action", "")
	}
	if len(s.received()) != 0 {
		t.Error("something was sent")
	}
}

func TestCancellingBeforeTheTextSendsNothing(t *testing.T) {
	t.Parallel()
	s := (&sink{hang: "MAIL"}).start(t)
	entry := people(s, "smtp://ADDR")
	asked := make(chan struct{}, 1)
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer hook.Close()
	entry.Webhook = hook.URL
	env := environment(t, entry)
	ctx, cancel := context.WithCancel(t.Context())
	env.Out = writer(func(line string) {
		if strings.HasPrefix(line, "connecting") {
			cancel()
		}
	})
	res := checks.NewRunner(env, nil).Act(ctx, check(t, nil), env)
	expect(t, res, checks.Unknown, "canceled", "delivered=0, refused=0")
	env.Out = nil
	expect(t, probed(t, env), checks.Crit, "", "done=false")
	if len(asked) > 0 {
		t.Error("the webhook was asked")
	}
}

type writer func(string)

func (w writer) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }

func TestAfterAKillTheProbeTellsWhatIsKnown(t *testing.T) {
	t.Parallel()
	s := (&sink{hang: "."}).start(t)
	env := environment(t, people(s, "smtp://ADDR"))
	cmd := exec.Command(os.Args[0], "-test.run", "^TestHelper$")
	cmd.Env = []string{"OPSDECK_TEST_SINK=" + s.addr, "OPSDECK_TEST_DIR=" + env.Dir}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.arrived:
	case <-time.After(30 * time.Second):
		t.Error("nothing was sent")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the step ended by itself")
	}
	res := probed(t, env)
	expect(t, res, checks.Unknown, "handed over for 2 without an answer: it may have been delivered", "done=false")
	expect(t, act(t, env, 2*time.Second), checks.Unknown, "may have been delivered", "")
	if len(s.received()) != 1 {
		t.Error("it was sent again")
	}
}

func TestHelper(t *testing.T) {
	addr := os.Getenv("OPSDECK_TEST_SINK")
	if addr == "" {
		t.Skip("run by TestAfterAKillTheProbeTellsWhatIsKnown")
	}
	env := environment(t, people(&sink{addr: addr}, "smtp://ADDR"))
	env.Dir = os.Getenv("OPSDECK_TEST_DIR")
	act(t, env, time.Minute)
}
