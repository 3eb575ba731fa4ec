package hostfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Dir is a folder that is held open. It stays the same folder, whatever
// becomes of the path by which it was opened. Names in it are single names:
// one with a slash, "." and ".." are refused.
type Dir struct {
	f    *os.File
	path string
}

// Path is by what the folder was opened, for messages.
func (d *Dir) Path() string { return d.path }

// Real is where the folder is now, without links, as the kernel says it.
func (d *Dir) Real() (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.fd()))
}

// Close lets go of the folder.
func (d *Dir) Close() error { return d.f.Close() }

func (d *Dir) fd() int { return int(d.f.Fd()) }

func (d *Dir) join(name string) string { return filepath.Join(d.path, name) }

// single refuses a name that could lead out of the folder.
func (d *Dir) single(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is not a name of an entry of %s", name, d.path)
	}
	return nil
}

// Info is the folder itself.
func (d *Dir) Info() (Info, error) {
	var stat unix.Stat_t
	if err := again(func() error { return unix.Fstat(d.fd(), &stat) }); err != nil {
		return Info{}, failed("stat", d.path, err)
	}
	return infoOf(filepath.Base(d.path), &stat), nil
}

// Is reports an error, a *ChangedError, unless it is the folder of that ID.
func (d *Dir) Is(id ID) error {
	info, err := d.Info()
	if err == nil && info.ID != id {
		err = &ChangedError{Path: d.path, Want: id, Is: info.ID}
	}
	return err
}

// Stat looks at an entry and follows no link.
func (d *Dir) Stat(name string) (Info, error) {
	if err := d.single(name); err != nil {
		return Info{}, err
	}
	var stat unix.Stat_t
	if err := again(func() error { return unix.Fstatat(d.fd(), name, &stat, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return Info{}, failed("stat", d.join(name), err)
	}
	return infoOf(name, &stat), nil
}

// Names are the entries of the folder in no order. More than most are a
// *TooManyError: a part of a folder is not returned.
func (d *Dir) Names(most int) ([]string, error) {
	again, err := d.reopened()
	if err != nil {
		return nil, err
	}
	defer again.Close() //nolint:errcheck // opened for reading
	names, err := again.Readdirnames(most + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > most {
		return nil, &TooManyError{Path: d.path, Limit: most}
	}
	return names, nil
}

// reopened is the same folder with a position of its own.
func (d *Dir) reopened() (*os.File, error) {
	fd, err := openat(d.fd(), ".", folder, 0)
	if err != nil {
		return nil, failed("open", d.path, err)
	}
	return os.NewFile(uintptr(fd), d.path), nil
}

// Read returns a whole regular file of the folder, as ReadNoFollow does.
func (d *Dir) Read(name string, limit int64) ([]byte, error) {
	f, _, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return Content(f, limit)
}

// Open opens a regular file of the folder for reading and follows no link.
func (d *Dir) Open(name string) (*os.File, Info, error) {
	if err := d.single(name); err != nil {
		return nil, Info{}, err
	}
	return openAt(d.fd(), name, d.join(name), unix.O_NOFOLLOW)
}

// Remove removes the name of an entry that has that ID; another one that
// stands there by then is a *ChangedError and stays. A folder is not removed.
func (d *Dir) Remove(name string, id ID) error {
	if err := d.same(name, id); err != nil {
		return err
	}
	if err := again(func() error { return unix.Unlinkat(d.fd(), name, 0) }); err != nil {
		return failed("remove", d.join(name), err)
	}
	return nil
}

// Rename gives an entry that has that ID a name in a held folder, which may be
// the same one. What has the new name already stays and is an error,
// fs.ErrExist.
func (d *Dir) Rename(name string, id ID, to *Dir, as string) error {
	if err := d.same(name, id); err != nil {
		return err
	}
	if err := to.single(as); err != nil {
		return err
	}
	return noReplace(d, name, to, as)
}

// Replace is Rename over what has the new name already.
func (d *Dir) Replace(name string, id ID, to *Dir, as string) error {
	if err := d.same(name, id); err != nil {
		return err
	}
	if err := to.single(as); err != nil {
		return err
	}
	if err := again(func() error { return unix.Renameat(d.fd(), name, to.fd(), as) }); err != nil {
		return failed("rename", to.join(as), err)
	}
	return nil
}

// same holds that the entry is the one of that ID.
func (d *Dir) same(name string, id ID) error {
	is, err := d.Stat(name)
	if err != nil {
		return err
	}
	if is.ID != id {
		return &ChangedError{Path: d.join(name), Want: id, Is: is.ID}
	}
	return nil
}

// touch sets when an entry was last written. No link is followed.
func (d *Dir) touch(name string, at time.Time) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_NOW}, unix.NsecToTimespec(at.UnixNano())}
	if err := unix.UtimesNanoAt(d.fd(), name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return failed("touch", d.join(name), err)
	}
	return nil
}

// Sync makes what was done to the names of the folder durable.
func (d *Dir) Sync() error { return d.f.Sync() }

// Free is how many bytes a user may still write on the folder's file system.
func (d *Dir) Free() (int64, error) {
	var disk unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(d.fd(), &disk) }); err != nil {
		return 0, failed("statfs", d.path, err)
	}
	return int64(disk.Bavail) * disk.Bsize, nil //nolint:gosec // no file system has 2^63 bytes
}

// Writable is the system's error unless entries of the folder may be made and
// renamed.
func (d *Dir) Writable() error {
	return unix.Faccessat(d.fd(), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
