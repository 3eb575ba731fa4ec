package hostfs

import (
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// A TooLargeError is a file or a stream of which more is there than may be
// read of it. Nothing of it was returned.
type TooLargeError struct {
	Path  string
	Limit int64 // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s is larger than %s, and is not read in part", e.Path, size(e.Limit))
}

// A KindError is an entry that is something else than what was asked for, such
// as a pipe where a regular file is wanted.
type KindError struct {
	Path string
	Kind string // what it is: "a named pipe"
	Want string // what was asked for: "a regular file"
}

func (e *KindError) Error() string {
	return fmt.Sprintf("%s is %s, not %s", e.Path, e.Kind, e.Want)
}

// A LinkError is a symbolic link that was not followed.
type LinkError struct {
	Path  string
	Owner int64 // uid of the link's owner if that is the reason; -1 where none is followed
}

func (e *LinkError) Error() string {
	if e.Owner >= 0 {
		return fmt.Sprintf("%s is a symbolic link of user %d: only links of root and of the user are followed", e.Path, e.Owner)
	}
	return e.Path + " is a symbolic link, which is not followed"
}

// Unwrap is what the kernel says of such a link.
func (e *LinkError) Unwrap() error { return unix.ELOOP }

// A MountError is a folder that lies on another mount than the folder above it
// from which the descent began.
type MountError struct {
	Root string
	Path string
}

func (e *MountError) Error() string {
	return fmt.Sprintf("%s is on another mount than %s: name the mount itself in the site file", e.Path, e.Root)
}

// A ChangedError is an entry that is not the one that was looked at before.
type ChangedError struct {
	Path     string
	Want, Is ID
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s was replaced: it was %s and is %s", e.Path, e.Want, e.Is)
}

// kindOf names what a mode says an entry is.
func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFDIR:
		return "a folder"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFIFO:
		return "a named pipe"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "a device"
	}
	return "a special file"
}

// size is a number of bytes as a limit is spoken of.
func size(bytes int64) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// failed is an error of a system call with what was being done and to what.
func failed(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// A TooManyError is a folder with more entries than are looked at.
type TooManyError struct {
	Path  string
	Limit int
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("%s has more than %d entries", e.Path, e.Limit)
}
