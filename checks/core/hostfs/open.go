package hostfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mostLinks is how many links are followed on the way to one folder; the
// kernel's own bound.
const mostLinks = 40

// OpenDir opens a folder and holds it. Links on the way are followed if root
// or the user owns them; one of another user is a *LinkError, because that
// user would choose the folder.
func OpenDir(path string) (*Dir, error) {
	w := walk{todo: components(path), links: mostLinks}
	start := "."
	if filepath.IsAbs(path) {
		start, w.at = "/", "/"
	}
	if err := w.enter(unix.AT_FDCWD, start); err != nil {
		return nil, failed("open", path, err)
	}
	defer func() { unix.Close(w.fd) }() //nolint:errcheck // opened for the way only
	for len(w.todo) > 0 {
		if err := w.step(); err != nil {
			return nil, err
		}
	}
	fd, err := openat(w.fd, ".", folder, 0)
	if err != nil {
		return nil, failed("open", path, err)
	}
	return &Dir{os.NewFile(uintptr(fd), path), path}, nil
}

// A walk is on its way down to a folder.
type walk struct {
	fd    int    // where it is; opened with O_PATH
	at    string // the same, for messages
	todo  []string
	links int // that may still be followed
}

func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// enter goes into a folder in place of the one it is in.
func (w *walk) enter(from int, name string) error {
	fd, err := openat(from, name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	if from != unix.AT_FDCWD {
		unix.Close(from) //nolint:errcheck // opened for the way only
	}
	w.fd = fd
	return nil
}

// step takes the next component.
func (w *walk) step() error {
	name := w.todo[0]
	w.todo = w.todo[1:]
	path := filepath.Join(w.at, name)
	fd, err := openat(w.fd, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return failed("open", path, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return errors.Join(failed("stat", path, err), unix.Close(fd))
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		unix.Close(w.fd) //nolint:errcheck // opened for the way only
		w.fd, w.at = fd, path
		return nil
	case unix.S_IFLNK:
		return errors.Join(w.follow(fd, path, &stat), unix.Close(fd))
	}
	return errors.Join(&KindError{Path: path, Kind: kindOf(stat.Mode), Want: "a folder"}, unix.Close(fd))
}

// follow puts what a link says in its place.
func (w *walk) follow(link int, path string, stat *unix.Stat_t) error {
	if stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return &LinkError{Path: path, Owner: int64(stat.Uid)}
	}
	if w.links--; w.links < 0 {
		return failed("open", path, unix.ELOOP)
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link, "", buffer)
	if err != nil {
		return failed("readlink", path, err)
	}
	to := string(buffer[:n])
	w.todo = append(components(to), w.todo...)
	if filepath.IsAbs(to) {
		w.at = "/"
		if err := w.enter(w.fd, "/"); err != nil {
			return failed("open", path, err)
		}
	}
	return nil
}

// Descend opens a folder below this one and holds it. Each component of rel is
// a folder, none a link, and all lie on the mount of this folder: a link is a
// *LinkError, another mount a *MountError. "." is this folder again.
func (d *Dir) Descend(rel string) (*Dir, error) {
	if !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("%q does not lie below %s", rel, d.path)
	}
	rel = filepath.Clean(rel)
	fd, err := below(d.fd(), rel)
	if err != nil {
		return nil, d.explained(rel, err)
	}
	path := d.join(rel)
	return &Dir{os.NewFile(uintptr(fd), path), path}, nil
}

// explained says what stood in the way of a descent.
func (d *Dir) explained(rel string, err error) error {
	path := d.join(rel)
	switch {
	case errors.Is(err, unix.EXDEV):
		return &MountError{Root: d.path, Path: path}
	case !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR):
		return failed("open", path, err)
	}
	at := ""
	for _, name := range components(rel) {
		at = filepath.Join(at, name)
		var stat unix.Stat_t
		if unix.Fstatat(d.fd(), at, &stat, unix.AT_SYMLINK_NOFOLLOW) != nil || stat.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue
		}
		if stat.Mode&unix.S_IFMT == unix.S_IFLNK {
			return &LinkError{Path: d.join(at), Owner: -1}
		}
		return &KindError{Path: d.join(at), Kind: kindOf(stat.Mode), Want: "a folder"}
	}
	return failed("open", path, err)
}
