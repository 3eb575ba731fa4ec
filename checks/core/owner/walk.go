package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxLinks is how many symbolic links are followed on one way; the kernel's own limit.
const maxLinks = 40

// maxComponents bounds the way itself, links included.
const maxComponents = 4096

// Check fails with a *Refusal if the file or folder may not steer opsdeck, and
// with another error if that could not be found out.
func (r Rule) Check(path string) error {
	_, err := r.Real(path)
	return err
}

// Real is Check, and gives the path without any symbolic link.
func (r Rule) Real(path string) (string, error) {
	e, err := r.reach(path)
	if err != nil {
		return "", err
	}
	e.close()
	return e.path, nil
}

// Open is Check, and opens the very file or folder that was checked for reading:
// nothing can be put in its place between the look and the use. What is neither
// a regular file nor a folder is an error. It never blocks on a pipe.
func (r Rule) Open(path string) (*os.File, error) {
	e, err := r.reach(path)
	if err != nil {
		return nil, err
	}
	defer e.close()
	if kind := e.stat.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	fd, err := unix.Openat(e.parent, e.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "stat", Path: path, Err: err}, unix.Close(fd))
	}
	if now.Dev != e.stat.Dev || now.Ino != e.stat.Ino || now.Uid != e.stat.Uid || now.Mode != e.stat.Mode {
		return nil, errors.Join(fmt.Errorf("%s was exchanged while it was opened: try again", path), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Read is Open, and gives the content of a regular file of at most limit bytes.
// A larger file is a *hostfs.TooLargeError, never a part of it.
func (r Rule) Read(path string, limit int64) ([]byte, error) {
	f, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return hostfs.Content(f, limit)
}

// An entry is one component of a way, held open.
type entry struct {
	fd     int
	parent int // the folder that it was found in; its own for /
	name   string
	path   string // without links
	stat   unix.Stat_t
	held   []int // every descriptor of the way, closed with it
}

func (e entry) isLink() bool { return e.stat.Mode&unix.S_IFMT == unix.S_IFLNK }
func (e entry) isDir() bool  { return e.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

func (e entry) close() {
	for _, fd := range e.held {
		_ = unix.Close(fd) // it was only looked through: an error of it would mean nothing
	}
}

// A walk goes from / down to a file and holds each folder on the way open.
type walk struct {
	rule    Rule
	asked   string
	folders []entry // from / to the one that we are in
	held    []int
	links   int
	makes   bool // missing folders are made, and the last one may be open to others
}

// reach walks to the path, and applies the rule to each component.
func (r Rule) reach(path string) (entry, error) { return r.reachBy(path, false) }

func (r Rule) reachBy(path string, makes bool) (entry, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return entry{}, fmt.Errorf("making %s absolute: %w", path, err)
	}
	w := &walk{rule: r, asked: abs, makes: makes}
	last, err := w.descend(abs)
	last.held = w.held
	if err != nil {
		last.close()
		return entry{}, err
	}
	return last, nil
}

func (w *walk) descend(abs string) (entry, error) {
	at, err := w.root()
	if err != nil {
		return at, err
	}
	rest := strings.Split(abs, "/")
	for steps := 0; len(rest) > 0; steps++ {
		if steps > maxComponents {
			return at, fmt.Errorf("the way to %s has more than %d components", w.asked, maxComponents)
		}
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = w.up()
			continue
		}
		if at, err = w.down(name); err != nil {
			return at, err
		}
		switch {
		case at.isLink():
			if rest, err = w.follow(at, rest); err != nil {
				return at, err
			}
			at = w.here()
		case at.isDir():
			w.folders = append(w.folders, at)
		case len(rest) > 0:
			return at, &fs.PathError{Op: "open", Path: filepath.Join(at.path, rest[0]), Err: unix.ENOTDIR}
		}
	}
	if w.makes {
		return at, nil
	}
	if refused := w.closed(at); refused != nil {
		return at, refused
	}
	return at, nil
}

// root is where every way begins.
func (w *walk) root() (entry, error) {
	e := entry{name: ".", path: "/"}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return e, &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	w.held = append(w.held, fd)
	e.fd, e.parent = fd, fd
	if err := unix.Fstat(fd, &e.stat); err != nil {
		return e, &fs.PathError{Op: "stat", Path: "/", Err: err}
	}
	if !w.rule.accepts(e.stat.Uid) {
		return e, w.foreign(e)
	}
	w.folders = append(w.folders, e)
	return e, nil
}

func (w *walk) here() entry { return w.folders[len(w.folders)-1] }

func (w *walk) up() entry {
	if len(w.folders) > 1 {
		w.folders = w.folders[:len(w.folders)-1]
	}
	return w.here()
}

// down opens an entry of the folder that we are in, without following it, and
// applies the rule to the two of them.
func (w *walk) down(name string) (entry, error) {
	in := w.here()
	e := entry{parent: in.fd, name: name, path: filepath.Join(in.path, name)}
	fd, err := w.opened(in, name)
	if err != nil {
		// A folder that others may write has to be said before what is not in it.
		if refused := w.passable(in, w.mine()); refused != nil {
			return e, refused
		}
		return e, &fs.PathError{Op: "open", Path: e.path, Err: err}
	}
	w.held = append(w.held, fd)
	e.fd = fd
	if err := unix.Fstat(fd, &e.stat); err != nil {
		return e, &fs.PathError{Op: "stat", Path: e.path, Err: err}
	}
	if refused := w.passable(in, e); refused != nil {
		return e, refused
	}
	if !w.rule.accepts(e.stat.Uid) {
		return e, w.foreign(e)
	}
	return e, nil
}

// follow puts where a link points to in front of the rest of the way.
func (w *walk) follow(link entry, rest []string) ([]string, error) {
	if w.links++; w.links > maxLinks {
		return nil, &fs.PathError{Op: "open", Path: w.asked, Err: unix.ELOOP}
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link.fd, "", buffer)
	if err != nil {
		return nil, &fs.PathError{Op: "readlink", Path: link.path, Err: err}
	}
	target := string(buffer[:n])
	if filepath.IsAbs(target) {
		w.folders = w.folders[:1]
	}
	return append(strings.Split(target, "/"), rest...), nil
}
