package hostfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// unsynced is a reserved file that got its name in a folder that could not be
// made durable: the descriptor lets names be changed and nothing be synced.
func unsynced(t *testing.T, path string) (r *Reserved, mend func()) {
	t.Helper()
	r, err := Reserve(path, 4096)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	bad := os.NewFile(uintptr(fd), filepath.Dir(path))
	t.Cleanup(func() { bad.Close() })
	whole := r.dir.f
	r.dir.f = bad
	if err := r.Commit([]byte("first"), 0o600); err == nil {
		t.Fatal("a folder that cannot be synced was synced")
	}
	return r, func() { r.dir.f = whole }
}

func TestACommitWhoseFolderWasNotDurableCanBeTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	r, mend := unsynced(t, path)
	if err := r.Commit([]byte("second"), 0o600); err == nil {
		t.Error("the second attempt did not sync the folder")
	}
	mend()
	if err := r.Commit([]byte("third"), 0o600); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("it reads %q: %v", got, err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%d files are there", len(names))
	}
}

func TestAFileThatHasItsNameIsNotDiscarded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	r, mend := unsynced(t, path)
	mend()
	if err := r.Discard(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("it reads %q: %v", got, err)
	}
}
