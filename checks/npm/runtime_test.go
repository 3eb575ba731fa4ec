package npm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/npm"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// installed is the version of the machine's own Node.js.
func installed(t *testing.T) (major, minor, patch int) {
	t.Helper()
	needNPM(t)
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(out), "v%d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return major, minor, patch
}

// releases is a registry on loopback that has the package node with these
// releases, and its project.
func releases(t *testing.T, published map[string]time.Time, others ...string) checks.Project {
	t.Helper()
	versions := map[string]any{}
	for _, v := range others {
		versions[v] = map[string]string{"name": "node", "version": v}
	}
	for v := range published {
		versions[v] = map[string]string{"name": "node", "version": v}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/node" {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"name": "node", "dist-tags": map[string]string{"latest": others[0]}, "versions": versions, "time": published})
	}))
	t.Cleanup(server.Close)
	return checks.Project{Name: "backend", Dir: tree(t, server.URL, `{}`)}
}

// supported is the site's word that the installed line is: which one the
// machine has is not this test's business.
func supported(major int, until string) map[string]any {
	return map[string]any{"project": "backend", "ends": map[string]any{fmt.Sprint(major): until}}
}

// TestTheInstalledNodeIsHeldAgainstTheRegistry: a real node, a real npm.
func TestTheInstalledNodeIsHeldAgainstTheRegistry(t *testing.T) {
	t.Parallel()
	major, minor, patch := installed(t)
	here := fmt.Sprintf("%d.%d.%d", major, minor, patch)
	next, later := fmt.Sprintf("%d.%d.%d", major, minor, patch+1), fmt.Sprintf("%d.%d.0", major, minor+10)
	others := []string{here, fmt.Sprintf("%d.0.0", major+1), fmt.Sprintf("%d.%d.0-rc.1", major, minor+1)}
	for name, tt := range map[string]struct {
		published map[string]time.Time
		until     string
		level     checks.Level
		says      string
	}{
		"the newest":                {nil, "2099-01-01", checks.OK, ""},
		"a patch of yesterday":      {map[string]time.Time{next: now.Add(-24 * time.Hour)}, "2099-01-01", checks.OK, next},
		"a patch of three days ago": {map[string]time.Time{next: now.Add(-72 * time.Hour)}, "2099-01-01", checks.Warn, next},
		"the first of two is older": {map[string]time.Time{next: now.Add(-72 * time.Hour), later: now.Add(-time.Hour)}, "2099-01-01", checks.Warn, later},
		"support ends in a month":   {nil, now.AddDate(0, 1, 0).Format(time.DateOnly), checks.Warn, ""},
		"the last day of support":   {nil, now.Format(time.DateOnly), checks.Warn, ""},
		"support ended yesterday":   {nil, now.AddDate(0, 0, -1).Format(time.DateOnly), checks.Crit, "not supported since"},
		"ended, and a newer patch":  {map[string]time.Time{next: now}, "2020-01-01", checks.Crit, "not supported since"},
	} {
		p := releases(t, tt.published, others...)
		res := checktest.Run(t, env(p), npm.Runtime, supported(major, tt.until))
		if res.Level != tt.level || !strings.Contains(res.Note, tt.says) || !strings.Contains(res.Note, here) {
			t.Errorf("%s: %v, want %v: %s %s", name, res.Level, tt.level, res.Note, res.Err)
		}
	}
}

// TestARegistryThatDoesNotAnswerLeavesItUnknown, unless the line is past its
// end: that is so whatever else is out.
func TestARegistryThatDoesNotAnswerLeavesItUnknown(t *testing.T) {
	t.Parallel()
	major, _, _ := installed(t)
	dir := tree(t, "http://127.0.0.1:1", `{}`)
	write(t, dir+"/.npmrc", "registry=http://127.0.0.1:1/\nfetch-retries=0\ncache="+t.TempDir()+"\n")
	away := env(checks.Project{Name: "backend", Dir: dir})
	if res := checktest.Run(t, away, npm.Runtime, supported(major, "2099-01-01")); res.Level != checks.Unknown || !strings.Contains(res.Err, "ECONNREFUSED") {
		t.Errorf("%v %s", res.Level, res.Err)
	}
	res := checktest.Run(t, away, npm.Runtime, supported(major, "2020-01-01"))
	if res.Level != checks.Crit || !strings.Contains(strings.Join(res.Detail, ""), "ECONNREFUSED") {
		t.Errorf("past its end: %v %s %v", res.Level, res.Err, res.Detail)
	}
	other := env(releases(t, nil, "1.0.0", "2.0.0"))
	if res := checktest.Run(t, other, npm.Runtime, supported(major, "2099-01-01")); res.Level != checks.Unknown || !strings.Contains(res.Err, "has no release of Node.js") {
		t.Errorf("a registry without the line: %v %s", res.Level, res.Err)
	}
}

