package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The ballast is room that the record has for itself: when the disk is full,
// the outcome of what is being done must still be recorded. It is given up
// when less than leastFree is left, and taken again when there is plenty.
const (
	ballastSize = 4 << 20
	leastFree   = 1 << 20
	plenty      = 4 * ballastSize
)

func ballastPath(dir string) string { return filepath.Join(dir, "ballast") }

// balance gives the ballast up or takes it, as the disk stands. Whatever fails
// here is left to the append, which says what it lacks.
func balance(dir string) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return
	}
	free := int64(disk.Bavail) * disk.Bsize
	info, err := os.Lstat(ballastPath(dir))
	switch {
	case free < leastFree && err == nil && info.Size() > 0:
		os.Remove(ballastPath(dir)) //nolint:errcheck // the append says what it lacks
	case free > plenty && errors.Is(err, fs.ErrNotExist):
		takeBallast(dir) //nolint:errcheck // the record works without
	}
}

func takeBallast(dir string) error {
	f, err := os.OpenFile(ballastPath(dir), os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("reserving room for the record: %w", err)
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, ballastSize)
	return errors.Join(err, f.Close())
}
