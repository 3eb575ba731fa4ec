package journal

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestALogIsARegularFileOfTheStateDirectory(t *testing.T) {
	kinds := map[string]func(path string) error{
		"a pipe":              func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a pipe that is read": pipeWithReader,
		"a link to a file":    func(path string) error { return os.Symlink(filepath.Join(t.TempDir(), "other"), path) },
		"a device":            func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|3) },
		"a folder":            func(path string) error { return os.Mkdir(path, 0o700) },
	}
	for kind, make := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			if err := make(filepath.Join(dir, "opsdeck.log")); err != nil {
				t.Skip(err) // a device needs root
			}
			answered := time.AfterFunc(20*time.Second, func() { panic(kind + " is waited for") })
			defer answered.Stop()
			if _, err := OpenLog(dir, "opsdeck.log"); err == nil {
				t.Error("it was opened as a log")
			}
		})
	}
	f, err := OpenLog(t.TempDir(), "opsdeck.log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("a line\n"); err != nil {
		t.Error(err)
	}
}

// pipeWithReader is a pipe that can be opened for writing at once.
func pipeWithReader(path string) error {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return err
	}
	_, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	return err
}
