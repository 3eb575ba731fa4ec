package owner

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// MakeDir opens a folder in which opsdeck writes, and holds it. What is missing
// of it and of the folders above it is made with mode 0700, each in the folder
// above that was checked and is held. Nothing is made, opened or changed if a
// folder or link on the way breaks the rule: that is a *Refusal.
//
// The folder itself may be root's, and it may be open to others: look at it
// through the descriptor, and change its mode with Chmod of the file, which
// follows no link.
func (r Rule) MakeDir(path string) (*os.File, error) {
	e, err := r.reachBy(path, true)
	if err != nil {
		return nil, err
	}
	defer e.close()
	return hostfs.Held(e.fd, path)
}

// opened opens an entry of the folder that we are in without following it. A
// missing one is made if the walk makes folders and the folder passes the rule.
func (w *walk) opened(in entry, name string) (int, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(in.fd, name, flags, 0)
	if !w.makes || !errors.Is(err, unix.ENOENT) || w.passable(in, w.mine()) != nil {
		return fd, err
	}
	// Whatever another process has put there meanwhile is held to the rule next.
	if err := unix.Mkdirat(in.fd, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return unix.Openat(in.fd, name, flags, 0)
}

// mine stands for an entry that this user would make.
func (w *walk) mine() entry { return entry{stat: unix.Stat_t{Uid: w.rule.uid}} }
