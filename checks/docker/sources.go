package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxSources bounds the files that a compose file may take in.
const maxSources = 200

// A composed file is one of compose, and the folder from which its relative
// paths lead.
type composed struct {
	file, folder string
}

// sources are the files that decide what compose does: the compose file, the
// .env beside it, and what it includes, extends and takes variables from. More
// files than are looked at, a file that cannot be read whole or understood, and
// a path that only compose can resolve are errors: whose they are is not known.
func sources(file string) ([]string, error) {
	list := []composed{{file, filepath.Dir(file)}}
	var found []string
	for at := 0; at < len(list); at++ {
		next, variables, err := list[at].takesIn()
		if err != nil {
			return nil, fmt.Errorf("looking for the files that %s takes in: %w", list[at].file, err)
		}
		found = append(found, list[at].file, filepath.Join(list[at].folder, ".env"))
		found = append(found, variables...)
		for _, c := range next {
			if !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
		if len(list) > maxSources {
			return nil, checks.Failed(checks.Limit, "%s takes in more than %d files", file, maxSources)
		}
	}
	return found, nil
}

// takesIn are the files of compose that a file names, and those of variables.
// A file that is not there takes in none: compose says so.
func (c composed) takesIn() (next []composed, variables []string, err error) {
	content, err := hostfs.Read(c.file, maxConfig)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var doc struct {
		Include  any
		Services map[string]struct {
			Extends any
			EnvFile any `yaml:"env_file"`
		}
	}
	if yaml.Unmarshal(content, &doc) != nil { // the decoder's own words would quote the file, secrets and all
		return nil, nil, checks.Failed(checks.Other, "it is not YAML of the expected form")
	}
	next, variables, err = c.includes(doc.Include)
	for _, s := range doc.Services {
		if m, ok := s.Extends.(map[string]any); ok {
			base, baseErr := paths(m["file"], c.folder)
			for _, file := range base {
				next = append(next, composed{file, filepath.Dir(file)})
			}
			err = errors.Join(err, baseErr)
		}
		more, envErr := paths(s.EnvFile, c.folder)
		variables = append(variables, more...)
		err = errors.Join(err, envErr)
	}
	return next, variables, err
}

// includes reads the list of includes, each a path or a mapping.
func (c composed) includes(value any) (next []composed, variables []string, err error) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			m = map[string]any{"path": item}
		}
		files, fileErr := paths(m["path"], c.folder)
		own, envErr := paths(m["env_file"], c.folder)
		folders, folderErr := paths(m["project_directory"], c.folder)
		if err := errors.Join(fileErr, envErr, folderErr); err != nil {
			return nil, nil, err
		}
		variables = append(variables, own...)
		for i, file := range files {
			if i == 0 && len(folders) == 0 {
				folders = []string{filepath.Dir(file)} // of the first, for all of them
			}
			next = append(next, composed{file, folders[0]})
		}
	}
	return next, variables, nil
}

// paths are the files of a value that is a path, a list of them, or a mapping
// that has one under path.
func paths(value any, folder string) ([]string, error) {
	switch v := value.(type) {
	case string:
		path, err := resolve(v, folder)
		if path == "" {
			return nil, err
		}
		return []string{path}, err
	case []any:
		var list []string
		for _, item := range v {
			more, err := paths(item, folder)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
		return list, nil
	case map[string]any:
		return paths(v["path"], folder)
	}
	return nil, nil
}

// resolve gives the whole path that compose would open. Two dollar signs stand
// for one.
func resolve(path, folder string) (string, error) {
	plain := strings.ReplaceAll(path, "$$", "")
	switch {
	case path == "":
		return "", nil
	case strings.Contains(plain, "$"):
		return "", checks.Failed(checks.Unconfigured, "%q has a variable, which only compose can fill in: name the file itself", path)
	case strings.Contains(path, "://"), strings.HasPrefix(path, "git@"), strings.HasPrefix(path, "github.com/"):
		return "", checks.Failed(checks.Unconfigured, "%q comes from another host, and nothing says whose it is: keep a copy here", path)
	}
	path = strings.ReplaceAll(path, "$$", "$")
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	return path, nil
}
