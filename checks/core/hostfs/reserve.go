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
	room int64
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
	r := &Reserved{p, dir, path, room}
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

// Room is how many bytes were reserved.
func (r *Reserved) Room() int64 { return r.room }

// Commit writes the content into the reserved room, makes it durable and gives
// the file its name, over what has it already. After an error the room is
// still reserved, and Commit may be tried again.
func (r *Reserved) Commit(content []byte, mode fs.FileMode) error {
	if _, err := r.p.WriteAt(content, 0); err != nil {
		return failed("write", r.path, err)
	}
	if err := r.p.Truncate(int64(len(content))); err != nil {
		return failed("write", r.path, err)
	}
	if err := r.p.give(Attributes{Mode: mode, UID: -1, GID: -1}); err != nil {
		return failed("write", r.path, err)
	}
	if err := r.dir.named(r.p.temp, r.p.name, true); err != nil {
		return err
	}
	return errors.Join(r.p.Close(), r.dir.Sync(), r.dir.Close())
}

// Discard gives the room back.
func (r *Reserved) Discard() error { return errors.Join(r.p.Discard(), r.dir.Close()) }
