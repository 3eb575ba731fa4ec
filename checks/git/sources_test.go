package git_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/git"
)

// TestAHookOfSomebodyElseKeepsGitFromRunning: git would run it on a commit.
func TestAHookOfSomebodyElseKeepsGitFromRunning(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	s := newSite(t)
	s.sh(s.dir, "mkdir -p .git/hooks; touch .git/hooks/pre-commit; chown 65534 .git/hooks/pre-commit")
	s.refused(git.Branch, nil, checks.Denied, "refusing to run /usr/bin/git: its configuration")
}

func TestSourcesFollowWorktreesAndIncludes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"tree/.git":                          "gitdir: " + dir + "/main/.git/worktrees/tree\n",
		"main/.git/config":                   "[core]\n\thooksPath = /srv/hooks\n[include]\n\tpath = more.conf\n",
		"main/.git/worktrees/tree/x":         "",
		"main/.git/worktrees/tree/commondir": "../..\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Join(git.Sources(filepath.Join(dir, "tree")), "\n")
	for _, want := range []string{dir + "/tree/.git", dir + "/main/.git/config", dir + "/main/.git/hooks", "/srv/hooks", dir + "/main/.git/more.conf"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}
