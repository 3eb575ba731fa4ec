package hostfs

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// WriteAtomic puts a whole file under a path, in place of what has that name.
// It is written under a temporary name in the same folder, gets the mode
// whatever the umask is, and is durable when WriteAtomic returns without an
// error. Whoever reads sees the old file or the new one. After an error the old
// one stands, unless only making the folder durable failed.
func WriteAtomic(path string, data []byte, mode fs.FileMode) error {
	return inParent(path, func(d *Dir, name string) error { return d.WriteAtomic(name, data, mode) })
}

// WriteNew is WriteAtomic of a file that must not be there: what has the name
// stays and is an error, fs.ErrExist.
func WriteNew(path string, data []byte, mode fs.FileMode) error {
	return inParent(path, func(d *Dir, name string) error { return d.WriteNew(name, data, mode) })
}

// RemoveFile removes a regular file in the folder that its path leads to,
// through links of root and of the user only.
func RemoveFile(path string) error {
	return inParent(path, func(d *Dir, name string) error {
		info, err := d.Stat(name)
		if err != nil {
			return err
		}
		if !info.IsRegular() {
			return &KindError{Path: path, Kind: info.Kind(), Want: "a regular file"}
		}
		return d.Remove(name, info.ID)
	})
}

func inParent(path string, do func(*Dir, string) error) error {
	d, err := OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(do(d, filepath.Base(path)), d.Close())
}

// WriteAtomic is the function of that name in the held folder.
func (d *Dir) WriteAtomic(name string, data []byte, mode fs.FileMode) error {
	return d.Write(name, data, Attributes{Mode: mode, UID: -1, GID: -1, Replace: true})
}

// WriteNew is the function of that name in the held folder.
func (d *Dir) WriteNew(name string, data []byte, mode fs.FileMode) error {
	return d.Write(name, data, Attributes{Mode: mode, UID: -1, GID: -1})
}

// Attributes are what a written file is given.
type Attributes struct {
	Mode     fs.FileMode // permission bits
	UID, GID int         // owner; -1 leaves what a new file has
	Replace  bool        // over what has the name already
	Modified time.Time   // when it was last written; the zero time leaves now
}

// Write puts a whole file under a name of the held folder, durably.
func (d *Dir) Write(name string, data []byte, as Attributes) error {
	p, err := d.Create(name)
	if err != nil {
		return err
	}
	if _, err := p.Write(data); err != nil {
		return errors.Join(err, p.Discard())
	}
	return p.Commit(as)
}

// A Pending file is one that is being written and has not got its name yet.
// Either Commit or Discard ends it.
type Pending struct {
	*os.File
	dir        *Dir
	name, temp string
}

// Create begins a file of the held folder, under a temporary name that no
// other file has and that begins with a dot; only the user can read it.
func (d *Dir) Create(name string) (*Pending, error) {
	if err := d.single(name); err != nil {
		return nil, err
	}
	temp := "." + name[:min(len(name), 200)] + tempMark + strings.ToLower(rand.Text()[:tempRandom])
	fd, err := openat(d.fd(), temp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, failed("create", d.join(name), err)
	}
	return &Pending{File: os.NewFile(uintptr(fd), d.join(temp)), dir: d, name: name, temp: temp}, nil
}

// The temporary name of NAME is .NAME.opsdeck-RANDOM.
const (
	tempMark   = ".opsdeck-"
	tempRandom = 12
)

// Unfinished is the name for which a temporary name was made, if it is one: a
// file of a process that was killed before it could end it.
func Unfinished(temp string) (name string, ok bool) {
	at := len(temp) - tempRandom - len(tempMark)
	if at < 2 || temp[0] != '.' || temp[at:at+len(tempMark)] != tempMark {
		return "", false
	}
	return temp[1:at], true
}

// RemoveUnfinished removes the temporary files of a name that belong to the
// user. It is for a caller whose lock keeps others from writing the name: what
// is there then was left by a process that was killed. At most most entries of
// the folder are looked at.
func (d *Dir) RemoveUnfinished(name string, most int) error {
	names, err := d.Names(most)
	if err != nil {
		return err
	}
	for _, temp := range names {
		if of, ok := Unfinished(temp); !ok || of != name {
			continue
		}
		info, err := d.Stat(temp)
		if err == nil && info.IsRegular() && info.UID == os.Geteuid() {
			err = d.Remove(temp, info.ID)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Commit makes the file durable and gives it its name. After an error nothing
// of it is left, unless only making the folder durable failed.
func (p *Pending) Commit(as Attributes) error {
	if err := p.give(as); err != nil {
		return errors.Join(err, p.Discard())
	}
	err := p.dir.named(p.temp, p.name, as.Replace)
	if err != nil {
		return errors.Join(err, p.Discard())
	}
	return errors.Join(p.Close(), p.dir.Sync())
}

// give sets what a file has besides its content and writes it to the disk.
// The owner comes before the mode, which a change of owner may take bits of.
func (p *Pending) give(as Attributes) error {
	if as.UID >= 0 || as.GID >= 0 {
		if err := p.Chown(as.UID, as.GID); err != nil {
			return err
		}
	}
	if err := p.Chmod(as.Mode); err != nil {
		return err
	}
	if !as.Modified.IsZero() {
		if err := p.dir.touch(p.temp, as.Modified); err != nil {
			return err
		}
	}
	return p.Sync()
}

// Discard removes the file that was begun.
func (p *Pending) Discard() error {
	err := again(func() error { return unix.Unlinkat(p.dir.fd(), p.temp, 0) })
	if err != nil {
		err = failed("remove", p.dir.join(p.temp), err)
	}
	return errors.Join(err, p.Close())
}

// named moves a finished file to its name.
func (d *Dir) named(temp, name string, replace bool) error {
	if !replace {
		return noReplace(d, temp, d, name)
	}
	if err := again(func() error { return unix.Renameat(d.fd(), temp, d.fd(), name) }); err != nil {
		return failed("rename", d.join(name), err)
	}
	return nil
}

// noReplace renames to a name that is free. Where the file system or the
// kernel cannot do that in one step, the entry gets its second name first,
// which fails as well if it is taken.
func noReplace(from *Dir, name string, to *Dir, as string) error {
	err := again(func() error { return unix.Renameat2(from.fd(), name, to.fd(), as, unix.RENAME_NOREPLACE) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		if err = unix.Linkat(from.fd(), name, to.fd(), as, 0); err == nil {
			err = unix.Unlinkat(from.fd(), name, 0)
		}
	}
	if err != nil {
		return failed("rename", to.join(as), err)
	}
	return nil
}
