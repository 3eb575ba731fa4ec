package load_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/load"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

func TestConformance(t *testing.T) { checktest.Family(t, load.Family()) }

var day = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const token = "planted-token-of-the-api-0001"

// scene is a real server under load, and what was said meanwhile.
type scene struct {
	env      checks.Env
	load     checks.Load
	asked    atomic.Int64
	warn     string // "" for the module's rule
	said     strings.Builder
	progress []checks.Progress
}

// newScene serves on loopback; the load is 200 requests at 2000 a second.
func newScene(t *testing.T, serve func(n int64, w http.ResponseWriter, r *http.Request)) *scene {
	t.Helper()
	// How many requests a busy machine sends in time is for one test alone.
	s := &scene{warn: "errors > 1% or p95_change > 20%"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(s.asked.Add(1), w, r) }))
	t.Cleanup(server.Close)
	s.load = checks.Load{
		Name: "it", URL: server.URL + "/api/courses", Users: 20, Requests: 10, Rate: 2000, Wait: 5 * time.Second, Abort: 10,
		Reference: "OPS-17", Until: day, Reports: t.TempDir(), Staging: true,
	}
	s.env = checks.Env{Dialer: &net.Dialer{}, Now: func() time.Time { return day }, Site: checks.SiteFacts{Allow: checks.Allow{ScanTargets: []string{"127.0.0.1"}}}}
	return s
}

func (s *scene) runner() *checks.Runner {
	s.env.Site.Loads = map[string]checks.Load{"it": s.load}
	return checks.NewRunner(s.env, nil)
}

func (s *scene) own() checks.Own {
	return checks.Own{Token: "opsdeck/0a1b2c3d", Out: &s.said, Progress: func(p checks.Progress) { s.progress = append(s.progress, p) }}
}

func (s *scene) check(t *testing.T) checks.Check {
	t.Helper()
	c, problems := checks.NewCheck(load.Run, "load-api", map[string]any{"load": "it"}, checks.Rules{Warn: checks.Rule{Text: s.warn}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func (s *scene) act(t *testing.T) checks.Result {
	t.Helper()
	return s.runner().Act(t.Context(), s.check(t), s.own())
}

func (s *scene) probe(t *testing.T) checks.Result {
	t.Helper()
	return s.runner().Probe(t.Context(), s.check(t), s.own(), checks.Rule{})
}

func num(t *testing.T, res checks.Result, name string) float64 {
	t.Helper()
	f, ok := res.Fact(name, "")
	if !ok {
		t.Fatalf("no %s: %v %s %s", name, res.Level, res.Note, res.Err)
	}
	return f.Num
}

func fine(w http.ResponseWriter) { fmt.Fprintln(w, `{"courses":[]}`) }

// TestALoadIsMeasuredAndItsTokenShownNowhere is the whole of it: preview, load,
// report, probe.
func TestALoadIsMeasuredAndItsTokenShownNowhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || !strings.Contains(r.UserAgent(), "opsdeck/0a1b2c3d") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fine(w)
	})
	s.load.Token, s.load.Rate = checks.NewSecret(token), 500
	before := s.runner().Preview(t.Context(), s.check(t), s.own())
	if before.Level != checks.OK || before.Target != "127.0.0.1" || s.asked.Load() != 0 || !strings.Contains(strings.Join(before.Detail, "\n"), "allowed by OPS-17") {
		t.Fatalf("%v %s %v, %d requests", before.Level, before.Err, before.Detail, s.asked.Load())
	}
	if p := s.probe(t); p.Level != checks.Crit {
		t.Errorf("before it was made the probe says %v", p.Level)
	}
	res := s.act(t)
	if res.Level != checks.OK || num(t, res, "requests") != 200 || num(t, res, "errors") != 0 || num(t, res, "p95") <= 0 || s.asked.Load() != 201 {
		t.Fatalf("%v %s %+v, %d requests", res.Level, res.Err, res.Facts, s.asked.Load())
	}
	if p := s.probe(t); p.Level != checks.OK || num(t, p, "requests") != 200 {
		t.Errorf("the probe says %v %s", p.Level, p.Err)
	}
	if last := s.progress[len(s.progress)-1]; last.Done != 200 || last.Total != 200 {
		t.Errorf("the last progress is %+v", last)
	}
	file, _ := res.Fact("report", "")
	kept, err := os.ReadFile(file.Text)
	info, _ := os.Stat(file.Text)
	if err != nil || !strings.Contains(string(kept), `"requests_sent": 200`) || info.Mode().Perm() != 0o600 {
		t.Errorf("%v\n%s", err, kept)
	}
	if all := string(kept) + cmp.Diff(checks.Result{}, res) + cmp.Diff(checks.Result{}, before) + s.said.String(); strings.Contains(all, token) {
		t.Error("the token is shown")
	}
}

