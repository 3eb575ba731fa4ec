package step

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrTaken says that a step was started from the folder before, or is buried.
var ErrTaken = errors.New("a step was started from this folder before")

// take makes sure that nobody else starts from the folder, now or later. The
// lock belongs to the open file, and the kernel frees it with the process.
func (f Folder) take() (*os.File, error) {
	lock, err := f.open(lockFile, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("locking the step: %w", err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(lock.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
			err = ErrTaken
		}
		return nil, errors.Join(err, lock.Close())
	}
	for _, name := range []string{cardFile, resultFile, buriedFile} {
		if _, err := os.Lstat(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(ErrTaken, lock.Close())
		}
	}
	return lock, nil
}

// held reports whether a step holds the folder. It asks and does not try: a
// try would keep a step from taking it.
func (f Folder) held() (bool, error) {
	lock, err := f.open(lockFile, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking for the step's lock: %w", err)
	}
	defer lock.Close() //nolint:errcheck // nothing was written
	asked := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(lock.Fd(), unix.F_OFD_GETLK, &asked); err != nil {
		return false, fmt.Errorf("asking for the step's lock: %w", err)
	}
	return asked.Type != unix.F_UNLCK, nil
}

// Bury makes sure that no step ever starts from the folder: one whose start
// nobody saw must not begin after its outcome was decided. It is ErrTaken if a
// step has begun, or the folder is buried.
func (f Folder) Bury() error {
	lock, err := f.take()
	if err != nil {
		return err
	}
	defer lock.Close()                                     //nolint:errcheck // nothing was written
	if err := f.place(buriedFile, nil, true); err != nil { // empty: a full disk takes it
		return fmt.Errorf("burying the step: %w", err)
	}
	f.FreeRoom() //nolint:errcheck // it only takes room, and Prune tries again
	return nil
}
