package git_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/git"
)

// TestAHookOfSomebodyElseKeepsGitFromRunning: git would run it on a commit.
func TestAHookOfSomebodyElseKeepsGitFromRunning(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a file has to be given to another user: run as root")
		}
		t.Skip("needs root to give a file to another user")
	}
	for name, make := range map[string]string{
		"in .git/hooks":                       "mkdir -p .git/hooks; touch .git/hooks/pre-commit; chown 65534 .git/hooks/pre-commit",
		"in the hooksPath of the worktree":    "git config core.hooksPath .husky; mkdir .husky; touch .husky/pre-commit; chown 65534 .husky/pre-commit",
		"in a hooksPath that is included":     "git config include.path more.conf; printf '[core] hooksPath = \"./.husky\" # ours' >.git/more.conf; mkdir .husky; touch .husky/x; chown 65534 .husky/x",
		"in a configuration that is included": "git config include.path more.conf; printf '[include]\n\tpath = last.conf' >.git/more.conf; touch .git/last.conf; chown 65534 .git/last.conf",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.sh(s.dir, make)
			s.refused(git.Branch, nil, checks.Denied, "refusing to run /usr/bin/git: its configuration")
		})
	}
}

// TestSourcesThatAreNotAllKnownAreAnError: what is not looked at could be of
// anybody.
func TestSourcesThatAreNotAllKnownAreAnError(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ config, says string }{
		"more files than are looked at": {manyIncludes(2000), "more than 2000 files"},
		"a file larger than is read":    {strings.Repeat("#\n", 1<<20), "is larger than 1 MiB"},
		"a path of git's own":           {"[core]\nhooksPath = %(prefix)/hooks\n", "only git knows"},
		"a home of an unknown user":     {"[include]\npath = ~no-such-user/x\n", "unknown user"},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, ".git"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".git/config"), []byte(tt.config), 0o644); err != nil {
			t.Fatal(err)
		}
		if found, err := git.Sources(dir); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %d sources, %v, want %q", name, len(found), err, tt.says)
		}
	}
}

func manyIncludes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[include]\npath = %d.conf\n", i)
	}
	return b.String()
}

func TestSourcesFollowWorktreesAndIncludes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"tree/.git":                          "gitdir: " + dir + "/main/.git/worktrees/tree\n",
		"main/.git/config":                   "[core]\n\thooksPath = /srv/hooks\n[include]\n\tpath = more.conf\n",
		"main/.git/more.conf":                "[includeIf \"onbranch:x]\"] path = \"d\\\\ir/\"last.conf ; more\n",
		"main/.git/d\\ir/last.conf":          "[Core]\nfsmonitor\nHOOKSPATH = a\\\n b\n",
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
	got, err := git.Sources(filepath.Join(dir, "tree"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		dir + "/tree/.git", dir + "/main/.git/config", dir + "/main/.git/hooks", "/srv/hooks", dir + "/main/.git/more.conf",
		dir + "/main/.git/d\\ir/last.conf", dir + "/tree/a b", "/etc/gitconfig",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
}
