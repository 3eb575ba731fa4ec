package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxFile bounds what is read from a folder besides output.
const maxFile = 16 << 20

// write makes a file durable under its name: whole or not at all.
func (f Folder) write(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	if err := f.place(name, raw, true); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// place puts a file under its name: whole or not at all. A file that could
// not be written takes no room.
func (f Folder) place(name string, raw []byte, durable bool) error {
	temp := f.path("." + name + ".new")
	if err := fill(temp, raw, durable); err != nil {
		return errors.Join(err, remove(temp))
	}
	if err := os.Rename(temp, f.path(name)); err != nil {
		return errors.Join(err, remove(temp))
	}
	if durable {
		return syncDir(f.Path)
	}
	return nil
}

// fill writes a file that must be new: whatever lies there is no file of ours
// to write through.
func fill(path string, raw []byte, durable bool) error {
	if err := remove(path); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(raw)
	if err == nil && durable {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// remove removes a file that may not be there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read reads a file of the folder; os.ErrNotExist if it is not there.
func (f Folder) read(name string, v any) error {
	in, err := f.open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	raw, err := hostfs.Content(in, maxFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", f.path(name), err)
	}
	return nil
}

// open opens a regular file of ours: no link is followed, no FIFO waited for,
// and none that another user owns is taken.
func (f Folder) open(name string, flags int) (*os.File, error) {
	path := f.path(name)
	file, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := ours(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", path, err), file.Close())
	}
	return file, nil
}

func ours(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("is not a regular file")
	case !ok:
		return errors.New("does not say whose it is")
	case int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("belongs to user %d", stat.Uid)
	}
	return nil
}

// unclear reports whether an error says nothing about what lies in the
// folder, only that it could not be looked at now.
func unclear(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR, syscall.EAGAIN, syscall.EIO, syscall.ESTALE} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
