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
// here is left to the append, which says what it lacks. A ballast that is not
// whole was left by a process that was killed or a disk that was full while it
// was made: it is replaced.
func balance(dir string) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return
	}
	free := int64(disk.Bavail) * disk.Bsize
	info, err := os.Lstat(ballastPath(dir))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
	case free < leastFree && err == nil:
		os.Remove(ballastPath(dir)) //nolint:errcheck // the append says what it lacks
	case free > plenty && (err != nil || info.Size() != ballastSize):
		takeBallast(dir) //nolint:errcheck // the record works without
	}
}

// takeBallast reserves the room under a temporary name first. Only the process
// that holds the journal's lock takes it.
func takeBallast(dir string) error {
	temp := ballastPath(dir) + ".new"
	err := os.Remove(temp)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = reserve(temp)
	}
	if err == nil {
		err = os.Rename(temp, ballastPath(dir))
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		os.Remove(temp) //nolint:errcheck // it may not be there; the next attempt removes it
		return fmt.Errorf("reserving room for the record: %w", err)
	}
	return nil
}

func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, ballastSize)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
