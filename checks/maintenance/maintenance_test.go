package maintenance

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

func TestAFlagClosesTheSiteAndItsRemovalOpensIt(t *testing.T) {
	t.Parallel()
	s := nginx(t, byFlag)
	before := s.preview(t, Enable)
	level(t, "preview", before, checks.OK, "careful: only the pages are closed")
	assert(t, before, "status=200 closed=false exempt_ok=true since=absent")
	if before.Target != strings.TrimPrefix(s.base, "http://") || before.Fingerprint != s.file+" "+s.base+"/" || before.Locks[0] != "file:"+s.file {
		t.Errorf("target %q, fingerprint %q, locks %q", before.Target, before.Fingerprint, before.Locks)
	}
	level(t, "probe before", s.probe(t, Enable), checks.Crit, "")

	res := s.act(t, Enable)
	level(t, "enable", res, checks.OK, "503, exempt 200")
	assert(t, res, "status=503 retry_hint=true retry_after=900000 exempt_ok=true closed=true was_closed=false closed_by=opsdeck/test0001 done=true")
	level(t, "probe", s.probe(t, Enable), checks.OK, "")
	content, err := os.ReadFile(s.file)
	if err != nil || !strings.HasPrefix(string(content), "opsdeck/test0001\nclosed 2") {
		t.Errorf("the flag says %q, %v", content, err)
	}
	info, err := os.Stat(s.file)
	if err != nil {
		t.Fatal(err)
	}

	s.env.Token = "opsdeck/test0002"
	level(t, "second preview", s.preview(t, Enable), checks.OK, "by opsdeck/test0001")
	again := s.act(t, Enable)
	assert(t, again, "was_closed=true status=503 closed_by=opsdeck/test0001")
	if after, err := os.Stat(s.file); err != nil || !os.SameFile(info, after) || !after.ModTime().Equal(info.ModTime()) {
		t.Errorf("the flag of the first was touched: %v", err)
	}

	level(t, "probe of opening, while closed", s.probe(t, Disable), checks.Crit, "")
	level(t, "preview of opening", s.preview(t, Disable), checks.OK, "by opsdeck/test0001")
	open := s.act(t, Disable)
	level(t, "disable", open, checks.OK, "200")
	assert(t, open, "status=200 closed=false was_closed=true closed_by=opsdeck/test0001 done=true")
	level(t, "probe of opening", s.probe(t, Disable), checks.OK, "")
	assert(t, s.act(t, Disable), "status=200 was_closed=false since=absent")
}