// TestTheGuidesTokenLooksSuperb: the guide's own kind of tool is content with
// fast refusals, with its token for everybody to read in the list of processes.
func TestTheGuidesTokenLooksSuperb(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ab"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("there is no ab")
		}
		t.Skip("there is no ab")
	}
	s := newScene(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fine(w)
	})
	out, err := exec.Command("ab", "-n", "50", "-c", "5", "-H", "Authorization: Bearer TOKEN", s.load.URL).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Failed requests:        0") {
		t.Fatalf("%v\n%s", err, out)
	}
	s.asked.Store(0)
	s.load.Token = checks.NewSecret("TOKEN")
	res := s.act(t)
	if res.Level != checks.Crit || s.asked.Load() != 1 || !strings.Contains(strings.Join(res.Detail, ""), "status 401 Unauthorized") {
		t.Errorf("%v %s %v after %d requests", res.Level, res.Err, res.Detail, s.asked.Load())
	}
	if _, timed := res.Fact("p95", ""); timed {
		t.Error("the time of a refusal counts")
	}
}

func TestErrorsAreJudgedAndEndTheLoad(t *testing.T) {
	t.Parallel()
	every := func(n int64, code int) func(int64, http.ResponseWriter, *http.Request) {
		return func(i int64, w http.ResponseWriter, r *http.Request) {
			if i > 1 && i%n == 0 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(code)
				return
			}
			fine(w)
		}
	}
	for _, tt := range []struct {
		name    string
		serve   func(int64, http.ResponseWriter, *http.Request)
		abort   float64
		level   checks.Level
		aborted float64
		says    string
	}{
		{"one in two hundred", every(150, 500), 10, checks.OK, 0, "1 times status 500"},
		{"two in a hundred", every(50, 500), 10, checks.Warn, 0, "4 times status 500"},
		{"a redirect is no answer", every(50, 302), 10, checks.Warn, 0, "4 times status 302"},
		{"one in ten", every(10, 503), 50, checks.Crit, 0, "20 times status 503"},
		{"all from the fiftieth on", func(n int64, w http.ResponseWriter, _ *http.Request) {
			if n > 50 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			fine(w)
		}, 10, checks.Crit, 1, "status 502"},
		{"the connection is cut", func(n int64, w http.ResponseWriter, _ *http.Request) {
			if n > 50 {
				panic(http.ErrAbortHandler)
			}
			fine(w)
		}, 10, checks.Crit, 1, "connection closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tt.serve)
			s.load.Abort, s.load.Rate = tt.abort, 400
			res := s.act(t)
			if res.Level != tt.level || num(t, res, "aborted") != tt.aborted || !strings.Contains(strings.Join(res.Detail, "\n"), tt.says) {
				t.Errorf("%v %s %+v %v", res.Level, res.Err, res.Facts, res.Detail)
			}
			if sent := num(t, res, "requests"); (sent < 200) != (tt.aborted == 1) || s.asked.Load() > 130 && tt.aborted == 1 {
				t.Errorf("%v requests counted, %d sent", sent, s.asked.Load())
			}
			if p := s.probe(t); p.Level != checks.OK {
				t.Errorf("the probe says %v %s", p.Level, p.Err)
			}
		})
	}
}

