package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A draft is a backup that is being written, under a name that no pattern of
// backups matches. Only what is whole gets its final name.
//
// It is locked while it is written: a draft that nobody has locked was left by
// a process that died, and the next one removes it.
type draft struct {
	root *os.Root
	name string
	file *os.File
	sum  hash.Hash
	size int64

	report func(size int64) // may be nil
	told   time.Time
}

const (
	draftPrefix = ".opsdeck-"
	draftSuffix = ".tmp"
)

var tokenPart = regexp.MustCompile(`^opsdeck/([A-Za-z0-9_-]{4,24})$`)

// draftName is the name of the draft of one action.
func draftName(token string) (string, error) {
	m := tokenPart.FindStringSubmatch(token)
	if m == nil {
		return "", checks.Failed(checks.Internal, "the token %q cannot be part of a file name", token)
	}
	return draftPrefix + m[1] + draftSuffix, nil
}

// newDraft creates the draft; whatever has its name already, a planted link
// too, is left alone and refused.
func newDraft(root *os.Root, token string) (*draft, error) {
	name, err := draftName(token)
	if err != nil {
		return nil, err
	}
	file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, checks.Failed(checks.Other, "%s is there already and is not touched", name)
	}
	if err != nil {
		return nil, fmt.Errorf("creating the new backup: %w", err)
	}
	d := &draft{root: root, name: name, file: file, sum: sha256.New()}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", name, err), d.discard())
	}
	return d, nil
}

// reportEvery is how often a long write tells how far it is.
const reportEvery = 500 * time.Millisecond

// Write takes the next bytes of the dump.
func (d *draft) Write(b []byte) (int, error) {
	n, err := d.file.Write(b)
	d.sum.Write(b[:n])
	d.size += int64(n)
	if d.report != nil && time.Since(d.told) > reportEvery {
		d.told = time.Now()
		d.report(d.size)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return n, checks.Failed(checks.Limit, "the disk is full after %d bytes of the new backup: %w", d.size, err)
	}
	return n, err
}

// checksum is the SHA-256 of all that was written, as sha256sum prints it.
func (d *draft) checksum() string { return hex.EncodeToString(d.sum.Sum(nil)) }

// finish gives the draft its name, which must be free, and makes that durable.
// A hard link does not replace what is there, as a rename would.
func (d *draft) finish(name string) error {
	if err := d.root.Link(d.name, name); err != nil {
		return fmt.Errorf("giving the new backup its name: %w", err)
	}
	if err := d.root.Remove(d.name); err != nil {
		return fmt.Errorf("removing the draft's name: %w", err)
	}
	d.name = ""
	return errors.Join(syncDir(d.root), d.file.Close())
}

// discard removes what is not to become a backup. After finish it does nothing.
func (d *draft) discard() error {
	if d.name == "" {
		return nil
	}
	name := d.name
	d.name = ""
	return errors.Join(d.file.Close(), d.root.Remove(name))
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("opening %s to sync it: %w", root.Name(), err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", root.Name(), err)
	}
	return nil
}

// A leftover is a draft that an action of opsdeck did not finish.
type leftover struct {
	info fs.FileInfo
	busy string // why it is not removed; "" if it is
}

func (l leftover) name() string { return l.info.Name() }

// leftovers lists the drafts in a directory, and why one is not to be removed.
func leftovers(root *os.Root) ([]leftover, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var found []leftover
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, draftPrefix) || !strings.HasSuffix(name, draftSuffix) {
			continue
		}
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // finished meanwhile
		}
		if err != nil {
			return nil, err
		}
		l := leftover{info: info}
		if l.busy, err = busy(root, info); err != nil {
			return nil, err
		}
		found = append(found, l)
	}
	return found, nil
}

// busy says why a leftover is not ours to remove.
func busy(root *os.Root, info fs.FileInfo) (why string, err error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return "it is a " + kindOf(info.Mode()) + ", which opsdeck did not make", nil
	case !ok || int(stat.Uid) != os.Geteuid():
		return "it belongs to another user", nil
	}
	file, err := root.OpenFile(info.Name(), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "it is gone", nil
	}
	if err != nil {
		return "", err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		why = "somebody is writing it"
	}
	return why, file.Close()
}
