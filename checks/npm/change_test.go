package npm_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/npm"
)

// repository makes a project's directory one, on a branch that is not deployed.
func repository(t *testing.T, dir string) {
	t.Helper()
	write(t, dir+"/.gitignore", "node_modules\n.npmrc\n")
	shell(t, dir, "git init -q -b main; git config user.name ops; git config user.email ops@example.org; git add .; git commit -qm first; git checkout -q -b update")
}

func shell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

func locked(t *testing.T, dir, pkg string) string {
	t.Helper()
	raw, err := os.ReadFile(dir + "/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var l struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		t.Fatal(err)
	}
	return l.Packages["node_modules/"+pkg].Version
}

func check(t *testing.T, m *checks.Module, with map[string]any) checks.Check {
	t.Helper()
	c, problems := checks.NewCheck(m, m.Name, with, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// do previews, acts, and looks whether it was done.
func do(t *testing.T, e checks.Env, m *checks.Module, with map[string]any) (before, res checks.Result) {
	t.Helper()
	runner, c := checks.NewRunner(e, nil), check(t, m, with)
	before = runner.Preview(t.Context(), c, checks.Own{})
	if before.Level != checks.OK {
		t.Fatalf("%s cannot be begun: %s", m.Name, before.Err)
	}
	own := checks.Own{Before: before.Facts, Dir: t.TempDir()}
	if res = runner.Act(t.Context(), c, own); res.Level != checks.OK {
		t.Fatalf("%s: %v %s %v", m.Name, res.Level, res.Err, res.Why)
	}
	if after := runner.Probe(t.Context(), c, own, checks.Rule{}); after.Level != checks.OK {
		t.Fatalf("%s does not hold: %s %v", m.Name, after.Err, after.Detail)
	}
	return before, res
}

func refuses(t *testing.T, e checks.Env, m *checks.Module, with map[string]any, class checks.Class, because string) {
	t.Helper()
	res := checks.NewRunner(e, nil).Preview(t.Context(), check(t, m, with), checks.Own{})
	if res.Level != checks.Unknown || res.Class != class || !strings.Contains(res.Err, because) {
		t.Errorf("%s: %v %s %q, want %s %q", m.Name, res.Level, res.Class, res.Err, class, because)
	}
}

func TestAnUpdateTakesWhatTheManifestAllowsAndNoMore(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"left": {"1.0.0", "1.2.3", "2.0.0"}, "same": {"1.0.0"}})
	dir := tree(t, url, `{"left":"1.0.0","same":"^1.0.0"}`)
	install(t, dir)
	write(t, dir+"/package.json", `{"name":"app","version":"1.0.0","dependencies":{"left":"^1.0.0","same":"^1.0.0"}}`)
	shell(t, dir, "npm install --package-lock-only --no-audit --no-fund")
	repository(t, dir)
	e := env(checks.Project{Name: "backend", Dir: dir})

	was := shell(t, dir, "sha256sum package.json package-lock.json; git status --porcelain")
	before := checks.NewRunner(e, nil).Preview(t.Context(), check(t, npm.Update, nil), checks.Own{})
	if now := shell(t, dir, "sha256sum package.json package-lock.json; git status --porcelain"); now != was {
		t.Fatalf("the preview changed something:\n%s\n%s", was, now)
	}
	if !strings.Contains(strings.Join(before.Detail, "\n"), "backend: left 1.0.0 to 1.2.3") {
		t.Errorf("%s %v", before.Err, before.Detail)
	}
	_, res := do(t, e, npm.Update, nil)
	if got := locked(t, dir, "left"); got != "1.2.3" || num(t, res, "changed", "backend") != 1 || num(t, res, "major", "backend") != 0 {
		t.Errorf("left is at %s: %v", got, res.Facts)
	}
	refuses(t, e, npm.Update, nil, checks.Other, "differs from the last commit")
	shell(t, dir, "git commit -qam update")
	before, _ = do(t, e, npm.Update, nil)
	if !strings.Contains(strings.Join(before.Detail, "\n"), "backend: nothing to do") {
		t.Errorf("%v", before.Detail)
	}
}

// TestAnAuditFixNeverForcesAMajorRelease, and what it cannot repair goes on
// being named; the registry's advisory is real, and npm's own.
func TestAnAuditFixNeverForcesAMajorRelease(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"vulnerable": {"1.0.0", "1.2.0", "2.0.0"}})
	back, front := tree(t, url, `{"vulnerable":"1.0.0"}`), tree(t, url, `{"vulnerable":"1.0.0"}`)
	install(t, back)
	write(t, back+"/package.json", `{"name":"app","version":"1.0.0","dependencies":{"vulnerable":"^1.0.0"}}`)
	shell(t, back, "npm install --package-lock-only --no-audit --no-fund")
	install(t, front)
	repository(t, back)
	repository(t, front)
	e := env(checks.Project{Name: "backend", Dir: back}, checks.Project{Name: "frontend", Dir: front})
	if res := checktest.Run(t, e, npm.Audit, nil); res.Level != checks.Crit || num(t, res, "critical", "backend") != 1 || num(t, res, "critical", "frontend") != 1 {
		t.Fatalf("%v %s %v", res.Level, res.Err, res.Facts)
	}
	do(t, e, npm.AuditFix, nil)
	if got := locked(t, back, "vulnerable"); got != "1.2.0" {
		t.Errorf("backend has %s", got)
	}
	if got := locked(t, front, "vulnerable"); got != "1.0.0" {
		t.Errorf("frontend has %s, which its manifest does not allow", got)
	}
	if res := checktest.Run(t, e, npm.Audit, nil); num(t, res, "critical", "backend") != 0 || num(t, res, "critical", "frontend") != 1 {
		t.Errorf("%v", res.Facts)
	}
}

