package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks"
)

// folders are where a bare name is looked up, in this order; they are also the
// PATH of every command.
var folders = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// maxLinks is how many symbolic links in a row are followed; the kernel's limit.
const maxLinks = 40

// program is a file that may be started.
type program struct {
	Path string // absolute, as it is started: a link keeps its name, which some programs go by
	File string // the regular file behind it
	Info fs.FileInfo
}

// String is the path.
func (p program) String() string { return p.Path }

// find resolves a program and makes sure that only root and the user opsdeck
// runs as could put something else in its place.
func find(name string) (program, error) {
	path, err := lookup(name)
	if err != nil {
		return program{}, err
	}
	if _, err := os.Stat(path); err != nil {
		return program{}, fmt.Errorf("looking at the program: %w", err)
	}
	p := program{Path: path, File: path}
	for range maxLinks {
		if err := trustFolders(filepath.Dir(p.File)); err != nil {
			return p, fmt.Errorf("refusing to run %s: %w", path, err)
		}
		if p.Info, err = os.Lstat(p.File); err != nil {
			return p, fmt.Errorf("looking at the program: %w", err)
		}
		if p.Info.Mode()&fs.ModeSymlink == 0 {
			return p, trustFile(p)
		}
		if p.File, err = target(p.File); err != nil {
			return p, fmt.Errorf("following the program %s: %w", path, err)
		}
	}
	return p, checks.Failed(checks.Other, "the program %s is a loop of links", path)
}

// lookup turns a name into an absolute path. It never looks into the current
// folder or at our own PATH.
func lookup(name string) (string, error) {
	if filepath.IsAbs(name) {
		return filepath.Clean(name), nil
	}
	if strings.ContainsRune(name, '/') {
		return "", checks.Failed(checks.Other, "the program %q is neither an absolute path nor a bare name", name)
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", checks.Failed(checks.Missing, "no program %s in %s", name, strings.Join(folders, ":"))
}

// target is where a link points, one hop, in a folder without links.
func target(link string) (string, error) {
	to, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(link), to)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(to))
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, filepath.Base(to)), nil
}

func trustFile(p program) error {
	switch {
	case !p.Info.Mode().IsRegular():
		return checks.Failed(checks.Denied, "refusing to run %s: it is not a regular file", p)
	case p.Info.Mode()&0o111 == 0:
		return checks.Failed(checks.Denied, "%s is not executable (chmod +x %s)", p, p.File)
	}
	if why := distrust(p.Info); why != "" {
		return checks.Failed(checks.Denied, "refusing to run %s: %s %s", p, p.File, why)
	}
	return nil
}

// trustFolders looks at the folder of a program and at all above it. The
// folder itself may not be writable by others at all; one above may be if it
// is sticky, as /tmp is, because others cannot rename in it then.
func trustFolders(folder string) error {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return err
	}
	for at := folder; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		sticky := at != folder && info.Mode()&fs.ModeSticky != 0
		if why := distrust(info); why != "" && !sticky {
			return checks.Failed(checks.Denied, "its folder %s %s", at, why)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// distrust says how somebody else could change a file; "" if nobody can. The
// group may write only if it is root's or our own.
func distrust(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "has no owner"
	}
	perm := info.Mode().Perm()
	switch {
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return fmt.Sprintf("belongs to user %d, not to root or to the user opsdeck runs as", stat.Uid)
	case perm&0o002 != 0:
		return fmt.Sprintf("is writable by others (mode %04o)", perm)
	case perm&0o020 != 0 && stat.Gid != 0 && int(stat.Gid) != os.Getegid():
		return fmt.Sprintf("is writable by group %d (mode %04o)", stat.Gid, perm)
	}
	return ""
}

// startError gives the error of a start its class and says what a missing file
// means when the program itself was just seen.
func startError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return checks.Failed(checks.Missing, "starting %s: its interpreter, its loader or the working folder is not there: %w", path, err)
	}
	return fmt.Errorf("starting %s: %w", path, err)
}
