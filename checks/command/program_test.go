package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestAProgramThatOthersCouldChangeIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		make  func(t *testing.T, dir string) string
		class checks.Class
		says  string
	}{
		{"writable by others", func(t *testing.T, dir string) string {
			return write(t, filepath.Join(dir, "p"), "#!/bin/sh\n", 0o757)
		}, checks.Denied, "writable by others"},
		{"writable by a group", func(t *testing.T, dir string) string {
			path := write(t, filepath.Join(dir, "p"), "#!/bin/sh\n", 0o775)
			asRoot(t, os.Chown(path, -1, 12345))
			return path
		}, checks.Denied, "writable by group 12345"},
		{"owned by somebody else", func(t *testing.T, dir string) string {
			path := write(t, filepath.Join(dir, "p"), "#!/bin/sh\n", 0o755)
			asRoot(t, os.Chown(path, 12345, -1))
			return path
		}, checks.Denied, "belongs to user 12345"},
		{"in a folder writable by others", func(t *testing.T, dir string) string {
			must(t, os.Chmod(dir, 0o777))
			return write(t, filepath.Join(dir, "p"), "#!/bin/sh\n", 0o755)
		}, checks.Denied, "its folder"},
		{"in a sticky folder writable by others", func(t *testing.T, dir string) string {
			must(t, os.Chmod(dir, 0o777|os.ModeSticky))
			return write(t, filepath.Join(dir, "p"), "#!/bin/sh\n", 0o755)
		}, checks.Denied, "its folder"},
		{"below a folder writable by others", func(t *testing.T, dir string) string {
			must(t, os.Chmod(dir, 0o777))
			must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
			return write(t, filepath.Join(dir, "sub", "p"), "#!/bin/sh\n", 0o755)
		}, checks.Denied, "its folder"},
		{"a link that others could turn", func(t *testing.T, dir string) string {
			must(t, os.Chmod(dir, 0o777))
			must(t, os.Symlink("/bin/true", filepath.Join(dir, "p")))
			return filepath.Join(dir, "p")
		}, checks.Denied, "its folder"},
		{"a link to what others could change", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "p"), "#!/bin/sh\n", 0o757)
			must(t, os.Symlink("p", filepath.Join(dir, "link")))
			return filepath.Join(dir, "link")
		}, checks.Denied, "writable by others"},
		{"not executable", func(t *testing.T, dir string) string {
			return write(t, filepath.Join(dir, "p"), "#!/bin/sh\n", 0o644)
		}, checks.Denied, "chmod +x"},
		{"a folder", func(_ *testing.T, dir string) string { return dir }, checks.Denied, "not a regular file"},
		{"missing", func(_ *testing.T, dir string) string { return filepath.Join(dir, "p") }, "", "no such file"},
		{"no such name", func(*testing.T, string) string { return "no-such-program" }, checks.Missing, "no program no-such-program in /usr/local/sbin:"},
		{"relative", func(*testing.T, string) string { return "./p" }, checks.Other, "neither an absolute path nor a bare name"},
		{"without its interpreter", func(t *testing.T, dir string) string {
			return write(t, filepath.Join(dir, "p"), "#!/no/such/shell\n", 0o755)
		}, checks.Missing, "its interpreter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewExec()(t.Context(), checks.Call{Argv: []string{tt.make(t, t.TempDir())}})
			if err == nil || checks.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("class %q: %v", checks.ClassOf(err), err)
			}
		})
	}
}

func TestALinkKeepsItsName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "p"), "#!/bin/sh\nbasename \"$0\"\n", 0o755)
	must(t, os.Symlink(path, filepath.Join(dir, "other-name")))
	out, err := NewExec()(t.Context(), checks.Call{Argv: []string{filepath.Join(dir, "other-name")}})
	if err != nil || string(out.Stdout) != "other-name\n" {
		t.Errorf("%q, %v", out.Stdout, err)
	}
}

func TestMalformedCallsAreRefused(t *testing.T) {
	t.Parallel()
	for _, call := range []checks.Call{
		{}, {Argv: []string{""}}, {Argv: []string{"true", "a\x00b"}},
		{Argv: []string{"true"}, Env: []string{"NOVALUE"}}, {Argv: []string{"true"}, Env: []string{"=x"}},
	} {
		if _, err := NewExec()(t.Context(), call); checks.ClassOf(err) != checks.Internal {
			t.Errorf("%q: %v", call.Argv, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func asRoot(t *testing.T, err error) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("only root can give a file away")
		}
		t.Skip("only root can give a file away")
	}
	must(t, err)
}
