package command

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// folders are where a bare name is looked up, in this order; those of them that
// only root can write to are the PATH of every command.
var folders = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// searchPath is the PATH of every command: a program looks there for its
// interpreter and for what it starts itself, and none of that is checked.
func searchPath() string {
	var list []string
	for _, folder := range folders {
		if (owner.Rule{}).Check(folder) == nil {
			list = append(list, folder)
		}
	}
	return strings.Join(list, ":")
}

// LeftOut says of each folder of programs that others than root can change why
// no program is looked up in it. One that is not there is not among them.
func LeftOut() []error {
	var list []error
	for _, folder := range folders {
		if err := (owner.Rule{}).Check(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			list = append(list, err)
		}
	}
	return list
}

// lookup turns a name into an absolute path. It never looks into the current
// folder or at our own PATH. A program that is only in a folder that others can
// change is refused, not missing.
func lookup(name string) (string, error) {
	if filepath.IsAbs(name) {
		return filepath.Clean(name), nil
	}
	if strings.ContainsRune(name, '/') {
		return "", checks.Failed(checks.Other, "the program %q is neither an absolute path nor a bare name", name)
	}
	var refused error
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			continue
		}
		err = owner.Rule{}.Check(folder)
		if err == nil {
			return path, nil
		}
		if refused == nil {
			refused = distrusted(path, "its folder: ", err)
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", checks.Failed(checks.Missing, "no program %s in %s", name, strings.Join(folders, ":"))
}
