package notify

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestAWebhooksStatusIsTheVerdict(t *testing.T) {
	t.Parallel()
	const huge = 1 << 30
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   checks.Level
		class  checks.Class
		says   string
		facts  string
		probe  checks.Level
	}{
		{"taken", func(w http.ResponseWriter, r *http.Request) {}, checks.OK, "", "accepted for 1 of 1", "delivered=1, refused=0, recipients=1, response=200 OK, done=true", checks.OK},
		{"taken without content", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, checks.OK, "", "", "delivered=1", checks.OK},
		{"broken", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no\nchannel", 500) }, checks.Crit, "", "refused 500 Internal Server Error no", "delivered=0, refused=1, done=false", checks.Crit},
		{"not allowed", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }, checks.Crit, "", "refused 403", "refused=1", checks.Crit},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/other" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, checks.Crit, "", "refused 307", "delivered=0, refused=1, response=307 Temporary Redirect", checks.Crit},
		{"hangs", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, checks.Unknown, checks.Timeout, "it may have taken the text", "delivered=0", checks.Unknown},
		{"hangs up", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, checks.Unknown, checks.Other, "it may have taken the text", "delivered=0", checks.Unknown},
		{"huge", func(w http.ResponseWriter, r *http.Request) {
			for range huge / (1 << 16) {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
			t.Error("all of it was read")
		}, checks.OK, "", "", "delivered=1", checks.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(tt.answer)
			defer srv.Close()
			env := environment(t, checks.Notify{Webhook: srv.URL + "/hook-secret"})
			res := act(t, env, 1200*time.Millisecond)
			expect(t, res, tt.want, tt.says, tt.facts)
			if res.Class != tt.class {
				t.Errorf("class %q: %s", res.Class, res.Err)
			}
			expect(t, probed(t, env), tt.probe, "", "")
		})
	}
}

func TestAWebhookGetsTheTextOnceWithItsKey(t *testing.T) {
	t.Parallel()
	type asked struct {
		key, kind string
		body      map[string]any
	}
	got := make(chan asked, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := asked{key: r.Header.Get("Idempotency-Key"), kind: r.Method + " " + r.Header.Get("Content-Type")}
		if err := json.NewDecoder(r.Body).Decode(&a.body); err != nil {
			t.Error(err)
		}
		got <- a
	}))
	defer srv.Close()
	env := environment(t, checks.Notify{Webhook: srv.URL + "/hook-secret"})
	expect(t, act(t, env, 2*time.Second), checks.OK, "", "")
	expect(t, act(t, env, 2*time.Second), checks.OK, "", "delivered=1")
	a := <-got
	if len(got) > 0 {
		t.Error("it was posted twice")
	}
	if a.kind != "POST application/json" || len(a.key) != 32 || a.body["site"] != "Advanced-LMS" || a.body["event"] != "notice" ||
		a.body["token"] != "opsdeck/test0001" || a.body["text"] != "The site closes at 02:00.\n.\nIt opens at 04:00." || a.body["at"] == nil {
		t.Errorf("%+v", a)
	}
	env = environment(t, checks.Notify{Webhook: srv.URL + "/hook-secret"})
	env.Token = "opsdeck/test0002"
	expect(t, act(t, env, 2*time.Second), checks.OK, "", "")
	if other := <-got; other.key == a.key {
		t.Error("another action has the same key")
	}
}

func TestAWebhookThatIsNotReachedIsKnownNotToHaveTheText(t *testing.T) {
	t.Parallel()
	tls := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for url, class := range map[string]checks.Class{tls.URL: checks.TLS, gone.URL: checks.Refused} {
		env := environment(t, checks.Notify{Webhook: url + "/hook-secret"})
		res := act(t, env, 2*time.Second)
		expect(t, res, checks.Unknown, "asking the webhook", "delivered=0")
		if res.Class != class {
			t.Errorf("class %q, want %q: %s", res.Class, class, res.Err)
		}
		expect(t, probed(t, env), checks.Crit, "", "done=false")
	}
}

// One way that fails does not keep the other from being used.
func TestMailAndWebhookStandForThemselves(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	refuses := (&sink{refuse: map[string]string{"MAIL": "550 no"}}).start(t)
	hangs := (&sink{hang: "connect"}).start(t)
	for addr, want := range map[string]checks.Level{refuses.addr: checks.Warn, hangs.addr: checks.Unknown, "127.0.0.1:1": checks.Unknown} {
		entry := people(&sink{addr: addr}, "smtp://ADDR")
		entry.Webhook = srv.URL
		env := environment(t, entry)
		expect(t, act(t, env, 2*time.Second), want, "", "delivered=1, recipients=3, done=true")
		expect(t, probed(t, env), checks.OK, "accepted for 1 of 3", "done=true")
	}
}

