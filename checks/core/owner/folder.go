package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxTree is how many entries of a folder CheckTree looks at.
const maxTree = 20000

// CheckTree is Check of a file, or of a folder and everything in it. What is not
// there is nothing to refuse, if the folders above it pass.
func (r Rule) CheckTree(path string) error {
	left := maxTree
	return r.checkTree(path, &left)
}

func (r Rule) checkTree(path string, left *int) error {
	if *left--; *left < 0 {
		return fmt.Errorf("%s has more than %d entries: who owns them was not looked at", path, maxTree)
	}
	e, err := r.reach(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	e.close()
	if !e.isDir() {
		return nil
	}
	f, err := r.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("listing %s: %w", path, err)
	}
	for _, name := range names {
		if err := r.checkTree(filepath.Join(path, name), left); err != nil {
			return err
		}
	}
	return nil
}

// FS is the folder as a file system of which only files that pass the rule can
// be opened. What is not there reads as such, whatever folders are above it.
func (r Rule) FS(dir string) fs.FS { return folder{r, dir} }

type folder struct {
	rule Rule
	dir  string
}

// Open opens what passes the rule; else the error is a *Refusal.
func (d folder) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	path := filepath.Join(d.dir, name)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return d.rule.Open(path)
}
