package git_test

import (
	"os"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/git"
)

// TestNothingOfASubmoduleRuns: its configuration and its hooks may be of
// somebody else, and .gitmodules may ask git to go into it.
func TestNothingOfASubmoduleRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ran := t.TempDir() + "/ran"
	s.sh(s.dir, `
		git init -q plugin; echo a >plugin/f.txt
		git -C plugin add .; git -C plugin -c user.name=x -c user.email=x@example.org commit -qm plugin
		git add plugin; printf '[submodule "plugin"]\npath = plugin\nurl = ../remote.git\nignore = none\nfetchRecurseSubmodules = true\n' >.gitmodules
		git add .gitmodules; git commit -qm 'with a plugin'; git push -q origin main`)
	s.sh(s.dir, `
		printf '#!/bin/sh\ntouch `+ran+`\ncat\n' >plugin/.git/evil; chmod +x plugin/.git/evil; cp plugin/.git/evil plugin/.git/hooks/post-checkout
		git -C plugin config filter.x.clean "$PWD/plugin/.git/evil"; git -C plugin config core.fsmonitor "$PWD/plugin/.git/evil"
		echo '* filter=x' >plugin/.gitattributes; echo b >plugin/f.txt; touch -d '1 hour ago' plugin/f.txt`)
	still := func(after string) {
		t.Helper()
		if _, err := os.Stat(ran); err == nil {
			t.Fatalf("%s ran a program of the submodule", after)
		}
	}
	tree, err := git.Look(t.Context(), s.env, s.env.Site.Projects["backend"])
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Clean(); err != nil {
		t.Error(err)
	}
	still("looking")
	s.do(git.Branch, nil)
	still("a branch")
	s.sh(s.dir, `echo '{"a":1}' > backend/package-lock.json`)
	s.do(git.Commit, nil)
	still("a commit")
	s.do(git.Push, nil)
	still("a push")
	s.sh(s.dir, "git status --short")
	if _, err := os.Stat(ran); err != nil {
		t.Error("git by itself does not go into the submodule, so that this test shows nothing")
	}
}
