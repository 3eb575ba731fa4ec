package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestOnlyASmallRegularFileIsRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"empty": 0, "text": 40, "huge": maxFile + 1} {
		if err := os.WriteFile(path(name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]checks.Class{
		path("pipe"): checks.Other, dir: checks.Other, "/dev/zero": checks.Other,
		path("empty"): checks.Parse, path("text"): checks.Parse, path("huge"): checks.Limit,
	} {
		if pool, err := Roots(file); pool != nil || checks.ClassOf(err) != want {
			t.Errorf("%s: class %q, %v; want class %q", file, checks.ClassOf(err), err, want)
		}
	}
	if _, err := Roots(path("nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if pool, err := Roots(""); pool == nil || err != nil {
		t.Errorf("without a file: %v", err)
	}
}
