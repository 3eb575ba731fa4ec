package git_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/git"
)

func TestConformance(t *testing.T) { checktest.Family(t, git.Family()) }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// site is a remote, a clone of it in which the update is made, and a second
// clone in which colleagues work.
type site struct {
	*testing.T
	remote, dir, other string
	env                checks.Env
}

func newSite(t *testing.T) *site {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("there is no git")
		}
		t.Skip("there is no git")
	}
	root := t.TempDir()
	s := &site{T: t, remote: root + "/remote.git", dir: root + "/work", other: root + "/other"}
	s.sh(root, "git init -q --bare -b main remote.git; git clone -q remote.git work 2>/dev/null; git clone -q remote.git other 2>/dev/null")
	for _, dir := range []string{s.dir, s.other} {
		s.sh(dir, "git config user.name ops; git config user.email ops@example.org; git checkout -q -b main 2>/dev/null || true")
	}
	s.sh(s.dir, "mkdir backend; echo '{}' > backend/package.json; echo '{}' > backend/package-lock.json; git add .; git commit -qm first; git push -q -u origin main")
	s.sh(s.other, "git pull -q origin main")
	project := checks.Project{Name: "backend", Dir: s.dir + "/backend", Remote: "origin", Main: "main"}
	s.env = checks.Env{Exec: command.NewExec(), Now: func() time.Time { return now }, Site: checks.SiteFacts{Projects: map[string]checks.Project{"backend": project}}}
	return s
}

func (s *site) sh(dir, script string) string {
	s.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *site) project(change func(*checks.Project)) {
	p := s.env.Site.Projects["backend"]
	change(&p)
	s.env.Site.Projects["backend"] = p
}

func (s *site) check(m *checks.Module, with map[string]any) checks.Check {
	s.Helper()
	c, problems := checks.NewCheck(m, m.Name, with, checks.Rules{})
	if len(problems) > 0 {
		s.Fatal(problems)
	}
	return c
}

// preview, or the reason why it is refused.
func (s *site) preview(m *checks.Module, with map[string]any) checks.Result {
	s.Helper()
	return checks.NewRunner(s.env, nil).Preview(s.Context(), s.check(m, with), checks.Own{})
}

// do previews, acts and looks from outside whether it was done.
func (s *site) do(m *checks.Module, with map[string]any) {
	s.Helper()
	runner, check := checks.NewRunner(s.env, nil), s.check(m, with)
	before := runner.Preview(s.Context(), check, checks.Own{})
	if before.Level != checks.OK {
		s.Fatalf("%s cannot be begun: %s", m.Name, before.Err)
	}
	own := checks.Own{Before: before.Facts, Dir: s.TempDir(), Token: "opsdeck/00000000"}
	if done, _ := runner.Probe(s.Context(), check, own, checks.Rule{}).Fact("done", ""); done.Bool() && len(before.Detail) > 0 && !strings.Contains(strings.Join(before.Detail, " "), "already") {
		s.Errorf("%s is done before it is begun", m.Name)
	}
	if res := runner.Act(s.Context(), check, own); res.Level != checks.OK {
		s.Fatalf("%s: %v %s", m.Name, res.Level, res.Err)
	}
	if after := runner.Probe(s.Context(), check, own, checks.Rule{}); after.Level != checks.OK {
		s.Fatalf("%s does not hold: %s %v", m.Name, after.Err, after.Detail)
	}
}

func (s *site) refused(m *checks.Module, with map[string]any, class checks.Class, because string) {
	s.Helper()
	res := s.preview(m, with)
	if res.Level != checks.Unknown || res.Class != class || !strings.Contains(res.Err, because) {
		s.Errorf("%s: %v %s %q, want %s %q", m.Name, res.Level, res.Class, res.Err, class, because)
	}
}

