// Package holders says which processes hold which files open.
//
// It reads /proc and changes nothing. A file is known by device and inode, so
// that one which was renamed or removed is known still.
package holders

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// A File is known by its device and its inode.
type File struct{ Device, Inode uint64 }

// A Holder is a process that has a file open.
type Holder struct {
	PID    int
	Name   string // as the kernel calls it, 15 characters at most
	Writes bool   // it may write to it
}

// String names the process.
func (h Holder) String() string { return fmt.Sprintf("process %d %s", h.PID, h.Name) }

// Of lists who has which regular file open. It fails where that cannot be seen
// of every process: nobody is said to hold a file only because it was not seen.
func Of(ctx context.Context, root string) (map[File][]Holder, error) {
	proc := filepath.Join(root, "proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, fmt.Errorf("looking who has files open: %w", err)
	}
	held := map[File][]Holder{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := descriptors(proc, pid, held); err != nil {
			return nil, err
		}
	}
	return held, nil
}

func descriptors(proc string, pid int, held map[File][]Holder) error {
	dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrPermission):
		if isKernel(proc, pid) {
			return nil
		}
		return checks.Failed(checks.Denied, "the open files of other users' processes cannot be seen: run it as root, or with CAP_SYS_PTRACE")
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return nil // it has ended
	case err != nil:
		return fmt.Errorf("looking who has files open: %w", err)
	}
	name := nameOf(proc, pid)
	for _, fd := range fds {
		path := filepath.Join(dir, fd.Name())
		var stat syscall.Stat_t
		if syscall.Stat(path, &stat) != nil || stat.Mode&syscall.S_IFMT != syscall.S_IFREG {
			continue
		}
		file := File{uint64(stat.Dev), stat.Ino}
		held[file] = append(held[file], Holder{PID: pid, Name: name, Writes: writes(path)})
	}
	return nil
}

// writes: the link of a descriptor that may be written to has a mode that says so.
func writes(path string) bool {
	link, err := os.Lstat(path)
	return err == nil && link.Mode().Perm()&0o200 != 0
}

// isKernel: a kernel thread has no command line and opens no files.
func isKernel(proc string, pid int) bool {
	line, err := hostfs.Head(filepath.Join(proc, strconv.Itoa(pid), "cmdline"), 1)
	return err == nil && len(line.Bytes) == 0
}

// maxName bounds the name of a process, of which the kernel keeps 15 bytes.
const maxName = 4 << 10

func nameOf(proc string, pid int) string {
	raw, err := hostfs.Read(filepath.Join(proc, strconv.Itoa(pid), "comm"), maxName)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
