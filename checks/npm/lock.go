package npm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// A lock is what a lock file says: the version at each place of the tree.
type lock map[string]string

// lockNames are the lock files that npm looks for, the first wins.
var lockNames = []string{"npm-shrinkwrap.json", "package-lock.json"}

// manifests are all files that npm writes when dependencies change.
var manifests = append([]string{"package.json"}, lockNames...)

const maxLock = 64 << 20 // bytes; the largest known are near 3 MB

type lockFile struct {
	Version      int `json:"lockfileVersion"`
	Packages     map[string]lockEntry
	Dependencies map[string]oldEntry // of version 1
}

type lockEntry struct {
	Version string
	Link    bool
}

type oldEntry struct {
	Version      string
	Dependencies map[string]oldEntry
}

// parseLock reads a lock file of any version.
func parseLock(raw []byte) (lock, error) {
	var f lockFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, fmt.Errorf("it is no lock file: %w", err)
	}
	if f.Version == 0 {
		return nil, errors.New("it is no lock file: it has no lockfileVersion")
	}
	l := lock{}
	for place, e := range f.Packages {
		if strings.Contains(place, "node_modules/") && !e.Link {
			l[place] = e.Version
		}
	}
	if f.Packages == nil {
		l.addOld("", f.Dependencies)
	}
	return l, nil
}

func (l lock) addOld(below string, all map[string]oldEntry) {
	for name, e := range all {
		place := below + "node_modules/" + name
		l[place] = e.Version
		l.addOld(place+"/", e.Dependencies)
	}
}

// identity is the same for two locks that say the same.
func (l lock) identity() string {
	h := sha256.New()
	for _, place := range slices.Sorted(maps.Keys(l)) {
		fmt.Fprintf(h, "%s@%s\n", place, l[place])
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// readLock reads a project's lock file.
func readLock(p checks.Project, dir string) (lock, error) {
	for _, name := range lockNames {
		raw, err := hostfs.Read(filepath.Join(dir, name), maxLock)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("project %s: %w", p.Name, err)
		}
		l, err := parseLock(raw)
		if err != nil {
			return nil, checks.Failed(checks.Parse, "project %s: %s: %w", p.Name, name, err)
		}
		return l, nil
	}
	return nil, checks.Failed(checks.Missing, "project %s: there is no lock file in %s; without one nobody knows what is installed", p.Name, dir)
}

// A move is what happens to one package; from or to is "" if it is new or gone.
type move struct{ pkg, from, to string }

// moves between two locks, by package and place.
func moves(from, to lock) []move {
	var all []move
	places := maps.Clone(from)
	maps.Copy(places, to)
	for _, place := range slices.Sorted(maps.Keys(places)) {
		if from[place] != to[place] {
			all = append(all, move{place[strings.LastIndex(place, "node_modules/")+len("node_modules/"):], from[place], to[place]})
		}
	}
	return all
}

// copyInto copies what npm resolves dependencies from into a directory: the
// manifests, the settings, and the manifests of packages that lie in the tree.
func copyInto(p checks.Project, into string) error {
	names := append([]string{".npmrc"}, manifests...)
	for _, local := range localPackages(p.Dir) {
		names = append(names, filepath.Join(local, "package.json"))
	}
	for _, name := range names {
		raw, err := hostfs.Read(filepath.Join(p.Dir, name), maxLock)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("project %s: %w", p.Name, err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(into, name)), 0o700); err != nil {
			return fmt.Errorf("project %s: making a copy to try it on: %w", p.Name, err)
		}
		if err := os.WriteFile(filepath.Join(into, name), raw, 0o600); err != nil {
			return fmt.Errorf("project %s: making a copy to try it on: %w", p.Name, err)
		}
	}
	return nil
}

// localPackages are the directories of workspaces and of packages that are
// linked from the tree itself.
func localPackages(dir string) []string {
	for _, name := range lockNames {
		raw, err := hostfs.Read(filepath.Join(dir, name), maxLock)
		if err != nil {
			continue
		}
		var f lockFile
		if json.NewDecoder(bytes.NewReader(raw)).Decode(&f) != nil {
			return nil // readLock says what is wrong with it
		}
		var all []string
		for place := range f.Packages {
			if place != "" && !strings.Contains(place, "node_modules/") && filepath.IsLocal(place) {
				all = append(all, place)
			}
		}
		return all
	}
	return nil
}
