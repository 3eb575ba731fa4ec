package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
)

// The major versions that opsdeck is held to, one beside the other. A later
// one is tried with what is known of the newest.
const (
	OldestMajor = 13
	NewestMajor = 18
)

// Major is Find for one major version: the directory of its initdb and
// postgres. It looks below OPSDECK_PG_MAJORS, or else where .ci/postgres-majors
// puts them, and then in the distribution's own directories. Its error is an
// ErrNotFound that says how to get that version.
func Major(version int) (string, error) {
	for _, dir := range majorDirs(version) {
		if complete(dir) {
			return dir, linkLibraries(filepath.Dir(dir))
		}
	}
	return "", fmt.Errorf("no PostgreSQL %d: run .ci/postgres-majors, or set OPSDECK_PG_MAJORS to a directory that holds %d/bin: %w", version, version, ErrNotFound)
}

func majorDirs(version int) []string {
	root := os.Getenv("OPSDECK_PG_MAJORS")
	if cache, err := cacheDir(); err == nil && root == "" {
		root = filepath.Join(cache, "majors")
	}
	name := fmt.Sprint(version)
	return []string{
		filepath.Join(root, name, "native", "bin"), filepath.Join(root, name, "bin"),
		filepath.Join("/usr/lib/postgresql", name, "bin"), "/usr/pgsql-" + name + "/bin",
	}
}
