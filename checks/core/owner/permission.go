package owner

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// passable refuses a folder in which somebody else could put another entry in
// this one's place.
func (w *walk) passable(folder, e entry) *Refusal {
	how, bits := w.writable(folder)
	if how == "" {
		return nil
	}
	if folder.stat.Mode&unix.S_ISVTX == 0 || folder.stat.Uid != 0 {
		return w.open(folder, how, bits)
	}
	if !w.rule.own(e.stat.Uid) {
		return w.shared(e)
	}
	return nil
}

// closed refuses a file or folder that others may write.
func (w *walk) closed(e entry) *Refusal {
	if how, bits := w.writable(e); how != "" {
		return w.open(e, how, bits)
	}
	return nil
}

// writable says how others may write an entry, and what chmod takes away from
// them; "" if they may not.
func (w *walk) writable(e entry) (how, bits string) {
	mode := e.stat.Mode
	switch {
	case mode&0o002 != 0 && mode&0o020 != 0:
		return "is writable by others", "go-w"
	case mode&0o002 != 0:
		return "is writable by others", "o-w"
	case mode&0o020 == 0:
		return "", ""
	}
	private, err := w.rule.accounts.private(e.stat.Gid, e.stat.Uid)
	group := w.rule.accounts.groupName(e.stat.Gid)
	switch {
	case err != nil:
		return fmt.Sprintf("is writable by group %s, whose members cannot be determined: %v", group, err), "g-w"
	case !private:
		return "is writable by group " + group, "g-w"
	}
	if listed, err := accessList(e.fd); err != nil {
		return fmt.Sprintf("is writable by its group, and its access list cannot be read: %v", err), "g-w"
	} else if listed {
		return "has an access list that lets others change it", "g-w"
	}
	return "", ""
}

// accessList reports whether a file has a POSIX access list. The kernel keeps one
// only if it says more than the mode does. The descriptor is of O_PATH, which
// fgetxattr refuses; its name below /proc reaches the same file.
func accessList(fd int) (bool, error) {
	_, err := unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), "system.posix_acl_access", nil)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return false, nil
	}
	return false, err
}
