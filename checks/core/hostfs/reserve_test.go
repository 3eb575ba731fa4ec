package hostfs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

func TestWhatWasReservedIsWrittenOverTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exit.json")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := hostfs.Reserve(path, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "before" {
		t.Errorf("while it is reserved the file reads %q", got)
	}
	if err := r.Commit([]byte("after"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "after" {
		t.Errorf("it reads %q", got)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%d files are left", len(names))
	}
}

func TestRoomThatIsNotNeededIsGivenBack(t *testing.T) {
	dir := t.TempDir()
	r, err := hostfs.Reserve(filepath.Join(dir, "result.json"), 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Discard(); err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("%d files are left", len(names))
	}
}

// TestAFullDiskTakesWhatWasReserved: it is filled to its last byte in between.
func TestAFullDiskTakesWhatWasReserved(t *testing.T) {
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m")
	switch {
	case err != nil && os.Getenv("OPSDECK_REQUIRE_REAL") == "1":
		t.Fatal(err)
	case err != nil:
		t.Skip("a full disk needs root:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	path := filepath.Join(dir, "result.json")
	r, err := hostfs.Reserve(path, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if _, err := hostfs.Reserve(filepath.Join(dir, "other"), 64<<10); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk reserved more: %v", err)
	}
	want := bytes.Repeat([]byte("x"), 60<<10)
	if err := r.Commit(want, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}
