package hostfs

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// folder are the flags with which a folder is held.
const folder = unix.O_RDONLY | unix.O_DIRECTORY

// below opens a folder below another one: through no link, onto no other mount.
func below(dir int, rel string) (int, error) {
	how := unix.OpenHow{
		Flags:   folder | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for range 16 { // EAGAIN: something was renamed or mounted meanwhile
		fd, err := unix.Openat2(dir, rel, &how)
		switch {
		case err == nil:
			return fd, nil
		case refused(err):
			return descend(dir, rel)
		case err != unix.EAGAIN && err != unix.EINTR:
			return -1, err
		}
	}
	return descend(dir, rel)
}

// refused reports whether openat2 is not there (before Linux 5.6) or is not
// allowed by a filter, such as that of a container. EACCES can be meant for the
// folder too: then openat says it again.
func refused(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOSYS, unix.EPERM, unix.EACCES, unix.E2BIG, unix.EINVAL}, func(e error) bool {
		return errors.Is(err, e)
	})
}

// descend is below without openat2: component by component, each of which is
// opened in the folder that is held of the one before.
func descend(dir int, rel string) (int, error) {
	at, err := openat(dir, ".", folder, 0)
	if err != nil {
		return -1, err
	}
	for _, name := range components(rel) {
		next, err := openat(at, name, folder|unix.O_NOFOLLOW, 0)
		if err == nil {
			if err = sameMount(dir, next); err != nil {
				unix.Close(next) //nolint:errcheck // the error that counts is returned
			}
		}
		unix.Close(at) //nolint:errcheck // opened for the way only
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

// sameMount holds that two folders are on one mount: by the mount's id where
// the kernel tells it (Linux 5.8), by the device where not, which does not see
// a bind mount of the same file system.
func sameMount(a, b int) error {
	var sa, sb unix.Statx_t
	errA := unix.Statx(a, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &sa)
	errB := unix.Statx(b, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &sb)
	if errA == nil && errB == nil && sa.Mask&sb.Mask&unix.STATX_MNT_ID != 0 {
		if sa.Mnt_id != sb.Mnt_id {
			return unix.EXDEV
		}
		return nil
	}
	var da, db unix.Stat_t
	if err := errors.Join(unix.Fstat(a, &da), unix.Fstat(b, &db)); err != nil {
		return err
	}
	if da.Dev != db.Dev {
		return unix.EXDEV
	}
	return nil
}
