package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// TestAFolderThatOthersCanChangeIsLeftOutOfThePath: the interpreter of a script
// and what a program starts are looked up there without a check.
func TestAFolderThatOthersCanChangeIsLeftOutOfThePath(t *testing.T) { // not parallel: it changes folders
	system, open := slices.Clone(folders), t.TempDir()
	t.Cleanup(func() { folders = system })
	folders = slices.Concat([]string{open, filepath.Join(open, "absent")}, system)
	asRoot(t, os.Chown(open, -1, 12345))
	must(t, os.Chmod(open, 0o775|os.ModeSetgid))
	write(t, filepath.Join(open, "cat"), "#!/bin/sh\necho the false cat\n", 0o755)
	write(t, filepath.Join(open, "only-here"), "#!/bin/sh\n", 0o755)

	job := write(t, filepath.Join(t.TempDir(), "job"), "#!/usr/bin/env cat\n", 0o755)
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{job}})
	if err != nil || string(out.Stdout) != "#!/usr/bin/env cat\n" {
		t.Errorf("the interpreter said %q, %v", out.Stdout, err)
	}
	out, err = NewExec()(t.Context(), checks.Call{Argv: []string{"cat", job}})
	if err != nil || string(out.Stdout) != "#!/usr/bin/env cat\n" {
		t.Errorf("the bare name said %q, %v", out.Stdout, err)
	}
	_, err = NewExec()(t.Context(), checks.Call{Argv: []string{"only-here"}})
	if checks.ClassOf(err) != checks.Denied || !strings.Contains(err.Error(), "writable by group 12345") {
		t.Errorf("a program in that folder only: class %q, %v", checks.ClassOf(err), err)
	}
	if why := LeftOut(); len(why) == 0 || !strings.Contains(why[0].Error(), open) {
		t.Errorf("left out are %v, want %s", why, open)
	}
}
