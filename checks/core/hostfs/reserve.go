package hostfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Reserved is a file whose room on the disk is taken before its content is
// known: what comes of something that is about to begin can be written then
// even if the disk is full by that time. Either Commit or Discard ends it.
type Reserved struct {
	p    *Pending
	dir  *Dir
	path string

	named bool // the file has its name; only that may not be durable yet
}

// Reserve takes room bytes for the file at path, under a temporary name in its
// folder, and makes that durable. It fails where there is no room. A file
// system that writes each change to a new place may still lack room later;
// Commit says so then.
func Reserve(path string, room int64) (*Reserved, error) {
	dir, err := OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	p, err := dir.Create(filepath.Base(path))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reserving room: %w", err), dir.Close())
	}
	r := &Reserved{p: p, dir: dir, path: path}
	if err := errors.Join(allocate(p.File, room), dir.Sync()); err != nil {
		return nil, errors.Join(fmt.Errorf("reserving room for %s: %w", path, err), r.Discard())
	}
	return r, nil
}

// allocate takes the blocks of a new file. Where the file system cannot do
// that, zeros are written.
func allocate(f *os.File, room int64) error {
	err := again(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, room) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		_, err = f.WriteAt(make([]byte, room), 0)
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// Commit writes the content into the reserved room, makes it durable and gives
// the file its name, over what has it already. After an error Commit may be
// tried again: the room is still reserved, or the file has its name already and
// only the folder is made durable, whatever content the retry is given.
func (r *Reserved) Commit(content []byte, mode fs.FileMode) error {
	if !r.named {
		if err := r.write(content, mode); err != nil {
			return err
		}
		r.named = true
	}
	if err := r.dir.Sync(); err != nil {
		return fmt.Errorf("making the folder of %s durable: %w", r.path, err)
	}
	return errors.Join(r.p.Close(), r.dir.Close())
}

// write fills the reserved file and gives it its name.
func (r *Reserved) write(content []byte, mode fs.FileMode) error {
	if _, err := r.p.WriteAt(content, 0); err != nil {
		return failed("write", r.path, err)
	}
	if err := r.p.Truncate(int64(len(content))); err != nil {
		return failed("write", r.path, err)
	}
	if err := r.p.give(Attributes{Mode: mode, UID: -1, GID: -1}); err != nil {
		return failed("write", r.path, err)
	}
	return r.dir.named(r.p.temp, r.p.name, true)
}

// Discard gives the room back. A file that has its name keeps it: a Commit of
// which only the last part failed is not undone.
func (r *Reserved) Discard() error {
	if r.named {
		return errors.Join(r.p.Close(), r.dir.Close())
	}
	return errors.Join(r.p.Discard(), r.dir.Close())
}
