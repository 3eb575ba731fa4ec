package nginx

import (
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestFamily(t *testing.T) { checktest.Family(t, Family()) }

// site is a directory with an access log and the site file that knows it.
type site struct {
	dir string
	env checks.Env
}

func newSite(t *testing.T, lines ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	s.env = checks.Env{Root: "/", Now: func() time.Time { return now }, Site: checks.SiteFacts{
		Logs: map[string]checks.LogSource{"nginx": {Name: "nginx", Paths: []string{s.path("access.log")}, Format: "combined", Zone: time.UTC}},
	}}
	s.write(t, "access.log", lines)
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(t *testing.T, name string, lines []string) {
	t.Helper()
	f, err := os.Create(s.path(name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := strings.Join(lines, "\n") + "\n"
	if len(lines) == 0 {
		text = ""
	}
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(f)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func at(ago time.Duration, client, target string, status int) string {
	return fmt.Sprintf(`%s - - [%s] "GET %s HTTP/1.1" %d 10 "https://x/?sql=../" "agent <script>"`, client, now.Add(-ago).Format("02/Jan/2006:15:04:05 -0700"), target, status)
}

func want(t *testing.T, r checks.Result, level checks.Level, facts map[string]float64) {
	t.Helper()
	if r.Level != level {
		t.Errorf("the verdict is %v, expected %v: %s %s %v", r.Level, level, r.Note, r.Err, r.Facts)
	}
	for name, number := range facts {
		f, ok := r.Fact(name, "")
		if !ok || f.Num != number {
			t.Errorf("%s = %v (there: %v), expected %v", name, f.Num, ok, number)
		}
	}
}

func TestLatencyOfTheWholeWeekIsAPercentile(t *testing.T) {
	s := newSite(t)
	s.env.Site.Logs["nginx"] = checks.LogSource{Paths: []string{s.path("access.log")}, Latency: "Response-Time", Zone: time.UTC}
	file := func(name string, ago time.Duration, n int, took string) {
		var lines []string
		for range n {
			lines = append(lines, at(ago, "192.0.2.1", "/", 200)+" Response-Time: "+took)
		}
		s.write(t, name, lines)
	}
	file("access.log", time.Hour, 60, "0.010")
	file("access.log.1", 30*time.Hour, 30, "0.020")
	file("access.log.2.gz", 60*time.Hour, 10, "3.000")
	r := checktest.Run(t, s.env, Latency, nil)
	ms := float64(time.Millisecond)
	want(t, r, checks.Crit, map[string]float64{"samples": 100, "absent": 0})
	for name, number := range map[string]float64{"p50": 10, "p95": 3000, "max": 3000} {
		if f, _ := r.Fact(name, ""); f.Dur() != time.Duration(number*ms) {
			t.Errorf("%s = %s", name, f.Dur())
		}
	}
	r = checktest.Run(t, s.env, Latency, map[string]any{"window": "2h"})
	want(t, r, checks.OK, map[string]float64{"samples": 60})
}

func TestNoSamplesAreUnknownAndNotZero(t *testing.T) {
	for name, lines := range map[string][]string{
		"the default format has no time": {at(time.Minute, "192.0.2.1", "/", 200)},
		"nothing in the window":          {at(9*24*time.Hour, "192.0.2.1", "/", 200)},
		"an empty file":                  {},
		"another format":                 {"2026-11-24T11:59:00Z hello"},
	} {
		s := newSite(t, lines...)
		if r := checktest.Run(t, s.env, Latency, nil); r.Level != checks.Unknown || len(r.Facts) > 0 {
			t.Errorf("%s: %v %v", name, r.Level, r.Facts)
		}
		if r := checktest.Run(t, s.env, Rate, map[string]any{"window": "30s"}); r.Level != checks.Unknown {
			t.Errorf("%s: rate %v %v", name, r.Level, r.Facts)
		}
	}
}

// The guide's own line, on the format that nginx has by default.
func TestGuidesAverageDividesByZero(t *testing.T) {
	s := newSite(t, at(time.Minute, "192.0.2.1", "/", 200))
	out, _ := exec.Command("sh", "-c", `grep "Response-Time:" "$0" | awk '{sum+=$NF; count++} END {print sum/count}'`, s.path("access.log")).CombinedOutput() //nolint:errcheck // mawk says 0, gawk says 2
	if text := string(out); !strings.Contains(text, "nan") && !strings.Contains(text, "division by zero") {
		t.Errorf("it says %q", text)
	}
	if r := checktest.Run(t, s.env, Latency, nil); r.Level != checks.Unknown {
		t.Errorf("nginx.latency is %v", r.Level)
	}
}

// The guide's "../" as a regular expression.
func TestDotDotSlashDoesNotMatchEveryLine(t *testing.T) {
	lines := []string{at(2*time.Minute, "192.0.2.1", "/courses/1", 200), at(time.Minute, "192.0.2.9", "/files/../../etc/shadow", 404)}
	s := newSite(t, lines...)
	out, err := exec.Command("grep", "-c", "../", s.path("access.log")).Output()
	if err != nil || strings.TrimSpace(string(out)) != "2" {
		t.Errorf("grep counts %q, %v", out, err)
	}
	r := checktest.Run(t, s.env, Patterns, map[string]any{"rules": []any{"traversal"}})
	want(t, r, checks.OK, map[string]float64{"matches": 1, "requests": 2, "answered": 0})
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		name, target, rule string
		matches            bool
	}{
		{"encoded", "/a/%2e%2e%2fetc", "traversal", true},
		{"encoded twice", "/a/%252e%252e%252fetc", "traversal", true},
		{"plain", "/a/../etc", "traversal", true},
		{"ordinary dots", "/v1.2/x..y/z", "traversal", false},
		{"a course", "/courses/sql-basics", "sql", false},
		{"an attack on a course", "/courses/1?id=1+union+select+1", "sql", true},
		{"comments for spaces", "/x?id=1/**/union/**/select", "sql", true},
		{"a dump", "/backup.sql", "sql", true},
		{"not the word", "/mysqlish", "sql", false},
		{"not the route", "/coursesql/sql", "sql", true},
		{"climbing out of a known route", "/courses/../../x", "traversal", true},
		{"javascript", "/static/javascript/description-of-transcript.js", "script", false},
		{"a script", "/s?q=%3CScRiPt%3E", "script", true},
		{"a script encoded twice", "/s?q=%253Cscript%253E", "script", true},
		{"nginx's own escape", `/s?q=\x3Cscript`, "script", true},
		{"broken encoding", "/s?q=%%3%zz%", "script", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, at(time.Minute, "192.0.2.1", tt.target, 404))
			s.env.Site.Nginx.Routes = []string{"/courses"}
			r := checktest.Run(t, s.env, Patterns, map[string]any{"rules": []any{tt.rule}})
			if f, _ := r.Fact("matches", ""); (f.Num == 1) != tt.matches {
				t.Errorf("matches = %v: %s", f.Num, r.Err)
			}
		})
	}
}

func TestAnswersDecideHowBadARequestWas(t *testing.T) {
	s := newSite(t, at(time.Minute, "192.0.2.1", "/x?f=../y", 200))
	want(t, checktest.Run(t, s.env, Patterns, nil), checks.Warn, map[string]float64{"answered": 1, "admin": 0})
	s = newSite(t, at(time.Minute, "192.0.2.1", "/%61dmin/x?f=../y", 200))
	want(t, checktest.Run(t, s.env, Patterns, nil), checks.Crit, map[string]float64{"answered": 1, "admin": 1})
	var burst []string
	for range 5 {
		burst = append(burst, at(10*time.Second, "192.0.2.1", "/x?f=../y", 500))
	}
	s = newSite(t, burst...)
	want(t, checktest.Run(t, s.env, Patterns, nil), checks.Crit, map[string]float64{"answered": 0, "burst_5xx": 5})
}

func TestEscapeCodesOfALogLineDoNotReachTheTerminal(t *testing.T) {
	s := newSite(t, at(time.Minute, "192.0.2.1", "/\x1b[2J\x1b]0;owned\a../x", 200))
	r := checktest.Run(t, s.env, Patterns, nil)
	table, ok := r.Table("requests")
	if !ok || len(table.Rows) != 1 {
		t.Fatalf("%v %s", r.Tables, r.Err)
	}
	if text := fmt.Sprint(table.Rows, r.Detail, r.Note); strings.ContainsAny(text, "\x1b\a") {
		t.Errorf("%q", text)
	}
}

func TestSharesOfErrors(t *testing.T) {
	lines := []string{at(week, "192.0.2.1", "/", 200)}
	for i := range 100 {
		status, target := 200, "/"
		switch {
		case i < 2:
			status = 502
		case i < 5:
			status = 403
		case i < 25:
			status, target = 404, "/logo.png?v=1"
		}
		lines = append(lines, at(time.Minute, "192.0.2.1", target, status))
	}
	s := newSite(t, lines...)
	want(t, checktest.Run(t, s.env, Rate, nil), checks.Warn, map[string]float64{"requests": 100, "errors_5xx": 2, "errors_4xx": 3, "missing_assets": 20})
}

func TestLessThanAThirdOfLastWeekIsAmber(t *testing.T) {
	var lines []string
	for range 3600 {
		lines = append(lines, at(week, "192.0.2.1", "/", 200))
	}
	for range 30 {
		lines = append(lines, at(time.Minute, "192.0.2.1", "/", 200))
	}
	s := newSite(t, lines...)
	want(t, checktest.Run(t, s.env, Rate, nil), checks.Warn, map[string]float64{"last_week": 1, "of_last_week": 10})
}

func TestClientsBehindATrustedProxy(t *testing.T) {
	line := func(forwarded string) string {
		return at(time.Minute, "10.0.0.2", "/", 200) + ` "` + forwarded + `"`
	}
	var lines []string
	for i := range 10 {
		lines = append(lines, line(fmt.Sprintf("192.0.2.%d", i)))
	}
	lines = append(lines, line("203.0.113.66, 192.0.2.1"), line("6.6.6.6, 192.0.2.1, 10.0.0.3"))
	s := newSite(t, lines...)
	s.env.Site.Nginx.Format = combined + ` "$http_x_forwarded_for"`
	r := checktest.Run(t, s.env, TopClients, nil)
	want(t, r, checks.Warn, map[string]float64{"clients": 1, "top_share": 100})
	if !strings.Contains(strings.Join(r.Detail, "\n"), "nginx.trusted") {
		t.Errorf("nothing says that it may be a proxy: %v", r.Detail)
	}
	s.env.Site.Nginx.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	r = checktest.Run(t, s.env, TopClients, nil)
	want(t, r, checks.Warn, map[string]float64{"clients": 10, "top_share": 25, "unattributed": 0})
	if f, _ := r.Fact("top_client", ""); f.Text != "192.0.2.1" {
		t.Errorf("the top client is %s: a client's own word was taken", f.Text)
	}
	s.write(t, "access.log", []string{line("-"), line("")})
	want(t, checktest.Run(t, s.env, TopClients, nil), checks.Warn, map[string]float64{"unattributed": 100})
}

func TestJSONAccessLog(t *testing.T) {
	s := newSite(t, `{"time_iso8601":"2026-11-24T11:59:30+00:00","remote_addr":"192.0.2.1","request_uri":"/x?f=..%2f","status":200,"request_time":0.25}`)
	s.env.Site.Logs["nginx"] = checks.LogSource{Paths: []string{s.path("access.log")}, Zone: time.UTC}
	s.env.Site.Nginx.Format = "json"
	want(t, checktest.Run(t, s.env, Patterns, nil), checks.Warn, map[string]float64{"answered": 1})
	want(t, checktest.Run(t, s.env, Latency, nil), checks.OK, map[string]float64{"samples": 1})
}

func TestUnreadableRotatedLogIsUnknown(t *testing.T) {
	s := newSite(t, at(time.Minute, "192.0.2.1", "/", 200))
	s.env.Site.Logs["nginx"] = checks.LogSource{Paths: []string{s.path("none.log")}}
	if r := checktest.Run(t, s.env, TopClients, nil); r.Level != checks.Unknown {
		t.Errorf("%v", r.Level)
	}
	s.env.Site.Logs = nil
	if r := checktest.Run(t, s.env, TopClients, nil); r.Level != checks.Skipped {
		t.Errorf("%v", r.Level)
	}
}

func FuzzDecoded(f *testing.F) {
	for _, seed := range []string{"/a?b=%2e%252e+x", `\x22%`, "%%%", "/**/", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if len(decoded(target)) > 3*len(target) {
			t.Errorf("%q grew", target)
		}
	})
}

func FuzzFormat(f *testing.F) {
	f.Add(combined, at(0, "192.0.2.1", "/", 200))
	f.Add("$a${b}c$d", "x")
	f.Fuzz(func(t *testing.T, text, line string) {
		if form, err := formatOf(checks.Nginx{Format: text}, ""); err == nil {
			form.read(line, map[string]string{})
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("# configuration file /n.conf:\nhttp { include x; a \"b\\\"\" ${c}d; # e\n}\n")
	f.Add("# configuration file /n.conf:\ninclude /n.conf;")
	f.Fuzz(func(t *testing.T, text string) {
		parse(text) //nolint:errcheck // that it returns is what is tested
	})
}
