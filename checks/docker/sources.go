package docker

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxSources bounds the files that a compose file may take in.
const maxSources = 200

// sources are the files that decide what compose does: the compose file, the
// .env beside it, and what it includes, extends and takes variables from.
func sources(file string) []string {
	found := []string{file, filepath.Join(filepath.Dir(file), ".env")}
	composed := []string{file}
	for at := 0; at < len(composed) && at < maxSources; at++ {
		content, err := hostfs.Read(composed[at], maxConfig)
		if err != nil {
			continue // not there, or compose says so
		}
		var doc struct {
			Include  any
			Services map[string]struct {
				Extends any
				EnvFile any `yaml:"env_file"`
			}
		}
		if yaml.Unmarshal(content, &doc) != nil {
			continue // compose says so
		}
		folder := filepath.Dir(composed[at])
		next := paths(doc.Include, folder, "path")
		for _, s := range doc.Services {
			if m, ok := s.Extends.(map[string]any); ok {
				next = append(next, paths(m, folder, "file")...)
			}
			found = append(found, paths(s.EnvFile, folder, "path")...)
		}
		for _, path := range next {
			if !slices.Contains(composed, path) {
				composed = append(composed, path)
			}
		}
	}
	return append(found, composed[1:]...)
}

// paths are the files of a value that is a path, a list of them, or a mapping
// that has them under the key; the env_file of an include counts too.
func paths(value any, folder, key string) []string {
	switch v := value.(type) {
	case string:
		if strings.Contains(v, "://") || strings.Contains(v, "${") || v == "" {
			return nil // not a file of this host, or one that only compose can name
		}
		if !filepath.IsAbs(v) {
			v = filepath.Join(folder, v)
		}
		return []string{v}
	case []any:
		var list []string
		for _, item := range v {
			list = append(list, paths(item, folder, key)...)
		}
		return list
	case map[string]any:
		list := paths(v[key], folder, key)
		return append(list, paths(v["env_file"], folder, key)...)
	}
	return nil
}
