package git

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// maxSource bounds what is read of a repository's configuration, in bytes.
const maxSource = 1 << 20

// points are the keys of a configuration that name further configuration or a
// folder of hooks.
var points = regexp.MustCompile(`(?mi)^\s*(?:path|hooksPath)\s*=\s*"?([^"#;\n]+)`)

// Sources are the files and folders of the repository around a folder that
// decide which programs git runs: its configuration and its hooks. A folder in
// no repository has none.
func Sources(dir string) []string {
	own, ok := folderOf(dir)
	if !ok {
		return nil
	}
	var found []string
	if info, err := os.Lstat(own); err == nil && !info.IsDir() {
		found = append(found, own)
	}
	for _, at := range commonWith(own) {
		for _, name := range []string{"config", "config.worktree", "hooks"} {
			found = append(found, filepath.Join(at, name))
		}
		text, err := hostfs.Read(filepath.Join(at, "config"), maxSource)
		if err != nil {
			continue // not there, or git cannot read it either
		}
		for _, m := range points.FindAllStringSubmatch(string(text), -1) {
			path := strings.TrimSpace(m[1])
			if strings.HasPrefix(path, "~") {
				continue // in a home: git's own configuration is there, too
			}
			if !filepath.IsAbs(path) {
				path = filepath.Join(at, path)
			}
			found = append(found, path)
		}
	}
	return found
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