func TestASnippetClosesTheSiteAfterAReload(t *testing.T) {
	t.Parallel()
	s := nginx(t, bySnippet)
	level(t, "preview", s.preview(t, Enable), checks.OK, `if ($uri = "/health")`)
	res := s.act(t, Enable)
	level(t, "enable", res, checks.OK, "503, exempt 200")
	assert(t, res, "status=503 retry_after=1.8e+06 exempt_ok=true was_closed=false closed_by=opsdeck/test0001")
	if health, err := http.Get(s.base + "/health"); err != nil || health.Header.Get("Retry-After") != "" {
		t.Errorf("the health check is told to come back later: %v", err)
	}
	again := s.act(t, Enable)
	assert(t, again, "status=503 was_closed=true")
	open := s.act(t, Disable)
	level(t, "disable", open, checks.OK, "200")
	assert(t, open, "status=200 closed=false was_closed=true")
	if content, err := os.ReadFile(s.file); err != nil || string(content) != opened {
		t.Errorf("the open snippet is %q, %v", content, err)
	}
	assert(t, s.act(t, Enable), "status=503 was_closed=false")
	assert(t, s.act(t, Disable), "status=200 was_closed=true")
	if left, err := filepath.Glob(filepath.Join(s.dir, "conf.d", ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A kill between the rename and the reload leaves a snippet that nobody read.
func TestASnippetThatWasNotReadYetIsFinishedByDoingItAgain(t *testing.T) {
	t.Parallel()
	s := nginx(t, bySnippet)
	s.write(t, "conf.d/maintenance.conf", "# opsdeck/killed\nset $x 1; return 503;\n")
	s.write(t, "conf.d/.maintenance.conf.opsdeck.tmp", "half of")
	killed := s.probe(t, Enable)
	level(t, "probe", killed, checks.Crit, "does not heed it")
	assert(t, killed, "done=false closed=true status=200")
	s.write(t, "conf.d/maintenance.conf", "# opsdeck/killed\n# closed\nset $r 60;\nif ($uri = \"/health\") { set $r \"\"; }\nadd_header Retry-After $r always;\nif ($r) { return 503; }\n")
	res := s.act(t, Enable)
	assert(t, res, "done=true was_closed=true status=503 closed_by=opsdeck/killed")
	assert(t, s.act(t, Disable), "done=true")
	if left, err := filepath.Glob(filepath.Join(s.dir, "conf.d", ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestASnippetThatNginxRefusesIsTakenBack(t *testing.T) {
	t.Parallel()
	const old = "# the site's own words\n"
	for _, there := range []bool{true, false} {
		s := nginx(t, bySnippet)
		if there {
			s.write(t, "conf.d/maintenance.conf", old)
		}
		s.write(t, "conf.d/maintenance2.conf", "no_such_directive;\n")
		res := s.act(t, Enable)
		level(t, "enable", res, checks.Unknown, "reloading by reload failed with exit code 1: nginx: [emerg] unknown directive")
		content, err := os.ReadFile(s.file)
		if there && string(content) != old || !there && !os.IsNotExist(err) {
			t.Errorf("the old snippet is %q, %v", content, err)
		}
		assert(t, s.probe(t, Enable), "done=false closed=false status=200 exempt_ok=true")
	}
}

// What was opened stays open in the file: nothing closes it again by itself.
func TestOpeningIsNotTakenBackWhenNginxRefuses(t *testing.T) {
	t.Parallel()
	s := nginx(t, bySnippet)
	assert(t, s.act(t, Enable), "status=503")
	s.write(t, "conf.d/maintenance2.conf", "no_such_directive;\n")
	level(t, "disable", s.act(t, Disable), checks.Unknown, "is open again, but the web server was not told")
	assert(t, s.probe(t, Disable), "done=false closed=false status=503")
	if err := os.Remove(filepath.Join(s.dir, "conf.d/maintenance2.conf")); err != nil {
		t.Fatal(err)
	}
	level(t, "disable again", s.act(t, Disable), checks.OK, "200")
}

func TestAPageThatIsNotAsItShouldBeIsCriticalOrWarned(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, server string
		want         checks.Level
		says, facts  string
	}{
		{"nginx ignores the flag", `location = /health { return 200; }`, checks.Crit, "does not heed it", "status=200 closed=true done=false"},
		{"the health check is closed too", `if (-f maintenance.flag) { return 503; }`, checks.Crit, "the exempt URL answers 503", "status=503 exempt_ok=false"},
		{"the health check is not there", `location = /health { return 404; }` + strings.ReplaceAll(byFlag, "location = /health", "location = /other"), checks.Crit, "the exempt URL answers 404", "exempt_ok=false"},
		{"another status", `location = /health { return 200; } if (-f maintenance.flag) { return 404; }`, checks.Crit, "", "status=404 done=false"},
		{"a redirect is not followed", `location = /health { return 200; } location = / { if (-f maintenance.flag) { return 302 /health; } }`, checks.Crit, "", "status=302 done=false"},
		{"no hint when to come back", `location = /health { return 200; } location = / { if (-f maintenance.flag) { return 503; } }`, checks.Warn, "", "status=503 retry_hint=false retry_after=absent done=true"},
		{"a hint that is none", `location = /health { return 200; } location = / { add_header Retry-After soon always; if (-f maintenance.flag) { return 503; } }`, checks.Warn, "", "retry_hint=false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := nginx(t, tt.server)
			c := check(t, Enable)
			c.Timeout = 1500 * time.Millisecond
			res := checks.NewRunner(s.env, nil).Act(t.Context(), c, s.env)
			level(t, "enable", res, tt.want, tt.says)
			assert(t, res, tt.facts)
		})
	}
}

// away is a scene whose web server is not nginx.
func away(t *testing.T, handler http.Handler) *scene {
	t.Helper()
	s := nginxless(t)
	if handler != nil {
		srv := httptest.NewServer(handler)
		t.Cleanup(srv.Close)
		s.base = srv.URL
	}
	s.page(checks.MaintenancePage{Flag: s.file})
	return s
}

func TestASiteThatDoesNotAnswerIsCriticalWhenClosedAndOpened(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hang := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release })
	for name, handler := range map[string]http.Handler{"cannot connect": nil, "no answer in time": hang} {
		s := away(t, handler)
		level(t, "preview", s.preview(t, Enable), checks.OK, "careful: the page does not answer: "+name)
		c := check(t, Enable)
		c.Timeout = 1200 * time.Millisecond
		res := checks.NewRunner(s.env, nil).Act(t.Context(), c, s.env)
		level(t, "enable", res, checks.Crit, name)
		assert(t, res, "answered=false status=absent exempt_ok=false done=false closed=true")
		c = check(t, Disable)
		c.Timeout = 1200 * time.Millisecond
		level(t, "disable", checks.NewRunner(s.env, nil).Act(t.Context(), c, s.env), checks.Crit, name)
		level(t, "probe", checks.NewRunner(s.env, nil).Probe(t.Context(), c, s.env, checks.Rule{}), checks.Crit, "")
		if _, err := os.Stat(s.file); !os.IsNotExist(err) {
			t.Error("the flag is still there")
		}
	}
	close(release)
}

func TestAFailingResolverIsUnknown(t *testing.T) {
	t.Parallel()
	s := away(t, nil)
	s.env.Dialer.Resolver = brokenResolver()
	p := s.env.Site.Maintenance["web"]
	p.URL = "http://lms.example.com/"
	s.env.Site.Maintenance["web"] = p
	res := s.preview(t, Enable)
	level(t, "preview", res, checks.Unknown, "the resolver fails")
	if res.Class != checks.DNS {
		t.Errorf("class %q", res.Class)
	}
	level(t, "preview of opening", s.preview(t, Disable), checks.OK, "careful: the resolver fails")
	level(t, "probe", s.probe(t, Enable), checks.Unknown, "the resolver fails")
}

func TestCancellingTakesBackWhatWasMade(t *testing.T) {
	t.Parallel()
	for _, server := range []string{strings.ReplaceAll(byFlag, "503", "404"), bySnippet} {
		s := nginx(t, server)
		if server == bySnippet { // closed in a way that is never good: the wait goes on
			p := s.env.Site.Maintenance["web"]
			p.Exempt = s.base + "/nothing"
			s.env.Site.Maintenance["web"] = p
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		own := s.env
		own.Progress = func(checks.Progress) { cancel() }
		res := checks.NewRunner(s.env, nil).Act(ctx, check(t, Enable), own)
		level(t, "enable", res, checks.Unknown, "canceled")
		if _, err := os.Stat(s.file); !os.IsNotExist(err) {
			t.Errorf("%s is still there", s.file)
		}
		c := check(t, Disable)
		level(t, "the site", checks.NewRunner(s.env, nil).Act(t.Context(), c, s.env), map[bool]checks.Level{true: checks.Warn, false: checks.OK}[server == bySnippet], "200")
	}
}

func TestWhatSomebodyElseClosedIsLeftAndOpenedWithAWarning(t *testing.T) {
	t.Parallel()
	s := nginx(t, byFlag)
	s.write(t, "maintenance.flag", "gone fishing\x1b[31m\n")
	assert(t, s.act(t, Enable), "was_closed=true status=503")
	res := s.preview(t, Disable)
	level(t, "preview", res, checks.OK, "careful: opsdeck did not put it there: ")
	level(t, "preview", res, checks.OK, "  gone fishing")
	level(t, "disable", s.act(t, Disable), checks.OK, "200")

	s = nginx(t, bySnippet)
	s.write(t, "conf.d/maintenance.conf", "client_max_body_size 1m;\n")
	level(t, "preview", s.preview(t, Enable), checks.Unknown, "holds directives that opsdeck did not write")
	level(t, "enable", s.act(t, Enable), checks.Unknown, "not overwritten")
	s.write(t, "conf.d/maintenance.conf", "if ($uri != /health) { return 503; }\n")
	if _, err := execute(t.Context(), checks.Call{Argv: s.env.Site.Commands["reload"].Argv}); err != nil {
		t.Fatal(err)
	}
	p, err := open(s.env, checks.Args{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if v, err := p.await(t.Context(), s.env, closedWell); err != nil || v.status != 503 {
		t.Fatalf("%+v %v", v, err)
	}
	assert(t, s.act(t, Enable), "was_closed=true status=503")
	level(t, "preview", s.preview(t, Disable), checks.OK, "careful: opsdeck did not put it there")
	level(t, "disable", s.act(t, Disable), checks.OK, "200")
}

func TestOnlyTheNamedOrTheOnlyPageIsMeant(t *testing.T) {
	t.Parallel()
	s := away(t, nil)
	bind := func(page string) checks.Check {
		c, problems := checks.NewCheck(Disable, "x", map[string]any{"page": page}, checks.Rules{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return c
	}
	ask := func(page string) checks.Result {
		return checks.NewRunner(s.env, nil).Preview(t.Context(), bind(page), s.env)
	}
	level(t, "named", ask("web"), checks.OK, "is not there: nothing is removed")
	level(t, "unknown", ask("api"), checks.Skipped, `no maintenance page "api"`)
	s.env.Site.Maintenance["api"] = checks.MaintenancePage{Snippet: "/x", URL: "http://a/", Exempt: "http://a/h", Reload: "none"}
	level(t, "several", ask(""), checks.Unknown, "name one of api, web")
	level(t, "without its command", ask("api"), checks.Unknown, `the command "none"`)
	s.env.Site.Maintenance = nil
	level(t, "none", ask(""), checks.Skipped, "no maintenance pages")
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 11, 29, 1, 0, 0, 0, time.UTC)
	tests := []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"900", 15 * time.Minute, true}, {"0", 0, true}, {"Sun, 29 Nov 2026 02:30:00 GMT", 90 * time.Minute, true},
		{"Sun, 29 Nov 2026 00:30:00 GMT", 0, true}, {"", 0, false}, {"soon", 0, false}, {"-5", 0, false}, {"4000000000", 0, false}, {"1.5", 0, false},
	}
	for _, tt := range tests {
		if got, ok := retryAfter(tt.text, now); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q is %v, %v", tt.text, got, ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"900", "Sun, 29 Nov 2026 02:30:00 GMT", "", "-1", "99999999999999999999"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 29, 1, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if after, ok := retryAfter(text, now); ok && (after < 0 || after > maxHint) {
			t.Errorf("%q is %v", text, after)
		}
	})
}

func FuzzContentOfAFile(f *testing.F) {
	f.Add([]byte(signature("opsdeck/abc", time.Time{})))
	f.Add([]byte("# opsdeck/abc\nreturn 503;"))
	f.Add([]byte(opened))
	f.Fuzz(func(t *testing.T, content []byte) {
		by := author(content)
		if by != "" && (!strings.HasPrefix(by, "opsdeck/") || len(by) > 30) {
			t.Errorf("%q is by %q", content, by)
		}
		directives(content)
	})
}
