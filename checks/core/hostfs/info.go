package hostfs

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An ID tells an entry from every other one of the host, as long as it exists.
type ID struct {
	Dev  uint64
	Ino  uint64
	Type uint32 // the type bits of the mode: S_IFREG, S_IFDIR …
}

// String is the ID as it is recorded in a preview: "DEV:INODE".
func (id ID) String() string { return fmt.Sprintf("%d:%d", id.Dev, id.Ino) }

// Info is an entry of a folder as it was when it was looked at.
type Info struct {
	Name     string
	ID       ID
	Size     int64 // bytes
	Mode     fs.FileMode
	UID, GID int
	Links    uint64 // names that it has
	Modified time.Time
}

// Permissions are the mode as chmod takes it, with set-id and sticky bits.
func (i Info) Permissions() uint32 {
	m := uint32(i.Mode.Perm())
	for bit, set := range special {
		if i.Mode&set != 0 {
			m |= bit
		}
	}
	return m
}

// IsRegular reports whether it is a regular file.
func (i Info) IsRegular() bool { return i.Mode.IsRegular() }

// IsDir reports whether it is a folder.
func (i Info) IsDir() bool { return i.Mode.IsDir() }

// IsLink reports whether it is a symbolic link.
func (i Info) IsLink() bool { return i.Mode&fs.ModeSymlink != 0 }

// Kind says in words what it is: "a regular file", "a named pipe".
func (i Info) Kind() string { return kindOf(i.ID.Type) }

// InfoOf is what a FileInfo of package os says.
func InfoOf(info fs.FileInfo) (Info, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Info{}, fmt.Errorf("%s: the system does not say which file it is", info.Name())
	}
	return Info{
		Name: info.Name(), ID: ID{uint64(stat.Dev), stat.Ino, stat.Mode & unix.S_IFMT}, Size: info.Size(), Mode: info.Mode(),
		UID: int(stat.Uid), GID: int(stat.Gid), Links: uint64(stat.Nlink), Modified: info.ModTime(),
	}, nil
}

func infoOf(name string, stat *unix.Stat_t) Info {
	return Info{
		Name: name, ID: idOf(stat), Size: stat.Size, Mode: modeOf(stat.Mode),
		UID: int(stat.Uid), GID: int(stat.Gid), Links: uint64(stat.Nlink), Modified: time.Unix(stat.Mtim.Unix()),
	}
}

func idOf(stat *unix.Stat_t) ID {
	return ID{Dev: uint64(stat.Dev), Ino: stat.Ino, Type: stat.Mode & unix.S_IFMT}
}

var special = map[uint32]fs.FileMode{
	unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky,
}

// modeOf is a mode of the system as package fs writes it.
func modeOf(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, set := range special {
		if mode&bit != 0 {
			m |= set
		}
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= fs.ModeSocket
	case unix.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		m |= fs.ModeDevice
	default:
		m |= fs.ModeIrregular
	}
	return m
}