// TestAnUpdateFromBranchToMain walks the guide's way, with the commit that it
// forgets.
func TestAnUpdateFromBranchToMain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.do(git.Branch, nil)
	if got := s.sh(s.dir, "git branch --show-current"); got != "update-dependencies-2026-11-23" {
		t.Fatalf("on %s", got)
	}
	s.refused(git.Push, nil, checks.NoData, "nothing is committed on update-dependencies-2026-11-23")
	s.refused(git.Commit, nil, checks.NoData, "nothing to commit")
	s.sh(s.dir, `echo '{"a":1}' > backend/package-lock.json; echo note > notes.txt`)
	if res := s.preview(git.Commit, nil); !strings.Contains(strings.Join(res.Detail, "\n"), "careful: backend: notes.txt differs too and is left out") {
		t.Errorf("%v", res.Detail)
	}
	s.do(git.Commit, nil)
	if got := s.sh(s.dir, "git show --name-only --format=%s HEAD"); got != "Update dependencies\n\nbackend/package-lock.json" {
		t.Errorf("committed %q", got)
	}
	s.sh(s.dir, "rm notes.txt")
	s.do(git.Push, nil)
	s.refused(git.Merge, nil, checks.Other, "have it reviewed and merged there")

	s.sh(s.other, "git fetch -q; echo x > other.txt; git add .; git commit -qm other; git merge -q --squash origin/update-dependencies-2026-11-23; git commit -qm 'update (#1)'; git push -q origin main")
	s.do(git.Merge, nil)
	if got := s.sh(s.dir, "git branch --show-current; cat backend/package-lock.json; git rev-parse HEAD"); got != "main\n{\"a\":1}\n"+s.sh(s.other, "git rev-parse HEAD") {
		t.Errorf("what the review squashed is not checked out: %s", got)
	}
	s.do(git.Push, map[string]any{"main": true})
}

// TestTheGuidesOwnPushSucceedsWithNothing: the guide has no commit, and all
// that follows it "succeeds" with nothing updated.
func TestTheGuidesOwnPushSucceedsWithNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sh(s.dir, `git checkout -q -b update-dependencies; echo '{"a":1}' > backend/package-lock.json; git push -q origin update-dependencies; git stash -q; git checkout -q main; git merge -q update-dependencies; git push -q origin main`)
	if got := s.sh(s.dir, "git log --oneline origin/main | wc -l"); got != "1" {
		t.Fatalf("the guide's own commands merged something: %s commits", got)
	}
	s.sh(s.dir, "git checkout -q -b update-dependencies-2026-11-23; git stash pop -q")
	s.refused(git.Push, nil, checks.NoData, "pushing it would change nothing")
}

func TestWhatABranchIsNotMadeFrom(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sh(s.dir, "echo x > backend/new.txt")
	s.refused(git.Branch, nil, checks.Other, "1 files differ from the last commit (?? backend/new.txt)")
	s.sh(s.dir, "rm backend/new.txt; git commit -q --allow-empty -m mine")
	s.refused(git.Branch, map[string]any{"main": true}, checks.Other, "main here has commits that origin has not")
	s.project(func(p *checks.Project) { p.Production = true })
	s.refused(git.Branch, nil, checks.Other, "served from this very tree")
	s.refused(git.Merge, nil, checks.Other, "served from this very tree")
}

// TestABranchBeginsWhereTheRemoteIsNow and not where this clone last saw it; a
// name that is taken gets a number.
func TestABranchBeginsWhereTheRemoteIsNow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sh(s.other, "echo x > other.txt; git add .; git commit -qm other; git push -q origin main; git push -q origin main:update-dependencies-2026-11-23")
	s.do(git.Branch, nil)
	if got, want := s.sh(s.dir, "git branch --show-current; git rev-parse HEAD"), "update-dependencies-2026-11-23-2\n"+s.sh(s.other, "git rev-parse HEAD"); got != want {
		t.Errorf("at %s, want %s", got, want)
	}
	s.do(git.Branch, map[string]any{"main": true})
	if got, want := s.sh(s.dir, "git rev-parse main"), s.sh(s.other, "git rev-parse HEAD"); got != want {
		t.Errorf("main is at %s, want %s", got, want)
	}
}

