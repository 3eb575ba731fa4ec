package pgserver

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that the server runs as, nil for our own. PostgreSQL
// refuses to run as root, so root starts it as postgres, or else as nobody.
func identity() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

// give hands a directory and all in it to the server's user.
func give(dir string, to *syscall.Credential) error {
	if to == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(to.Uid), int(to.Gid))
	})
	if err != nil {
		return fmt.Errorf("handing the cluster's directory to its user: %w", err)
	}
	return nil
}

// reachable says which directory above dir keeps the server's user out.
func reachable(dir string, by *syscall.Credential) error {
	if by == nil {
		return nil
	}
	for above := filepath.Dir(dir); above != filepath.Dir(above); above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return fmt.Errorf("looking at the directories above the cluster: %w", err)
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm()&0o001 == 0 && ok && owner.Uid != by.Uid {
			return fmt.Errorf("the server runs as user %d, which cannot enter %s (mode %v)", by.Uid, above, info.Mode().Perm())
		}
	}
	return nil
}
