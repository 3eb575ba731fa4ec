package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

const (
	maxSource  = 1 << 20 // bytes of one file of configuration that are read
	maxSources = 2000    // files and folders that are looked at
)

// Sources are the files and folders that decide which programs git runs in the
// repository around a folder: the system's, the user's and the repository's
// configuration, what these include, and the hooks. A folder in no repository
// has none. A path that cannot be resolved and more sources than are looked at
// are errors: whose they are is not known then.
func Sources(dir string) ([]string, error) {
	own, ok := folderOf(dir)
	if !ok {
		return nil, nil
	}
	home, err := home()
	if err != nil {
		return nil, err
	}
	s := &search{home: home, folders: []string{filepath.Dir(own)}}
	if info, err := os.Lstat(own); err == nil && !info.IsDir() {
		s.found = append(s.found, own)
	}
	for _, at := range commonWith(own) {
		s.folders = append(s.folders, at)
		s.found = append(s.found, filepath.Join(at, "hooks"))
		s.include(filepath.Join(at, "config"), filepath.Join(at, "config.worktree"))
	}
	s.include("/etc/gitconfig", filepath.Join(home, ".gitconfig"), filepath.Join(home, ".config/git/config"))
	for at := 0; at < len(s.configs); at++ {
		if err := s.read(s.configs[at]); err != nil {
			return nil, fmt.Errorf("looking for what git would run in %s: %w", dir, err)
		}
		if len(s.configs)+len(s.found) > maxSources {
			return nil, checks.Failed(checks.Limit, "git's configuration for %s names more than %d files", dir, maxSources)
		}
	}
	for _, hooks := range s.hooks { // at the end: each top of a worktree is known now
		for _, folder := range s.folders {
			s.found = append(s.found, under(folder, hooks))
		}
	}
	return append(s.found, s.configs...), nil
}

// home is the one that the programs that opsdeck starts are given.
func home() (string, error) {
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return "", fmt.Errorf("looking for the configuration of git in the home: %w", err)
	}
	return u.HomeDir, nil
}

// A search is what was found of the sources by now.
type search struct {
	home    string
	folders []string // where hooks run: the top of a worktree, or .git of a bare repository
	configs []string // configuration: read, or still to be
	hooks   []string // folders of hooks, as they are named
	found   []string // the rest
}

func (s *search) include(paths ...string) {
	for _, path := range paths {
		if !slices.Contains(s.configs, path) {
			s.configs = append(s.configs, path)
		}
	}
}

// read follows what one file of configuration names. A condition of an include
// is taken to hold.
func (s *search) read(config string) error {
	text, err := hostfs.Read(config, maxSource)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, set := range settings(string(text)) {
		if set.value == "" {
			continue // nothing is named
		}
		path, err := s.expand(set.value)
		switch name := set.section + "." + set.key; {
		case name != "include.path" && name != "includeif.path" && name != "core.hookspath" && name != "core.worktree":
			continue
		case err != nil:
			return fmt.Errorf("%s: %s = %q: %w", config, name, set.value, err)
		case set.key == "hookspath":
			s.hooks = append(s.hooks, path)
		case set.key == "worktree":
			for _, folder := range slices.Clone(s.folders) {
				s.folders = append(s.folders, under(folder, path))
			}
		default:
			s.include(under(filepath.Dir(config), path))
		}
	}
	return nil
}

// expand puts the home in place of the tilde of a path.
func (s *search) expand(path string) (string, error) {
	if strings.HasPrefix(path, "%(") {
		return "", checks.Failed(checks.Unconfigured, "only git knows what this stands for: name the whole path")
	}
	if !strings.HasPrefix(path, "~") {
		return path, nil
	}
	name, rest, _ := strings.Cut(path[1:], "/")
	if name == "" {
		return filepath.Join(s.home, rest), nil
	}
	of, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return filepath.Join(of.HomeDir, rest), nil
}

// under is a path, or where it leads from a folder if it is relative.
func under(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// folderOf is the .git at or above a folder.
func folderOf(dir string) (string, bool) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return filepath.Join(at, ".git"), true
		}
		if at == filepath.Dir(at) {
			return "", false
		}
	}
}

// commonWith are the folders that hold a repository's configuration: .git itself,
// or, of a worktree, the folder that the file .git names and the one it shares.
func commonWith(own string) []string {
	text, err := hostfs.Read(own, maxSource)
	if err != nil {
		return []string{own}
	}
	to, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "gitdir: ")
	if !ok {
		return []string{own}
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(own), to)
	}
	folders := []string{to}
	if shared, err := hostfs.Read(filepath.Join(to, "commondir"), maxSource); err == nil {
		common := strings.TrimSpace(string(shared))
		if !filepath.IsAbs(common) {
			common = filepath.Join(to, common)
		}
		folders = append(folders, common)
	}
	return folders
}