func TestNothingIsPushedByForce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.do(git.Branch, nil)
	s.sh(s.dir, `echo '{"a":1}' > backend/package-lock.json; git commit -qam mine`)
	s.sh(s.other, "git checkout -q -b update-dependencies-2026-11-23; echo y > y; git add y; git commit -qm theirs; git push -q origin update-dependencies-2026-11-23")
	s.refused(git.Push, nil, checks.Other, "has commits on update-dependencies-2026-11-23 that are not here")
	s.refused(git.Push, map[string]any{"main": true}, checks.Other, "not main")

	check := s.check(git.Push, nil)
	if res := checks.NewRunner(s.env, nil).Act(t.Context(), check, checks.Own{}); res.Level != checks.Unknown {
		t.Errorf("pushed over a colleague's commit: %v", res.Level)
	}
	if got, want := s.sh(s.remote, "git rev-parse update-dependencies-2026-11-23"), s.sh(s.other, "git rev-parse HEAD"); got != want {
		t.Error("the colleague's commit is gone")
	}
}

// TestARemoteThatRefusesIsHeard: a protected branch says no, and what it says
// is the error.
func TestARemoteThatRefusesIsHeard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	checktest.WriteExecutable(t, filepath.Join(s.remote, "hooks", "pre-receive"), []byte("#!/bin/sh\necho main is protected >&2\nexit 1\n"))
	s.sh(s.dir, "git commit -q --allow-empty -m mine")
	res := checks.NewRunner(s.env, nil).Act(t.Context(), s.check(git.Push, map[string]any{"main": true}), checks.Own{})
	if res.Level != checks.Unknown || !strings.Contains(res.Err, "pre-receive hook declined") {
		t.Errorf("%v %s", res.Level, res.Err)
	}
}

func TestAMergeHereStopsAtAConflict(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.project(func(p *checks.Project) { p.MergeHere = true })
	s.do(git.Branch, nil)
	s.sh(s.dir, `echo '{"a":1}' > backend/package-lock.json; git commit -qam mine`)
	res := s.preview(git.Merge, nil)
	if res.Level != checks.OK || !strings.Contains(strings.Join(res.Detail, "\n"), "careful: backend: it is merged here, past review") {
		t.Errorf("%v %v %s", res.Level, res.Detail, res.Err)
	}
	s.sh(s.other, `git pull -q origin main; echo '{"b":2}' > backend/package-lock.json; git commit -qam theirs; git push -q origin main`)
	s.refused(git.Merge, nil, checks.Other, "conflict")
	s.sh(s.other, "git revert --no-edit HEAD; git push -q origin main")
	s.do(git.Merge, nil)
	if got := s.sh(s.dir, "git branch --show-current; cat backend/package-lock.json"); got != "main\n{\"a\":1}" {
		t.Errorf("%s", got)
	}
}

func TestWhereThereIsNoRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sh(s.dir, "mv .git ../put-away")
	s.refused(git.Branch, nil, checks.Missing, "is in no git repository")
	s.sh(s.dir, "mv ../put-away .git; git remote set-url origin ssh://ops@127.0.0.1:1/none.git")
	s.refused(git.Branch, nil, checks.Refused, "Connection refused")
	s.project(func(p *checks.Project) { p.Dir = "/nowhere" })
	s.refused(git.Push, nil, checks.Missing, "there is no /nowhere")
	s.env.Site.Projects = nil
	if res := s.preview(git.Push, nil); res.Level != checks.Skipped {
		t.Errorf("no projects: %v", res.Level)
	}
}

// TestARepositoryOfAnotherUserIsDenied, with what to do about it.
func TestARepositoryOfAnotherUserIsDenied(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("needs root, to give a file away")
		}
		t.Skip("needs root, to give a file away")
	}
	s := newSite(t)
	s.sh(s.dir, "chown -R 65534 .")
	s.refused(git.Branch, nil, checks.Denied, "safe.directory")
}

// TestLookingRunsNothingOfTheRepository: its configuration may name programs.
func TestLookingRunsNothingOfTheRepository(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	trap := filepath.Join(t.TempDir(), "trap")
	checktest.WriteExecutable(t, trap+".sh", []byte("#!/bin/sh\ntouch "+trap+"\n"))
	s.sh(s.dir, "git config core.fsmonitor "+trap+".sh; git config core.pager "+trap+".sh")
	if _, err := git.Look(t.Context(), s.env, s.env.Site.Projects["backend"]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("a program that the repository names was run")
	}
}