func TestAnUpgradeNeedsAnExactVersionOfADependency(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"left": {"1.0.0", "2.0.0"}, "package-name": {"1.0.0"}})
	dir := tree(t, url, `{"left":"^1.0.0"}`)
	install(t, dir)
	repository(t, dir)
	e := env(checks.Project{Name: "backend", Dir: dir})
	if _, problems := checks.NewCheck(npm.Install, "i", map[string]any{"package": "left", "version": "latest"}, checks.Rules{}); len(problems) == 0 {
		t.Error("latest is taken for a version")
	}
	refuses(t, e, npm.Install, map[string]any{"package": "package-name", "version": "1.0.0"}, checks.Missing, "nothing is installed that is not a dependency already")
	refuses(t, e, npm.Install, map[string]any{"package": "left"}, checks.Unconfigured, "version of left")
	refuses(t, e, npm.Install, map[string]any{"package": "left", "version": "9.9.9"}, checks.Other, "ETARGET")
	before, _ := do(t, e, npm.Install, nil)
	if !strings.Contains(strings.Join(before.Detail, "\n"), "no upgrade is planned") {
		t.Errorf("%v", before.Detail)
	}
	e = env(checks.Project{Name: "backend", Dir: dir, Upgrade: map[string]string{"left": "2.0.0"}})
	_, res := do(t, e, npm.Install, nil)
	if got := locked(t, dir, "left"); got != "2.0.0" || num(t, res, "major", "backend") != 1 {
		t.Errorf("left is at %s", got)
	}
}

// TestWhatNPMCannotFinishLeavesTheManifestsAsTheyWere although npm writes them
// as it goes.
func TestWhatNPMCannotFinishLeavesTheManifestsAsTheyWere(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"left": {"1.0.0", "1.1.0"}})
	dir := tree(t, url, `{"left":"^1.0.0"}`)
	install(t, dir)
	repository(t, dir)
	was := shell(t, dir, "cat package.json package-lock.json")
	e := env(checks.Project{Name: "backend", Dir: dir})
	real := e.Exec
	e.Exec = func(ctx context.Context, call checks.Call) (checks.Output, error) {
		if call.Argv[0] != "npm" {
			return real(ctx, call)
		}
		write(t, dir+"/package-lock.json", "{}")
		return checks.Output{Code: 1, Stderr: []byte("npm error ENOSPC: no space left on device")}, nil
	}
	res := checks.NewRunner(e, nil).Act(t.Context(), check(t, npm.Update, nil), checks.Own{})
	if res.Level != checks.Unknown || !strings.Contains(res.Err, "ENOSPC") || !strings.Contains(res.Err, "the manifests are as they were") {
		t.Errorf("%v %s", res.Level, res.Err)
	}
	if now := shell(t, dir, "cat package.json package-lock.json"); now != was {
		t.Errorf("the manifests are %s", now)
	}
}

func TestWhereNothingIsChanged(t *testing.T) {
	t.Parallel()
	needNPM(t)
	url := registry(t, map[string][]string{"left": {"1.0.0"}})
	dir := tree(t, url, `{"left":"^1.0.0"}`)
	install(t, dir)
	repository(t, dir)
	for _, m := range []*checks.Module{npm.Update, npm.AuditFix, npm.Install} {
		refuses(t, env(checks.Project{Name: "b", Dir: dir, Production: true}), m, nil, checks.Other, "served from this very tree")
	}
	shell(t, dir, "git checkout -q main")
	refuses(t, env(checks.Project{Name: "b", Dir: dir}), npm.Update, nil, checks.Other, "make a branch first")
	shell(t, dir, "git checkout -q update; git rm -q --cached package-lock.json; rm package-lock.json; git commit -qam none")
	refuses(t, env(checks.Project{Name: "b", Dir: dir}), npm.Update, nil, checks.Missing, "there is no lock file")
	write(t, dir+"/package-lock.json", `{"lockfileVersion":`)
	shell(t, dir, "git add -f package-lock.json; git commit -qm broken")
	refuses(t, env(checks.Project{Name: "b", Dir: dir}), npm.Update, nil, checks.Parse, "it is no lock file")
}
