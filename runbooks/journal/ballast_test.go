package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestTheBallastIsGivenUpForTheRecord: a full disk takes events for as long as
// the ballast lasts, and it comes back with the room.
func TestTheBallastIsGivenUpForTheRecord(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m,mode=700"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("a small file system is needed: %v", err)
		}
		t.Skipf("a small file system is needed: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	j, err := Open(dir, Holder{User: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Release()
	if _, err := j.Append(note("first")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(ballastPath(dir))
	if err != nil || info.Size() != ballastSize || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 64<<10); ; {
		if _, err := filler.Write(block); err != nil {
			break
		}
	}
	filler.Close()
	for range 50 {
		if _, err := j.Append(note("on a full disk")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(ballastPath(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the ballast is still there: %v", err)
	}
	os.Remove(filler.Name())
	if _, err := j.Append(note("with room again")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ballastPath(dir)); err != nil {
		t.Errorf("the ballast did not come back: %v", err)
	}
}
