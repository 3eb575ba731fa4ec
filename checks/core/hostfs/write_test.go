package hostfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

func TestAFileIsWrittenWholeWithItsMode(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"first", "second, and longer"} {
		if err := hostfs.WriteAtomic(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(raw) != text || info.Mode().Perm() != 0o644 {
			t.Errorf("%q %v %v %v", raw, info.Mode(), err, statErr)
		}
	}
	alone(t, path)
}

func TestANewFileNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := hostfs.WriteNew(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := hostfs.WriteNew(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "first" {
		t.Errorf("%q, %v", raw, err)
	}
	alone(t, path)
}

// TestWhatHasTheNameIsReplacedAndNotWrittenThrough: a link that somebody put
// there leads nowhere.
func TestWhatHasTheNameIsReplacedAndNotWrittenThrough(t *testing.T) {
	dir := t.TempDir()
	victim := put(t, filepath.Join(dir, "victim"), "precious")
	folder := mkdir(t, filepath.Join(dir, "in"))
	if err := os.Symlink(victim, filepath.Join(folder, "f")); err != nil {
		t.Fatal(err)
	}
	if err := hostfs.WriteAtomic(filepath.Join(folder, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(victim); err != nil || string(raw) != "precious" {
		t.Errorf("%q, %v", raw, err)
	}
	if info, err := os.Lstat(filepath.Join(folder, "f")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAFileThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "f/x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := hostfs.WriteAtomic(filepath.Join(dir, "f"), []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	d := hold(t, dir)
	p, err := d.Create("g")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	alone(t, filepath.Join(dir, "f"))
}

// alone holds that nothing but that file is in its folder.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != filepath.Base(path) {
		t.Errorf("the folder holds %s", got)
	}
}
