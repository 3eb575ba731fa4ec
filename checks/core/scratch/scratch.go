// Package scratch gives a process folders of its own for what it needs for a
// moment: a private copy, a file that is being made. A process that is killed
// cannot remove them, so every folder lies in one that names its process, and
// the next process that needs one removes those of processes that have ended.
//
// It knows folders and processes, not what is put into them.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// A Folder is a folder that only this process uses. Remove it.
type Folder struct {
	Path string

	process string // the folder of this process, in which it lies
}

// making keeps one goroutine from removing the process's folder while another
// makes one in it.
var making sync.Mutex

// Make makes a folder with mode 0700 at parent/PID-STARTTIME/NUMBER and removes
// before that what processes that have ended left in parent. Parent is made if
// it is not there; one that is another user's, open to others or a link is an
// error.
func Make(parent string) (Folder, error) {
	if err := own(parent); err != nil {
		return Folder{}, fmt.Errorf("making a private folder: %w", err)
	}
	me, err := self()
	if err != nil {
		return Folder{}, fmt.Errorf("making a private folder: %w", err)
	}
	making.Lock()
	defer making.Unlock()
	sweep(parent)
	process := filepath.Join(parent, me.String())
	if err := os.Mkdir(process, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return Folder{}, fmt.Errorf("making a private folder: %w", err)
	}
	path, err := os.MkdirTemp(process, "")
	if err != nil {
		os.Remove(process) //nolint:errcheck // it may hold another folder of ours
		return Folder{}, fmt.Errorf("making a private folder: %w", err)
	}
	return Folder{path, process}, nil
}

// Remove removes the folder and what is in it, and its process's folder if it
// was the last.
func (f Folder) Remove() error {
	making.Lock()
	defer making.Unlock()
	err := os.RemoveAll(f.Path)
	os.Remove(f.process) //nolint:errcheck // it may hold another folder of ours
	return err
}

// own makes the parent, or checks that it is a folder of ours that is closed to
// others: what is removed in it must be nothing that somebody put there.
func own(parent string) error {
	if err := makeParent(parent); err != nil {
		return err
	}
	info, err := os.Lstat(parent)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", parent)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", parent)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o, want 0700)", parent, info.Mode().Perm())
	}
	return nil
}

// makeParent makes the parent in a folder that is there, unless somebody else
// could exchange it or chose where it is.
func makeParent(parent string) error {
	if _, err := os.Stat(filepath.Dir(parent)); err != nil {
		return err
	}
	rule, err := owner.Current()
	if err != nil {
		return err
	}
	made, err := rule.MakeDir(parent)
	if err != nil {
		return err
	}
	return made.Close()
}

// sweep removes the folders of processes that have ended. What cannot be removed
// stays for the next one: it takes room and does no harm.
func sweep(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		if p, ok := parse(e.Name()); ok && p.ended() {
			os.RemoveAll(filepath.Join(parent, e.Name())) //nolint:errcheck // as said above
		}
	}
}

// Elsewhere lists folders for the scratch of a process that cannot write where
// it would like to, the best first: the user's runtime directory, then the
// system's folder of temporary files. Each is a parent for Make.
func Elsewhere() []string {
	uid := strconv.Itoa(os.Geteuid())
	var list []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		list = append(list, filepath.Join(dir, "opsdeck-tmp"))
	}
	list = append(list, filepath.Join("/run/user", uid, "opsdeck-tmp"))
	if uid == "0" {
		list = append(list, "/run/opsdeck-tmp")
	}
	return append(list, filepath.Join(os.TempDir(), "opsdeck-tmp-"+uid))
}

// In makes a folder below dir, which is the caller's own, or if dir is "" in the
// first place of Elsewhere that takes it.
func In(dir string) (Folder, error) {
	if dir != "" {
		return Make(filepath.Join(dir, "tmp"))
	}
	var errs []error
	for _, parent := range Elsewhere() {
		f, err := Make(parent)
		if err == nil {
			return f, nil
		}
		errs = append(errs, err)
	}
	return Folder{}, errors.Join(errs...)
}