// TestALoadThatHangsIsBrokenOff and does not wait for the answers under way.
func TestALoadThatHangsIsBrokenOff(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	s := newScene(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			fine(w)
			return
		}
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	t.Cleanup(func() { close(over) })
	s.load.Wait, s.load.Users, s.load.Requests = time.Second, 40, 50
	if res := s.act(t); res.Level != checks.Crit || num(t, res, "aborted") != 1 || num(t, res, "requests") > 100 || !strings.Contains(strings.Join(res.Detail, ""), "no answer in time") {
		t.Errorf("%v %s %+v %v", res.Level, res.Err, res.Facts, res.Detail)
	}
}

// TestALoadIsComparedWithTheLastFour of the same item in a real history.
func TestALoadIsComparedWithTheLastFour(t *testing.T) {
	t.Parallel()
	h, err := journal.OpenHistory(t.Context(), t.TempDir(), 10*365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := newScene(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { fine(w) })
	s.env.History, s.load.Until, s.load.Requests = h, day.AddDate(2, 0, 0), 1
	at := day
	s.env.Now = func() time.Time { return at }
	for quarter, want := range []float64{0, 1, 2, 3, 4, 4} {
		at = day.AddDate(0, 3*quarter, 0)
		res := s.act(t)
		if _, known := res.Fact("p95_change", ""); num(t, res, "runs") != want || known == (quarter == 0) {
			t.Errorf("the load of quarter %d was compared with %v: %s", quarter, num(t, res, "runs"), res.Err)
		}
		if err := h.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALoadThatIsSlowerThanBeforeWarns, by the median of the last four: what
// was before them is of no account.
func TestALoadThatIsSlowerThanBeforeWarns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before []float64 // milliseconds
		median float64
		level  checks.Level
	}{
		"slower": {[]float64{1e6, 1, 2, 3, 4}, 2.5, checks.Warn}, // every answer takes 20 ms or more
		"faster": {[]float64{1, 1e6, 2e6, 3e6, 4e6}, 2.5e6, checks.OK},
		"of two": {[]float64{1, 2}, 1.5, checks.Warn},
	} {
		h, err := journal.OpenHistory(t.Context(), t.TempDir(), 10*365*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for i, ms := range tt.before {
			h.Record("load-api", "p95", "", checks.Sample{At: day.AddDate(0, 3*(i-len(tt.before)), 0), Value: ms})
			h.Record("load-site", "p95", "", checks.Sample{At: day.AddDate(0, 3*(i-len(tt.before)), 0), Value: 20}) // another item's
		}
		s := newScene(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
			time.Sleep(20 * time.Millisecond)
			fine(w)
		})
		s.env.History, s.load.Requests = h, 1
		if res := s.act(t); res.Level != tt.level || num(t, res, "p95_before") != tt.median {
			t.Errorf("%s: %v, %v %s", name, res.Level, res.Facts, res.Err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestALoadThatCannotBeKeptUpIsSaidSo: the times of requests that had to wait
// for their turn are too good.
func TestALoadThatCannotBeKeptUpIsSaidSo(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		fine(w)
	})
	s.warn, s.load.Users, s.load.Requests = "", 2, 25
	if res := s.act(t); res.Level != checks.Warn || num(t, res, "pace") > 20 {
		t.Errorf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
}

func TestATargetThatCannotBeReached(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(int64, http.ResponseWriter, *http.Request) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.load.URL = "http://" + l.Addr().String()
	s.load.Wait = 100 * time.Millisecond
	if res := s.act(t); res.Level != checks.Unknown || res.Class != checks.Timeout {
		t.Errorf("silent: %v %s %s", res.Level, res.Class, res.Err)
	}
	l.Close()
	if res := s.act(t); res.Level != checks.Crit || !strings.Contains(strings.Join(res.Detail, ""), "connection refused") {
		t.Errorf("closed: %v %s", res.Level, res.Err)
	}
}

// TestTLSIsVerified, by an authority of the entry's own.
func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(int64, http.ResponseWriter, *http.Request) {})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fine(w) }))
	t.Cleanup(secure.Close)
	s.load.URL = secure.URL
	s.env.Now = time.Now
	s.load.Until = time.Now()
	if res := s.act(t); res.Level != checks.Unknown || res.Class != checks.TLS {
		t.Errorf("not trusted: %v %s %s", res.Level, res.Class, res.Err)
	}
	s.load.CA = t.TempDir() + "/ca.pem"
	write(t, s.load.CA, pemOf(secure.Certificate().Raw))
	if res := s.act(t); res.Level != checks.OK || num(t, res, "requests") != 200 {
		t.Errorf("trusted: %v %s %+v", res.Level, res.Err, res.Facts)
	}
}

