package hostfs

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Read returns a whole regular file of at most limit bytes. A link at the end
// of the path is followed. It never waits: a pipe, a socket, a device or a
// folder is a *KindError and is not opened. A larger file is a *TooLargeError.
func Read(path string, limit int64) ([]byte, error) {
	return read(path, limit, Open)
}

// ReadNoFollow is Read of a path whose last component is not a link; a link is
// a *LinkError.
func ReadNoFollow(path string, limit int64) ([]byte, error) {
	return read(path, limit, OpenNoFollow)
}

func read(path string, limit int64, open func(string) (*os.File, Info, error)) ([]byte, error) {
	f, _, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return Content(f, limit)
}

// Open opens a regular file for reading, as Read does, and says which it is.
func Open(path string) (*os.File, Info, error) {
	return openAt(unix.AT_FDCWD, path, path, 0)
}

// OpenNoFollow is Open of a path whose last component is not a link.
func OpenNoFollow(path string) (*os.File, Info, error) {
	return openAt(unix.AT_FDCWD, path, path, unix.O_NOFOLLOW)
}

// OpenFolder opens a folder for reading its entries, and what is no folder not
// at all. Who does something in the folder holds it with OpenDir.
func OpenFolder(path string) (*os.File, error) {
	fd, err := openat(unix.AT_FDCWD, path, folder, 0)
	if err != nil {
		return nil, failed("open", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openAt looks before it opens, because opening a device can do something, and
// looks at what it has opened, because that may be another file.
func openAt(dir int, name, path string, flags int) (*os.File, Info, error) {
	var stat unix.Stat_t
	follow := 0
	if flags&unix.O_NOFOLLOW != 0 {
		follow = unix.AT_SYMLINK_NOFOLLOW
	}
	if err := again(func() error { return unix.Fstatat(dir, name, &stat, follow) }); err != nil {
		return nil, Info{}, failed("open", path, err)
	}
	if err := regular(path, &stat); err != nil {
		return nil, Info{}, err
	}
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|flags, 0)
	switch {
	case err == unix.ELOOP && flags&unix.O_NOFOLLOW != 0:
		return nil, Info{}, &LinkError{Path: path, Owner: -1}
	case err != nil:
		return nil, Info{}, failed("open", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := again(func() error { return unix.Fstat(fd, &stat) }); err != nil {
		f.Close() //nolint:errcheck // opened for reading
		return nil, Info{}, failed("stat", path, err)
	}
	if err := regular(path, &stat); err != nil {
		f.Close() //nolint:errcheck // opened for reading
		return nil, Info{}, err
	}
	return f, infoOf(name, &stat), nil
}

func regular(path string, stat *unix.Stat_t) error {
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFLNK:
		return &LinkError{Path: path, Owner: -1}
	}
	return &KindError{Path: path, Kind: kindOf(stat.Mode), Want: "a regular file"}
}

// Content reads the rest of an open file, which is at most limit bytes. More
// is a *TooLargeError.
func Content(f *os.File, limit int64) ([]byte, error) {
	return All(f, f.Name(), limit)
}

// All reads a stream to its end, which comes after at most limit bytes; more
// is a *TooLargeError that calls the stream by that name.
func All(r io.Reader, name string, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, &TooLargeError{Path: name, Limit: limit}
	}
	return content, nil
}

// A Part is a declared part of a file.
type Part struct {
	Bytes []byte
	From  int64 // offset of the first byte
	Whole bool  // it is the file from its first byte to its last
	Info  Info  // of the file when it was opened
}

// Head reads the first most bytes of a regular file.
func Head(path string, most int64) (Part, error) {
	return part(path, most, 0)
}

// Tail reads the last most bytes of a regular file, by the size that it has
// when it is opened. A file of /proc has no size: its part is its head.
func Tail(path string, most int64) (Part, error) {
	return part(path, most, most)
}

// part reads most bytes, that many before the end if fromEnd is not 0.
func part(path string, most, fromEnd int64) (Part, error) {
	f, info, err := Open(path)
	if err != nil {
		return Part{}, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	p := Part{Info: info}
	if fromEnd > 0 {
		p.From = max(info.Size-fromEnd, 0)
	}
	if p.Bytes, err = io.ReadAll(io.NewSectionReader(f, p.From, most+1)); err != nil {
		return Part{}, err
	}
	p.Whole = p.From == 0
	if int64(len(p.Bytes)) > most {
		p.Bytes, p.Whole = p.Bytes[:most], false
	}
	return p, nil
}

// again repeats a system call that a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// openat is the system call, repeated when a signal interrupts it, of a
// descriptor that no other program inherits.
func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = again(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}