// node is a host whose runtime and npm say this.
func node(version, registry string) checks.Exec {
	return func(_ context.Context, call checks.Call) (checks.Output, error) {
		switch {
		case call.Argv[0] == "npm" && registry != "":
			call.Stdout.Write([]byte(registry))
			return checks.Output{}, nil
		case call.Argv[0] == "node" && version != "":
			return checks.Output{Stdout: []byte(version + "\n")}, nil
		}
		return checks.Output{}, checks.Failed(checks.Missing, "no %s", call.Argv[0])
	}
}

func TestLinesHaveTheEndThatWasAnnounced(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]checks.Level{
		"v20.20.2": checks.Crit, "v22.1.0": checks.OK, "v24.1.0": checks.OK, "v25.1.0": checks.Crit, "v26.1.0": checks.OK, "v8.17.0": checks.Crit, "v0.12.1": checks.Crit,
		"v99.1.0": checks.Unknown, "v22.0.0-nightly": checks.Unknown, "node: not found": checks.Unknown, "": checks.Skipped,
	} {
		e := env()
		e.Exec = node(version, `{"versions":["22.1.0","24.1.0","26.1.0"]}`)
		if res := checktest.Run(t, e, npm.Runtime, nil); res.Level != want {
			t.Errorf("%s is %v, want %v: %s %s", version, res.Level, want, res.Note, res.Err)
		}
	}
	e := env()
	e.Exec = node("v22.1.0", "")
	if res := checktest.Run(t, e, npm.Runtime, nil); res.Level != checks.Unknown || res.Class != checks.Missing {
		t.Errorf("without npm: %v %s %s", res.Level, res.Class, res.Err)
	}
	for says, raw := range map[string]map[string]any{"is not node": {"program": "/bin/sh"}, "is not a day": {"ends": map[string]any{"30": "soon"}}, "is not a major": {"ends": map[string]any{"new": "2030-01-01"}}} {
		if _, problems := checks.NewCheck(npm.Runtime, "it", raw, checks.Rules{}); len(problems) != 1 || !strings.Contains(problems[0].Error(), says) {
			t.Errorf("%v: %v", raw, problems)
		}
	}
}

// TestWithoutATimeOfTheRegistryTheClockIsOurs: it runs from the first look that
// saw a newer release, in a real history, and anew when the runtime is another.
func TestWithoutATimeOfTheRegistryTheClockIsOurs(t *testing.T) {
	t.Parallel()
	h, err := journal.OpenHistory(t.Context(), t.TempDir(), 10*365*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	for _, look := range []struct {
		hours   int
		version string
		want    checks.Level
	}{{0, "v24.1.0", checks.OK}, {47, "v24.1.0", checks.OK}, {49, "v24.1.0", checks.Warn}, {50, "v24.1.1", checks.OK}, {99, "v24.1.1", checks.Warn}, {100, "v24.1.2", checks.OK}} {
		e := env()
		e.Exec, e.History = node(look.version, `{"versions":["24.1.0","24.1.1","24.1.2"],"time":{}}`), h
		e.Now = func() time.Time { return now.Add(time.Duration(look.hours) * time.Hour) }
		if res := checktest.Run(t, e, npm.Runtime, nil); res.Level != look.want {
			t.Errorf("%s after %d h: %v, want %v: %v %s", look.version, look.hours, res.Level, look.want, res.Facts, res.Err)
		}
		if err := h.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
