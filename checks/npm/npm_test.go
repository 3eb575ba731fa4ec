package npm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/npm"
)

func TestConformance(t *testing.T) { checktest.Family(t, npm.Family()) }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// needNPM skips without npm, or fails where every component is required.
func needNPM(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("there is no npm")
		}
		t.Skip("there is no npm")
	}
}

// registry is a real package registry of a few packages, on loopback. It knows
// of one advisory if it has the package "vulnerable"; without that it does not
// know audits and says so, as one behind a proxy does.
func registry(t *testing.T, packages map[string][]string) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for name, versions := range packages {
		doc := map[string]any{"name": name, "dist-tags": map[string]string{"latest": versions[len(versions)-1]}}
		all := map[string]any{}
		for _, v := range versions {
			ball := tarball(t, name, v)
			sum := sha512.Sum512(ball)
			path := fmt.Sprintf("/%s/-/%s-%s.tgz", name, name, v)
			all[v] = map[string]any{"name": name, "version": v, "dist": map[string]string{"tarball": server.URL + path, "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}}
			mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.Write(ball) })
		}
		doc["versions"] = all
		mux.HandleFunc("/"+name, func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(doc) })
	}
	mux.HandleFunc("/-/npm/v1/security/advisories/bulk", func(w http.ResponseWriter, r *http.Request) {
		if len(packages["vulnerable"]) == 0 {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"vulnerable":[{"id":1097678,"url":"https://github.com/advisories/GHSA-xvch-5gv4-984h","title":"Prototype Pollution","severity":"critical","vulnerable_versions":"<1.2.0","cwe":["CWE-1321"],"cvss":{"score":9.8,"vectorString":"CVSS:3.1/AV:N"}}]}`))
	})
	mux.HandleFunc("/-/npm/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMethodNotAllowed)
		w.Write([]byte(`{"error":"Method Not Allowed"}`))
	})
	return server.URL
}

func tarball(t *testing.T, name, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	body := fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)
	if err := w.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(body))
	w.Close()
	zip.Close()
	return b.Bytes()
}

// tree is a project with its dependencies installed by a real npm.
func tree(t *testing.T, url, dependencies string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/package.json", `{"name":"app","version":"1.0.0","dependencies":`+dependencies+`}`)
	write(t, dir+"/.npmrc", "registry="+url+"/\ncache="+t.TempDir()+"\naudit=false\n")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func install(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("npm", "install", "--no-fund", "--no-audit")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func env(projects ...checks.Project) checks.Env {
	all := map[string]checks.Project{}
	for _, p := range projects {
		p.Main, p.Remote = "main", "origin"
		all[p.Name] = p
	}
	return checks.Env{Exec: command.NewExec(), Now: func() time.Time { return now }, Site: checks.SiteFacts{Projects: all}}
}

func num(t *testing.T, res checks.Result, name, label string) float64 {
	t.Helper()
	f, ok := res.Fact(name, label)
	if !ok {
		t.Fatalf("no %s %s: %s %s", name, label, res.Note, res.Err)
	}
	return f.Num
}

// TestWhatIsBehindIsCountedWhateverNPMEndsWith: it ends with 1 when anything is.
func TestWhatIsBehindIsCountedWhateverNPMEndsWith(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"left": {"1.0.0", "1.2.3", "2.0.0"}, "right": {"1.0.0", "1.0.1"}, "same": {"1.0.0"}})
	dir := tree(t, url, `{"left":"1.0.0","right":"1.0.0","same":"^1.0.0"}`)
	install(t, dir)
	write(t, dir+"/package.json", `{"name":"app","version":"1.0.0","dependencies":{"left":"^1.0.0","right":"1.0.0","same":"^1.0.0"}}`)
	res := checktest.Run(t, env(checks.Project{Name: "backend", Dir: dir}), npm.Outdated, nil)
	if res.Level != checks.OK || num(t, res, "major", "backend") != 1 || num(t, res, "patch", "backend") != 1 || num(t, res, "outdated", "backend") != 2 || num(t, res, "updatable", "backend") != 1 {
		t.Errorf("%v %s %v", res.Level, res.Err, res.Facts)
	}
	clean := tree(t, url, `{"same":"1.0.0"}`)
	install(t, clean)
	if res := checktest.Run(t, env(checks.Project{Name: "b", Dir: clean}), npm.Outdated, nil); res.Level != checks.OK || num(t, res, "outdated", "b") != 0 {
		t.Errorf("%v %s", res.Level, res.Err)
	}
}

// TestEachProjectIsLookedAtInItsOwnDirectory: the guide's second cd leads from
// the first project into nowhere, and the first is looked at again.
func TestEachProjectIsLookedAtInItsOwnDirectory(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"left": {"1.0.0", "2.0.0"}, "same": {"1.0.0"}})
	back, front := tree(t, url, `{"same":"1.0.0"}`), tree(t, url, `{"left":"1.0.0"}`)
	install(t, back)
	install(t, front)
	guide := exec.Command("sh", "-c", "cd "+filepath.Base(back)+" && npm outdated --json; cd "+filepath.Base(front)+" 2>/dev/null; npm outdated --json")
	guide.Dir = filepath.Dir(back)
	out, err := guide.Output()
	if err != nil || strings.Contains(string(out), "left") {
		t.Fatalf("the guide's own commands see the second project: %v %s", err, out)
	}
	res := checktest.Run(t, env(checks.Project{Name: "backend", Dir: back}, checks.Project{Name: "frontend", Dir: front}), npm.Outdated, nil)
	if num(t, res, "major", "backend") != 0 || num(t, res, "major", "frontend") != 1 {
		t.Errorf("%v", res.Facts)
	}
}

// TestARegistryThatDoesNotAuditIsUnknown, and so is one that cannot be reached:
// neither is "no findings", although npm's exit code is that of findings.
func TestARegistryThatDoesNotAuditIsUnknown(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"same": {"1.0.0"}})
	dir := tree(t, url, `{"same":"1.0.0"}`)
	install(t, dir)
	write(t, dir+"/.npmrc", "registry="+url+"/\nfetch-retries=0\n")
	res := checktest.Run(t, env(checks.Project{Name: "b", Dir: dir}), npm.Audit, nil)
	if res.Level != checks.Unknown || res.Class != checks.NoData {
		t.Errorf("refused: %v %s %s", res.Level, res.Class, res.Err)
	}
	write(t, dir+"/.npmrc", "registry=http://127.0.0.1:1/\nfetch-retries=0\n")
	res = checktest.Run(t, env(checks.Project{Name: "b", Dir: dir}), npm.Audit, nil)
	if res.Level != checks.Unknown || res.Class != checks.NoData {
		t.Errorf("not reached: %v %s %s", res.Level, res.Class, res.Err)
	}
}

// said is an Exec in whose mouth a recorded answer is put.
func said(answer string, code int) checks.Exec {
	return func(_ context.Context, call checks.Call) (checks.Output, error) {
		call.Stdout.Write([]byte(answer))
		return checks.Output{Code: code}, nil
	}
}

const npm7 = `{"auditReportVersion":2,"vulnerabilities":{
 "minimist":{"name":"minimist","severity":"critical","isDirect":true,"via":[{"source":1097678,"name":"minimist","dependency":"minimist","title":"Prototype Pollution in minimist","url":"https://github.com/advisories/GHSA-xvch-5gv4-984h","severity":"critical","cwe":["CWE-1321"],"cvss":{"score":9.8,"vectorString":"CVSS:3.1/AV:N"},"range":"<0.2.4"},{"source":1094219,"name":"minimist","title":"Prototype Pollution","url":"https://github.com/advisories/GHSA-vh95-rmgr-6w4m","severity":"moderate","cvss":{"score":5.6},"range":"<0.2.1"}],"effects":["mkdirp"],"fixAvailable":true},
 "mkdirp":{"name":"mkdirp","severity":"critical","via":["minimist"],"effects":[],"fixAvailable":true},
 "lodash":{"name":"lodash","severity":"high","via":[{"source":1094500,"name":"lodash","title":"Command Injection","url":"https://github.com/advisories/GHSA-35jh-r3h4-6jhm","severity":"high","cvss":{"score":7.0},"range":"<4.17.21"}],"fixAvailable":false}},
 "metadata":{"vulnerabilities":{"info":0,"low":0,"moderate":0,"high":1,"critical":2,"total":3},"dependencies":{"prod":12,"dev":3,"optional":0,"peer":0,"peerOptional":0,"total":14}}}`

const npm6 = `{"actions":[],"advisories":{"1179":{"id":1179,"module_name":"minimist","severity":"low","title":"Prototype Pollution","url":"https://npmjs.com/advisories/1179","patched_versions":">=0.2.1"}},"muted":[],"metadata":{"vulnerabilities":{"info":0,"low":1,"moderate":0,"high":0,"critical":0},"dependencies":2,"devDependencies":0,"totalDependencies":2}}`

const none = `{"auditReportVersion":2,"vulnerabilities":{},"metadata":{"vulnerabilities":{"info":0,"low":0,"moderate":0,"high":0,"critical":0,"total":0},"dependencies":{"prod":5,"total":5}}}`

func TestAuditsAreJudgedByTheirReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/package.json", "{}")
	for _, c := range []struct {
		name, answer string
		code         int
		level        checks.Level
		says         string
	}{
		{"npm 7", npm7, 1, checks.Crit, "3 open advisories"},
		{"npm 6", npm6, 1, checks.OK, "1 open advisories"},
		{"none", none, 0, checks.OK, "0 open"},
		{"none, and an odd code", none, 7, checks.OK, "0 open"},
		{"no lock file", `{"error":{"code":"ENOLOCK","summary":"This command requires an existing lockfile.\nTry creating one","detail":""}}`, 1, checks.Unknown, "ENOLOCK This command requires an existing lockfile."},
		{"refused", `{"message":"405 Method Not Allowed","statusCode":405,"error":"Method Not Allowed"}`, 1, checks.Unknown, "the registry answers 405"},
		{"nothing", "", 0, checks.Unknown, "no JSON"},
		{"half", npm7[:200], 1, checks.Unknown, "no JSON"},
		{"another object", `{"ok":true}`, 0, checks.Unknown, "no totals"},
		{"totals without names", `{"auditReportVersion":2,"vulnerabilities":{},"metadata":{"vulnerabilities":{"total":3}}}`, 1, checks.Unknown, "counts 3"},
	} {
		e := env(checks.Project{Name: "b", Dir: dir})
		e.Exec = said(c.answer, c.code)
		res := checktest.Run(t, e, npm.Audit, nil)
		if res.Level != c.level || !strings.Contains(res.Note+res.Err, c.says) {
			t.Errorf("%s: %v, want %v: %s %s", c.name, res.Level, c.level, res.Note, res.Err)
		}
	}
	e := env(checks.Project{Name: "b", Dir: dir})
	e.Exec = said(npm7, 1)
	res := checktest.Run(t, e, npm.Audit, nil)
	for name, want := range map[string]float64{"critical": 1, "high": 1, "moderate": 1, "low": 0, "severe": 2, "waived": 0, "dependencies": 14} {
		if got := num(t, res, name, "b"); got != want {
			t.Errorf("%s is %v, want %v: 7.0 itself is severe", name, got, want)
		}
	}
}

func TestAWaiverHoldsUntilItsDay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/package.json", "{}")
	for until, want := range map[time.Time]float64{now: 1, now.AddDate(0, 0, -2): 0} {
		e := env(checks.Project{Name: "b", Dir: dir, Waive: []checks.Waiver{{ID: "GHSA-xvch-5gv4-984h", Until: until.Truncate(24 * time.Hour), Reason: "not reachable"}}})
		e.Exec = said(npm7, 1)
		if res := checktest.Run(t, e, npm.Audit, nil); num(t, res, "waived", "b") != want || num(t, res, "critical", "b") != 1-want {
			t.Errorf("until %v: %v", until, res.Facts)
		}
	}
}

// seen is a history in which one advisory was first seen some time ago.
type seen map[string]time.Duration

func (s seen) Series(_, _, label string, _ time.Time) []checks.Sample {
	ago, ok := s[label]
	if !ok {
		return nil
	}
	return []checks.Sample{{At: now.Add(-ago), Value: 3}, {At: now.Add(-time.Hour), Value: 3}}
}

// TestTheClockOfAnAdvisoryRunsFromWhenItWasFirstSeen: the registry has no such
// date.
func TestTheClockOfAnAdvisoryRunsFromWhenItWasFirstSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/package.json", "{}")
	e := env(checks.Project{Name: "b", Dir: dir})
	e.Exec = said(npm7, 1)
	e.History = seen{"b lodash GHSA-35jh-r3h4-6jhm": 50 * time.Hour}
	res := checktest.Run(t, e, npm.Audit, nil)
	high, _ := res.Fact("oldest_high", "")
	critical, _ := res.Fact("oldest_critical", "")
	if high.Dur() != 50*time.Hour || critical.Dur() != 0 {
		t.Errorf("high for %v, critical for %v", high.Dur(), critical.Dur())
	}
}

func TestWithoutProjectsOrPackages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env   checks.Env
		raw   map[string]any
		level checks.Level
		class checks.Class
	}{
		"no projects":     {checks.Env{}, nil, checks.Skipped, checks.Unconfigured},
		"no such project": {env(checks.Project{Name: "b", Dir: "/"}), map[string]any{"project": "c"}, checks.Skipped, checks.Unconfigured},
		"no package.json": {env(checks.Project{Name: "b", Dir: "/nowhere"}), nil, checks.Unknown, checks.Missing},
	} {
		for _, m := range []*checks.Module{npm.Audit, npm.Outdated} {
			if res := checktest.Run(t, c.env, m, c.raw); res.Level != c.level || res.Class != c.class {
				t.Errorf("%s, %s: %v %s", name, m.Name, res.Level, res.Class)
			}
		}
	}
}
