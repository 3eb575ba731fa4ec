package scan_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/scan"
)

func TestConformance(t *testing.T) { checktest.Family(t, scan.Family()) }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("there is no %s", tool)
		}
		t.Skipf("there is no %s", tool)
	}
}

func env(t *testing.T, scans ...checks.Scan) checks.Env {
	t.Helper()
	all := map[string]checks.Scan{}
	for _, s := range scans {
		all[s.Name] = s
	}
	return checks.Env{
		Exec: command.NewExec(), Now: func() time.Time { return now }, Token: "opsdeck/0a1b2c3d", Dir: t.TempDir(),
		Site: checks.SiteFacts{Scans: all},
	}
}

func allowedScan(t *testing.T, tool, target string) checks.Scan {
	t.Helper()
	return checks.Scan{Name: "it", Tool: tool, Target: target, Reference: "OPS-17", Until: now, Reports: t.TempDir(), Staging: true, MaxTime: time.Minute}
}

func act(t *testing.T, m *checks.Module, e checks.Env) checks.Result {
	t.Helper()
	return checks.NewRunner(e, nil).Act(t.Context(), check(t, m), own(e))
}

func own(e checks.Env) checks.Own { return checks.Own{Token: e.Token, Dir: e.Dir} }

func check(t *testing.T, m *checks.Module) checks.Check {
	t.Helper()
	c, problems := checks.NewCheck(m, "scan", nil, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func num(t *testing.T, res checks.Result, name string) float64 {
	t.Helper()
	f, ok := res.Fact(name, "it")
	if !ok {
		t.Fatalf("no %s: %v %s %s", name, res.Level, res.Note, res.Err)
	}
	return f.Num
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return l, port
}

// TestAPortThatWasNotAcceptedFails, and the same port is fine once its report
// has been accepted; when it is gone, nothing was reached.
func TestAPortThatWasNotAcceptedFails(t *testing.T) {
	t.Parallel()
	need(t, "nmap")
	l, port := listen(t)
	s := allowedScan(t, "nmap", "127.0.0.1")
	s.Ports = port
	e := env(t, s)
	before := checks.NewRunner(e, nil).Preview(t.Context(), check(t, scan.Ports), own(e))
	if before.Level != checks.OK || before.Target != "127.0.0.1" {
		t.Fatalf("%v %s", before.Level, before.Err)
	}
	res := act(t, scan.Ports, e)
	if res.Level != checks.Crit || num(t, res, "opened") != 1 {
		t.Fatalf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
	if p := checks.NewRunner(e, nil).Probe(t.Context(), check(t, scan.Ports), own(e), checks.Rule{}); p.Level != checks.OK {
		t.Errorf("the report is there, and the probe says %v %s", p.Level, p.Err)
	}
	file, _ := res.Fact("report", "it")
	s.Baseline, s.Reports = file.Text, t.TempDir()
	if res := act(t, scan.Ports, env(t, s)); res.Level != checks.OK || num(t, res, "opened") != 0 {
		t.Errorf("accepted: %v %s %+v", res.Level, res.Err, res.Facts)
	}
	raw, err := os.ReadFile(s.Baseline)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.Baseline, strings.ReplaceAll(string(raw), `version="9.2p1`, `version="8.0p1`))
	if res := act(t, scan.Ports, env(t, s)); res.Level != checks.Warn || num(t, res, "changed") != 1 {
		t.Errorf("another version: %v %s %+v", res.Level, res.Err, res.Facts)
	}
	l.Close()
	if res := act(t, scan.Ports, env(t, s)); res.Level != checks.Unknown {
		t.Errorf("a target that cannot be reached is %v", res.Level)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shop has one page that puts its parameter into SQL, and one that does not.
func shop(t *testing.T) string {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec("create table course(id integer, name text); insert into course values (1,'algebra'),(2,'physics')"); err != nil {
		t.Fatal(err)
	}
	page := func(w http.ResponseWriter, row *sql.Row) {
		var name string
		if row.Scan(&name) != nil {
			fmt.Fprint(w, "<html><body>no such course</body></html>")
			return
		}
		fmt.Fprintf(w, "<html><body>The course is called %s, and everybody likes it.</body></html>", name)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/open", func(w http.ResponseWriter, r *http.Request) {
		page(w, db.QueryRow("select name from course where id="+r.FormValue("id")))
	})
	mux.HandleFunc("/closed", func(w http.ResponseWriter, r *http.Request) {
		page(w, db.QueryRow("select name from course where id=?", r.FormValue("id")))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnInjectableParameterFailsAndASoundOneDoesNot(t *testing.T) {
	t.Parallel()
	need(t, "sqlmap")
	url := shop(t)
	if res := act(t, scan.Run, env(t, allowedScan(t, "sqlmap", url+"/open?id=1"))); res.Level != checks.Crit || num(t, res, "injectable") != 1 {
		t.Errorf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
	if res := act(t, scan.Run, env(t, allowedScan(t, "sqlmap", url+"/closed?id=1"))); res.Level != checks.OK || num(t, res, "injectable") != 0 {
		t.Errorf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
}

// TestAnAttackThatReachedNothingIsUnknown: sqlmap ends with 0 then.
func TestAnAttackThatReachedNothingIsUnknown(t *testing.T) {
	t.Parallel()
	need(t, "sqlmap")
	l, port := listen(t)
	l.Close()
	if res := act(t, scan.Run, env(t, allowedScan(t, "sqlmap", "http://127.0.0.1:"+port+"/?id=1"))); res.Level != checks.Unknown {
		t.Errorf("%v %s", res.Level, res.Note)
	}
}

func TestNothingIsScannedThatNobodyAllowed(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]func(*checks.Scan){
		"production":    func(s *checks.Scan) { s.Staging = false },
		"no reference":  func(s *checks.Scan) { s.Reference = "" },
		"expired":       func(s *checks.Scan) { s.Until = now.AddDate(0, 0, -1) },
		"an option":     func(s *checks.Scan) { s.Target = "--os-shell" },
		"nowhere to go": func(s *checks.Scan) { s.Reports = "" },
	} {
		s := allowedScan(t, "sqlmap", "http://127.0.0.1:1/?id=1")
		with(&s)
		e := env(t, s)
		e.Exec = nil // nothing may be run
		if res := checks.NewRunner(e, nil).Preview(t.Context(), check(t, scan.Run), own(e)); res.Level != checks.Unknown {
			t.Errorf("%s: the preview is %v", name, res.Level)
		}
		e.Exec = command.NewExec()
		if res := act(t, scan.Run, e); res.Level != checks.Unknown || strings.Contains(res.Err, "sqlmap ended") {
			t.Errorf("%s: it is %v: %s", name, res.Level, res.Err)
		}
	}
	for _, m := range scan.Family().Modules {
		for _, p := range m.Params {
			if p.Name != "scan" && m != scan.Tools {
				t.Errorf("%s takes %s: a target comes from the site file only", m.Name, p.Name)
			}
		}
	}
}

// token is made up here, so that no tool finds it in this file.
func token() string { return "ghp_" + "a8Kx02mQzL5vT7Rw" + "3YcN9bHd6JfGs1PeU4Xo" }

func TestASecretInTheHistoryFailsAndIsNotShown(t *testing.T) {
	t.Parallel()
	need(t, "gitleaks")
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	s := checks.Scan{Name: "it", Tool: "gitleaks", Target: dir}
	write(t, dir+"/README", "nothing here\n")
	commit(t, dir)
	if res := checktest.Run(t, env(t, s), scan.Secrets, nil); res.Level != checks.OK || num(t, res, "secrets") != 0 {
		t.Fatalf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
	write(t, dir+"/config.js", "const github_token = \""+token()+"\"\n")
	commit(t, dir)
	os.Remove(dir + "/config.js")
	commit(t, dir)
	res := checktest.Run(t, env(t, s), scan.Secrets, nil)
	if res.Level != checks.Crit || num(t, res, "secrets") != 1 {
		t.Fatalf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
	if strings.Contains(fmt.Sprintf("%+v", res), token()) {
		t.Error("the result shows the secret")
	}
	table, _ := res.Table("secrets")
	s.Baseline = filepath.Join(t.TempDir(), "accepted.json")
	write(t, s.Baseline, fmt.Sprintf(`[{"Fingerprint":%q}]`, table.Rows[0][5].Text))
	if res := checktest.Run(t, env(t, s), scan.Secrets, nil); res.Level != checks.OK || num(t, res, "accepted") != 1 {
		t.Errorf("accepted: %v %s", res.Level, res.Err)
	}
	s.Target = t.TempDir()
	if res := checktest.Run(t, env(t, s), scan.Secrets, nil); res.Level != checks.Unknown {
		t.Errorf("what is no repository is %v", res.Level)
	}
}

func commit(t *testing.T, dir string) {
	t.Helper()
	git(t, dir, "add", "-A")
	git(t, dir, "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "step")
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func TestFindingsOfAReportAreCountedBySeverity(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, tool, report string
		level              checks.Level
	}{
		{"high", "testssl", `[{"id":"SSLv3","severity":"CRITICAL","finding":"offered"},{"id":"scanTime","severity":"INFO","finding":"40"}]`, checks.Crit},
		{"medium", "testssl", `[{"id":"TLS1","severity":"MEDIUM","finding":"offered"},{"id":"scanTime","severity":"INFO","finding":"40"}]`, checks.Warn},
		{"none", "testssl", `[{"id":"TLS1","severity":"OK","finding":"not offered"},{"id":"scanTime","severity":"INFO","finding":"40"}]`, checks.OK},
		{"cut off", "testssl", `[{"id":"TLS1","severity":"OK","finding":"not offered"}]`, checks.Unknown},
		{"unreachable", "testssl", `[{"id":"scanProblem","severity":"FATAL","finding":"Can't connect"}]`, checks.Unknown},
		{"high", "zap", `{"site":[{"alerts":[{"pluginid":"40012","name":"Cross Site Scripting","riskcode":"3"}]}]}`, checks.Crit},
		{"medium", "zap", `{"site":[{"alerts":[{"pluginid":"10038","name":"CSP not set","riskcode":"2"}]}]}`, checks.Warn},
		{"nothing reached", "zap", `{"site":[]}`, checks.Unknown},
		{"half a report", "zap", `{"site":[{`, checks.Unknown},
	} {
		t.Run(tt.tool+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			e := env(t, allowedScan(t, tt.tool, "127.0.0.1:1"))
			e.Exec = recorded(t, tt.report)
			m := scan.Run
			if tt.tool == "testssl" {
				m = scan.TLS
			}
			if res := act(t, m, e); res.Level != tt.level {
				t.Errorf("%v %s %+v", res.Level, res.Err, res.Facts)
			}
			probed := checks.NewRunner(e, nil).Probe(t.Context(), check(t, m), own(e), checks.Rule{})
			if (probed.Level == checks.OK) != (tt.level != checks.Unknown) {
				t.Errorf("the probe says %v", probed.Level)
			}
		})
	}
}

// recorded is a tool that writes a report where it is told to.
func recorded(t *testing.T, text string) checks.Exec {
	return func(_ context.Context, call checks.Call) (checks.Output, error) {
		for _, arg := range call.Argv {
			if strings.HasSuffix(arg, ".part") {
				write(t, arg, text)
			}
		}
		return checks.Output{Code: 7}, nil
	}
}

// TestARealReportOfTestsslIsRead: of a listener with a self-signed certificate.
func TestARealReportOfTestsslIsRead(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/testssl-openssl-s_server.json")
	if err != nil {
		t.Fatal(err)
	}
	s := allowedScan(t, "testssl", "127.0.0.1:1")
	e := env(t, s)
	e.Exec = recorded(t, string(raw))
	res := act(t, scan.TLS, e)
	if res.Level != checks.Crit || num(t, res, "high") < 7 || num(t, res, "medium") < 1 {
		t.Fatalf("%v %s %+v", res.Level, res.Err, res.Facts)
	}
	file, _ := res.Fact("report", "it")
	s.Baseline, s.Reports = file.Text, t.TempDir()
	e = env(t, s)
	e.Exec = recorded(t, string(raw))
	if res := act(t, scan.TLS, e); res.Level != checks.OK || num(t, res, "high") != 0 {
		t.Errorf("accepted: %v %s %+v", res.Level, res.Err, res.Facts)
	}
}