func TestWhatCannotBeSentIsRefusedBeforehand(t *testing.T) {
	t.Parallel()
	plain := checks.Notify{SMTP: "smtp://mail.example.com", From: "a@b.example", To: []string{"c@d.example"}}
	with := func(change func(*checks.Notify)) checks.Notify {
		n := plain
		change(&n)
		return n
	}
	tests := []struct {
		name  string
		entry checks.Notify
		want  checks.Level
		says  string
	}{
		{"fine", plain, checks.OK, "through mail.example.com:587"},
		{"smtps", with(func(n *checks.Notify) { n.SMTP = "smtps://mail.example.com" }), checks.OK, "through mail.example.com:465"},
		{"in the open", with(func(n *checks.Notify) { n.SMTP += "?tls=none" }), checks.OK, "careful: mail goes to mail.example.com without TLS"},
		{"webhook in the open", checks.Notify{Webhook: "http://chat.example.com/hook-secret"}, checks.OK, "careful: the webhook at chat.example.com is asked without TLS"},
		{"password in the open", with(func(n *checks.Notify) {
			n.SMTP, n.User, n.Password = n.SMTP+"?tls=none", "u", checks.NewSecret(planted)
		}), checks.Unknown, "a password is not sent without TLS"},
		{"line break in the sender", with(func(n *checks.Notify) { n.From = "a@b.example\r\nBcc: x@y.example" }), checks.Unknown, "is not an address"},
		{"line break in a name", with(func(n *checks.Notify) { n.To = []string{"\"x\r\nBcc: x@y.example\" <c@d.example>"} }), checks.Unknown, "is not an address"},
		{"nobody", with(func(n *checks.Notify) { n.To = nil }), checks.Unknown, "mail to nobody"},
		{"no server", with(func(n *checks.Notify) { n.SMTP = "mail.example.com" }), checks.Unknown, "its smtp is not"},
		{"no such TLS", with(func(n *checks.Notify) { n.SMTP += "?tls=some" }), checks.Unknown, "neither none nor starttls"},
		{"smtps without TLS", with(func(n *checks.Notify) { n.SMTP = "smtps://mail.example.com?tls=none" }), checks.Unknown, "always TLS"},
		{"no authorities", with(func(n *checks.Notify) { n.SMTP += "?ca=/nonexistent/ca.pem" }), checks.Unknown, "reading trusted certificates"},
		{"no webhook", checks.Notify{Webhook: "chat"}, checks.Unknown, "its webhook is not a URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expect(t, previewed(t, environment(t, tt.entry)), tt.want, tt.says, "") })
	}
	env := environment(t, plain)
	env.Site.Notify["all"] = plain
	expect(t, previewed(t, env), checks.Unknown, "name one of all, ops", "")
	env.Site.Notify = nil
	expect(t, previewed(t, env), checks.Skipped, "nobody to notify", "")
}

func TestTextsThatAPreviewCannotShowDoNotBind(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, subject, text, event, says string }{
		{"fine", "s", "t", "e", ""},
		{"second header", "s\r\nBcc: x@y.example", "t", "e", "more than one line"},
		{"no subject", " ", "t", "e", "is empty"},
		{"long subject", strings.Repeat("x", 201), "t", "e", "longer than 200"},
		{"escape in the subject", "s\x1b[31m", "t", "e", "cannot be shown"},
		{"no text", "s", "\n", "e", "the text is empty"},
		{"long text", "s", strings.Repeat("x\n", 160) + "x", "e", "more than 150 lines"},
		{"long line", "s", "a\n" + strings.Repeat("x", 1001), "e", "line 2 of the text is longer"},
		{"escape in the text", "s", "a\nb\x1b]0;x\x07", "e", "line 2 of the text has characters"},
		{"event of two words", "s", "t", "a b", "is not a word"},
	}
	for _, tt := range tests {
		_, problems := checks.NewCheck(Send, "x", map[string]any{"subject": tt.subject, "text": tt.text, "event": tt.event}, checks.Rules{})
		var all []string
		for _, p := range problems {
			all = append(all, p.Error())
		}
		if got := strings.Join(all, "; "); tt.says == "" && got != "" || !strings.Contains(got, tt.says) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"token":"opsdeck/x","id":"a","deliveries":[{"recipient":"a@b","via":"mail","state":"sending"}]}`))
	f.Add([]byte(`{"deliveries":[]}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		rec, err := parseRecord(raw)
		if err == nil && len(rec.Deliveries) == 0 {
			t.Error("a record of nobody")
		}
	})
}

func FuzzParseServer(f *testing.F) {
	for _, seed := range []string{"smtp://h", "smtps://h:1?ca=/x", "smtp://[::1]?tls=none", "smtp://h?tls=starttls", "://", "smtp://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseServer(checks.Notify{SMTP: text, User: "u"})
		if err == nil && (s.host == "" || s.port == "" || s.policy == noTLS && !loopback(s.host)) {
			t.Errorf("%q is %+v", text, s)
		}
	})
}
