package hostfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileIsReadWholeOrNotAtAll(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "f"), "0123456789")
	for limit, want := range map[int64]string{11: "0123456789", 10: "0123456789", 9: "", 0: ""} {
		got, err := hostfs.Read(path, limit)
		var large *hostfs.TooLargeError
		if string(got) != want || (want == "") != errors.As(err, &large) {
			t.Errorf("limit %d: %q, %v", limit, got, err)
		}
		if large != nil && (large.Path != path || large.Limit != limit) {
			t.Errorf("limit %d: the error names %s and %d", limit, large.Path, large.Limit)
		}
	}
}

// TestAFileOfProcIsRead: its size is 0 until it is read.
func TestAFileOfProcIsRead(t *testing.T) {
	got, err := hostfs.Read("/proc/self/status", 1<<20)
	if err != nil || !bytes.Contains(got, []byte("Name:")) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := hostfs.Read("/proc/self/status", 10); !errors.As(err, new(*hostfs.TooLargeError)) {
		t.Errorf("ten bytes of it: %v", err)
	}
}

// TestWhatIsNotARegularFileIsRefusedAtOnce: were one of these opened without
// care, the read would wait for ever.
func TestWhatIsNotARegularFileIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for path, kind := range map[string]string{pipe: "a named pipe", socket: "a socket", "/dev/zero": "a device", dir: "a folder"} {
		var refused *hostfs.KindError
		if _, err := hostfs.Read(path, 100); !errors.As(err, &refused) || refused.Kind != kind {
			t.Errorf("%s: %v, want %s", path, err, kind)
		}
	}
}

func TestALinkIsFollowedOnlyWhereThatIsAsked(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(put(t, filepath.Join(dir, "f"), "x"), link); err != nil {
		t.Fatal(err)
	}
	if got, err := hostfs.Read(link, 10); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := hostfs.ReadNoFollow(link, 10); !errors.As(err, new(*hostfs.LinkError)) {
		t.Errorf("%v", err)
	}
	if _, err := hostfs.Read(filepath.Join(dir, "none"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAPartSaysWhichPartItIs(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "f"), "0123456789")
	for _, c := range []struct {
		read  func(string, int64) (hostfs.Part, error)
		most  int64
		want  string
		from  int64
		whole bool
	}{
		{hostfs.Head, 3, "012", 0, false},
		{hostfs.Tail, 3, "789", 7, false},
		{hostfs.Head, 10, "0123456789", 0, true},
		{hostfs.Tail, 99, "0123456789", 0, true},
	} {
		p, err := c.read(path, c.most)
		if err != nil || string(p.Bytes) != c.want || p.From != c.from || p.Whole != c.whole || p.Info.Size != 10 {
			t.Errorf("%d: %+v, %v", c.most, p, err)
		}
	}
	if p, err := hostfs.Head("/proc/self/status", 20); err != nil || len(p.Bytes) != 20 || p.Whole {
		t.Errorf("a file that has no size: %+v, %v", p, err)
	}
}
