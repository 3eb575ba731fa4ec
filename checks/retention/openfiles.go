package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks"
)

var errEnd = io.EOF

// openFiles says which process holds which file open, by device and inode. It
// fails where that cannot be seen of every process: without that knowledge
// nothing is compressed or removed.
func openFiles(ctx context.Context, root string) (map[[2]uint64]string, error) {
	proc := filepath.Join(root, "proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, fmt.Errorf("looking who has files open: %w", err)
	}
	held := map[[2]uint64]string{}
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

func descriptors(proc string, pid int, held map[[2]uint64]string) error {
	dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrPermission):
		if isKernel(proc, pid) {
			return nil
		}
		return checks.Failed(checks.Denied, "the open files of other users' processes cannot be seen: run it as root, or with CAP_SYS_PTRACE")
	case err != nil:
		return nil // it has ended
	}
	for _, fd := range fds {
		var stat syscall.Stat_t
		if syscall.Stat(filepath.Join(dir, fd.Name()), &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG {
			held[[2]uint64{uint64(stat.Dev), stat.Ino}] = fmt.Sprintf("process %d %s", pid, nameOf(proc, pid))
		}
	}
	return nil
}

// isKernel: a kernel thread has no command line and opens no files.
func isKernel(proc string, pid int) bool {
	raw, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "cmdline"))
	return err == nil && len(raw) == 0
}

func nameOf(proc string, pid int) string {
	raw, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
