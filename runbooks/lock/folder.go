package lock

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

const (
	// SharedPath is the folder for the locks of all users in the group opsdeck.
	SharedPath = "/run/opsdeck/lock"

	// Group is the group that the shared folder belongs to.
	Group = "opsdeck"

	// TmpfilesLine makes the shared folder at every boot, from a file in
	// /etc/tmpfiles.d.
	TmpfilesLine = "d " + SharedPath + " 2770 root " + Group + " -"

	sharedMode = 0o770 | unix.S_ISGID
	ownMode    = 0o700
)

// A Folder is where the locks of targets lie.
type Folder struct {
	path  string
	owner int    // uid that the folder belongs to
	group int    // gid that the folder belongs to; -1: any
	mode  uint32 // exactly, of the folder
	file  uint32 // mode of the files in it
	alone string // why other users of the host are not excluded

	own *Folder // beside a shared folder, the user's own: its targets are taken first
}

// Shared is the folder that excludes other users too. It is an error if root has
// not made it for the group opsdeck (root:opsdeck 2770, and none but root can
// exchange it or a folder above it), or if this user may not use it.
func Shared() (Folder, error) { return sharedFolder(SharedPath, Group) }

// Find is where this process locks: in the shared folder if it can be used, and
// in the first of the user's own that is there or can be made, with mode 0700.
// Both are taken where both are there, because a process of this user that began
// before the shared one could be used locks in the user's own for as long as it
// lives.
func Find(own ...string) (Folder, error) { return find(SharedPath, Group, own) }

func find(path, group string, own []string) (Folder, error) {
	shared, why := sharedFolder(path, group)
	f, err := ownFolder(own)
	switch {
	case why != nil:
		f.alone = why.Error()
		return f, err
	case err == nil: // else no process of this user can lock in one
		shared.own = &f
	}
	return shared, nil
}

// ownFolder is the first of the user's own folders that is there or can be made.
func ownFolder(paths []string) (Folder, error) {
	var errs []error
	for _, path := range paths {
		f := Folder{path: path, owner: os.Geteuid(), group: -1, mode: ownMode, file: 0o600}
		if err := f.make(); err != nil {
			errs = append(errs, err)
			continue
		}
		return f, nil
	}
	return Folder{}, fmt.Errorf("there is no folder for the locks of targets: %w", errors.Join(errs...))
}

// Path is the folder's path; that of the shared one where both are used.
func (f Folder) Path() string { return f.path }

// Alone says why other users of the host are not excluded; "" if they are.
func (f Folder) Alone() string { return f.alone }

// sharedFolder is the folder of a group, or why it is not used.
func sharedFolder(path, group string) (Folder, error) {
	g, err := user.LookupGroup(group)
	if err != nil {
		return Folder{}, fmt.Errorf("%s is not used: %w", path, err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return Folder{}, fmt.Errorf("%s is not used: reading the group's number: %w", path, err)
	}
	f := Folder{path: path, owner: 0, group: gid, mode: sharedMode, file: 0o660}
	if err := rootAlone(filepath.Dir(path)); err != nil {
		return Folder{}, err
	}
	dir, err := f.open()
	if err != nil {
		return Folder{}, err
	}
	defer dir.Close() //nolint:errcheck // nothing was written
	if err := unix.Faccessat(int(dir.Fd()), ".", unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return Folder{}, fmt.Errorf("%s cannot be used by this user: %w", path, err)
	}
	return f, nil
}

// rootAlone refuses a folder in which, or above which, another user than root
// could put something else in an entry's place. A sticky folder of root's
// protects root's entries.
func rootAlone(path string) error {
	for at := path; ; at = filepath.Dir(at) {
		var stat unix.Stat_t
		if err := unix.Lstat(at, &stat); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		open := stat.Mode&0o022 != 0 && stat.Mode&unix.S_ISVTX == 0
		if stat.Mode&unix.S_IFMT != unix.S_IFDIR || stat.Uid != 0 || open {
			return fmt.Errorf("%s is not a folder that only root can change (owner %d, mode %04o)", at, stat.Uid, stat.Mode&0o7777)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// make makes a folder of the user's own, and refuses one that is not as it
// would be made.
func (f Folder) make() error {
	rule, err := owner.Current()
	if err != nil {
		return err
	}
	made, err := rule.MakeDir(f.path)
	if err == nil {
		err = made.Close()
	}
	if err != nil {
		return fmt.Errorf("making the folder of locks: %w", err)
	}
	dir, err := f.open()
	if err != nil {
		return err
	}
	return dir.Close()
}

// open opens the folder, if it is still the one that was found.
func (f Folder) open() (*os.File, error) {
	fd, err := unix.Open(f.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of locks %s: %w", f.path, err)
	}
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	mode := stat.Mode & 0o7777
	if err == nil && (int(stat.Uid) != f.owner || mode != f.mode || f.group >= 0 && int(stat.Gid) != f.group) {
		err = fmt.Errorf("it belongs to %d:%d and has mode %04o, expected %s", stat.Uid, stat.Gid, mode, f.expected())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the folder of locks %s is not used: %w", f.path, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.path), nil
}

// expected is owner, group and mode as they have to be.
func (f Folder) expected() string {
	if f.group < 0 {
		return fmt.Sprintf("owner %d, mode %04o", f.owner, f.mode)
	}
	return fmt.Sprintf("%d:%d, mode %04o", f.owner, f.group, f.mode)
}