// TestACancelledLoadStopsAndCountsNothing.
func TestACancelledLoadStopsAndCountsNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := newScene(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		if n == 30 {
			cancel()
		}
		fine(w)
	})
	s.load.Rate, s.load.Requests = 100, 1000
	res := s.runner().Act(ctx, s.check(t), s.own())
	if res.Level != checks.Unknown || len(res.Facts) != 0 || s.asked.Load() > 200 {
		t.Errorf("%v %s %+v after %d requests", res.Level, res.Note, res.Facts, s.asked.Load())
	}
	if p := s.probe(t); p.Level != checks.Crit {
		t.Errorf("the probe says %v", p.Level)
	}
}

func TestNothingIsLoadedThatNobodyAllowed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		with func(*checks.Load)
		says string
	}{
		"production":         {func(l *checks.Load) { l.Staging = false }, "production is never"},
		"a host not listed":  {func(l *checks.Load) { l.URL = "http://localhost:1/" }, "localhost is not under allow.scan_targets"},
		"no reference":       {func(l *checks.Load) { l.Reference = "" }, "nobody has allowed it"},
		"expired":            {func(l *checks.Load) { l.Until = day.AddDate(0, 0, -1) }, "ended on 2026-11-22"},
		"another's token":    {func(l *checks.Load) { l.Withheld = "no permission" }, "not for this user"},
		"nowhere to keep it": {func(l *checks.Load) { l.Reports = "" }, "nowhere to keep the report"},
		"no address":         {func(l *checks.Load) { l.URL = "localhost" }, "is no address"},
		"no requests":        {func(l *checks.Load) { l.Requests = 0 }, "are none"},
	} {
		s := newScene(t, func(int64, http.ResponseWriter, *http.Request) {})
		tt.with(&s.load)
		for what, res := range map[string]checks.Result{"preview": s.runner().Preview(t.Context(), s.check(t), s.own()), "load": s.act(t)} {
			if res.Level != checks.Unknown || !strings.Contains(res.Err, tt.says) || s.asked.Load() != 0 {
				t.Errorf("%s: the %s is %v: %s", name, what, res.Level, res.Err)
			}
		}
	}
	for _, p := range load.Run.Params {
		if p.Name != "load" {
			t.Errorf("load.run takes %s: an address comes from the site file only", p.Name)
		}
	}
}

func TestAReportThatIsHalfIsNoReport(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { fine(w) })
	write(t, s.load.Reports+"/it-opsdeck-0a1b2c3d.json", `{"token":"opsd`)
	if p := s.probe(t); p.Level != checks.Unknown {
		t.Errorf("the probe says %v", p.Level)
	}
	s.load.Reports += "/gone"
	if p := s.runner().Preview(t.Context(), s.check(t), s.own()); p.Level != checks.Unknown {
		t.Errorf("without a folder the preview is %v", p.Level)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
