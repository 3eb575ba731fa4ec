package holders

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestReadersAndWritersAreToldApart(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("the files of others can be seen by root alone")
		}
		t.Skip("the files of others can be seen by root alone")
	}
	path := filepath.Join(t.TempDir(), "log")
	writer, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := os.Rename(path, path+".1"); err != nil { // it is known by its inode
		t.Fatal(err)
	}
	idle := filepath.Join(filepath.Dir(path), "idle")
	if err := os.WriteFile(idle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(idle)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	held, err := Of(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for path, writes := range map[string]bool{path + ".1": true, idle: false} {
		var stat syscall.Stat_t
		if err := syscall.Stat(path, &stat); err != nil {
			t.Fatal(err)
		}
		found := held[File{uint64(stat.Dev), stat.Ino}]
		if len(found) != 1 || found[0].PID != os.Getpid() || found[0].Name == "" || found[0].Writes != writes {
			t.Errorf("%s: %+v", path, found)
		}
	}
}

// Only of a process that has ended is it known that it holds nothing.
func TestAProcessUnseenIsAnError(t *testing.T) {
	root := t.TempDir()
	ended, strange := filepath.Join(root, "proc/7"), filepath.Join(root, "proc/8")
	if err := os.MkdirAll(ended, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Of(t.Context(), root); err != nil {
		t.Errorf("a process that has ended: %v", err)
	}
	if err := os.Mkdir(strange, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(strange, "fd"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if held, err := Of(t.Context(), root); err == nil {
		t.Errorf("a process whose files cannot be listed: %v", held)
	}
}

func TestAProcUnseenIsAnError(t *testing.T) {
	if held, err := Of(t.Context(), t.TempDir()); err == nil {
		t.Errorf("%v", held)
	}
}
