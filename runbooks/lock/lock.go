package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Held is a set of targets that this process holds. It ends with Release, or
// with the process.
type Held struct{ files []*os.File }

// A HeldError says that another process works at the target.
type HeldError struct {
	Target string
	By     Holder
}

// Error names the target and who holds it.
func (e *HeldError) Error() string { return e.Target + " is being worked at by " + e.By.String() }

// Acquire takes all targets or none. It does not wait: a target that another
// process holds is a *HeldError. Where the process has two folders, the targets
// are taken in both, in the user's own first.
func (f Folder) Acquire(targets []string, me Claim) (*Held, error) {
	targets = slices.Compact(slices.Sorted(slices.Values(targets)))
	h := &Held{}
	for _, in := range f.all() {
		if err := in.acquire(h, targets, me); err != nil {
			h.Release()
			return nil, err
		}
	}
	return h, nil
}

// all are the folders that a target is locked in, in the order of taking.
func (f Folder) all() []Folder {
	if f.own == nil {
		return []Folder{f}
	}
	return []Folder{*f.own, f}
}

// acquire takes targets in this folder alone and adds them to what is held.
func (f Folder) acquire(h *Held, targets []string, me Claim) error {
	dir, err := f.open()
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing was written through it
	for _, target := range targets {
		file, err := f.take(dir, target)
		if err != nil {
			return err
		}
		h.files = append(h.files, file)
		if err := me.write(file); err != nil {
			return fmt.Errorf("locking %s: writing who holds it: %w", target, err)
		}
	}
	return nil
}

// Release gives the targets back.
func (h *Held) Release() {
	for _, file := range h.files {
		file.Truncate(0) //nolint:errcheck // the claim counts only while its process holds the lock
		file.Close()     //nolint:errcheck // the kernel takes the lock back either way
	}
	h.files = nil
}

// tries bounds how often a file is taken again that changed while it was taken.
const tries = 16

// take locks the target's file. A file that is not the one of its name any more
// when the lock is had protects nothing, and the next is tried.
func (f Folder) take(dir *os.File, target string) (*os.File, error) {
	for range tries {
		file, err := f.openFile(dir, name(target))
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", target, err)
		}
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			by, held := holderOf(file)
			file.Close() //nolint:errcheck // nothing was written
			if !held {
				continue // it has just been given back, or a process that cannot be seen here holds it
			}
			return nil, &HeldError{target, by}
		case err != nil:
			return nil, errors.Join(fmt.Errorf("locking %s: %w", target, err), file.Close())
		}
		if current(dir, file) {
			return file, nil
		}
		file.Close() //nolint:errcheck // nothing was written
	}
	return nil, &HeldError{Target: target}
}

// current reports whether the open file is the one that its name stands for now.
func current(dir, file *os.File) bool {
	var have, named unix.Stat_t
	if unix.Fstat(int(file.Fd()), &have) != nil {
		return false
	}
	err := unix.Fstatat(int(dir.Fd()), file.Name(), &named, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && have.Dev == named.Dev && have.Ino == named.Ino
}

// openFile opens a lock's file, and makes it if there is none.
func (f Folder) openFile(dir *os.File, name string) (*os.File, error) {
	for range tries {
		fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			if err := f.create(dir, name); err != nil {
				return nil, fmt.Errorf("making %s in %s: %w", name, f.path, err)
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("opening %s in %s: %w", name, f.path, err)
		}
		file := os.NewFile(uintptr(fd), name)
		if err := f.fit(file); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return file, nil
	}
	return nil, fmt.Errorf("%s in %s is removed as often as it is made", name, f.path)
}

// create makes the file with its final mode, whatever the umask: it appears
// under its name only when it has it, so that no other user is refused meanwhile.
func (f Folder) create(dir *os.File, name string) error {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDWR|unix.O_TMPFILE|unix.O_CLOEXEC, f.file)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) { // a file system without such files
		return f.createAtOnce(dir, name)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // it is empty
	if err := unix.Fchmod(fd, f.file); err != nil {
		return err
	}
	err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), int(dir.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, unix.EEXIST) {
		return nil // another process was quicker
	}
	return err
}

func (f Folder) createAtOnce(dir *os.File, name string) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, f.file)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(unix.Fchmod(fd, f.file), unix.Close(fd))
}

// fit refuses a file that is not as it would be made: a link to a file
// elsewhere, or one that users outside the folder's group can open.
func (f Folder) fit(file *os.File) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return fmt.Errorf("looking at %s in %s: %w", file.Name(), f.path, err)
	}
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s in %s is not a regular file", file.Name(), f.path)
	case stat.Nlink > 1:
		return fmt.Errorf("%s in %s has %d names, expected one", file.Name(), f.path, stat.Nlink)
	case stat.Mode&0o007 != 0:
		return fmt.Errorf("%s in %s is open to any user (mode %04o, expected %04o)", file.Name(), f.path, stat.Mode&0o7777, f.file)
	}
	return nil
}

func name(target string) string {
	sum := sha256.Sum256([]byte(target))
	return hex.EncodeToString(sum[:16])
}

// write puts the claim into the file.
func (c Claim) write(file *os.File) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(text, 0)
	return err
}
