package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// Look fails unless the state directory is there and passes the rule of
// ownership: an *owner.Refusal, or fs.ErrNotExist. It changes nothing.
func Look(dir string) error {
	rule, err := owner.Current()
	if err == nil {
		err = rule.Check(dir)
	}
	return explained(dir, err)
}

// fitForState makes the directory, and refuses one that cannot keep a record:
// one of another user, or that another user could exchange, or on a network file
// system, where SQLite's WAL has no shared memory. It looks at the directory,
// and closes it to others, by a descriptor that was opened through no link of
// another user.
func fitForState(dir string) (err error) {
	rule, err := owner.Current()
	if err != nil {
		return err
	}
	f, err := rule.MakeDir(dir)
	if err != nil {
		return explained(dir, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("looking at the state directory: %w", err)
	}
	mode := info.Mode().Perm()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("the state directory %s belongs to user %d, not to you (%d), and has mode %04o: name another with --state",
			dir, stat.Uid, os.Geteuid(), mode)
	}
	if mode&0o077 != 0 {
		if err := f.Chmod(0o700); err != nil {
			return fmt.Errorf("closing the state directory to others: %w", err)
		}
	}
	return localFileSystem(f)
}

// explained says of what the error is, and for a refusal, whose it is.
func explained(dir string, err error) error {
	var refused *owner.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && int(refused.UID) != os.Geteuid():
		return fmt.Errorf("the state directory %s is not used: %s belongs to user %d: %w", dir, refused.At, refused.UID, err)
	}
	return fmt.Errorf("the state directory %s is not used: %w", dir, err)
}

// Network file systems by the magic numbers of statfs(2).
var networkFS = map[int64]string{0x6969: "NFS", 0xFF534D42: "CIFS", 0xFE534D42: "SMB2", 0x517B: "SMB"}

func localFileSystem(f *os.File) error {
	dir := f.Name()
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &s); err != nil {
		return fmt.Errorf("looking at the state directory's file system: %w", err)
	}
	if name, remote := networkFS[int64(uint32(s.Type))]; remote {
		return fmt.Errorf("the state directory %s is on %s, where the journal cannot be durable: name a local one with --state", dir, name)
	}
	return nil
}
