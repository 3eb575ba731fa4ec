package journal

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/core/xdg"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// StateDir is where a site's state lives, as an absolute path: the given
// directory, or $XDG_STATE_HOME/opsdeck, or ~/.local/state/opsdeck, and in it the
// site's folder. A user without a home has to name a directory, or gets an error.
//
// The folder is called as the site, with "_" for what a folder's name should
// not hold. Where that folder is another site's, the name is followed by a hash
// of the site's: "a.b" and "a_b" have the same name, and a folder may have been
// renamed or copied.
func StateDir(given, site string, env func(string) string) (string, error) {
	root, err := filepath.Abs(given)
	if given == "" {
		root, err = xdg.State(env)
		root = filepath.Join(root, "opsdeck")
	}
	if err != nil {
		return "", fmt.Errorf("finding the state directory: %w", err)
	}
	return folderOf(root, site), nil
}

func folderOf(root, site string) string {
	plain := filepath.Join(root, folderName(site))
	sum := sha256.Sum256([]byte(site))
	apart := plain + "-" + hex.EncodeToString(sum[:4])
	if owner, known := siteOf(apart); known && owner == site {
		return apart
	}
	if owner, known := siteOf(plain); known && owner != site {
		return apart
	}
	return plain
}

// folderName keeps a site's name from naming any other directory.
func folderName(site string) string {
	name := []rune(site)
	for i, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
		if !ok {
			name[i] = '_'
		}
	}
	if len(name) == 0 {
		return "site"
	}
	return string(name)
}

// A TakenError says that a folder is another site's.
type TakenError struct{ Dir, Site string }

// Error names the folder and the site.
func (e *TakenError) Error() string {
	return fmt.Sprintf("the state directory %s is that of the site %q", e.Dir, e.Site)
}

// maxName bounds what is read as a site's name.
const maxName = 4096

func sitePath(dir string) string { return filepath.Join(dir, "site") }

// Settle writes down whose state directory it is, for those that look later. A
// directory of another site is a *TakenError.
func Settle(dir, site string) error {
	if owner, known := siteOf(dir); known && owner != site {
		return &TakenError{dir, owner}
	}
	err := hostfs.WriteNew(sitePath(dir), []byte(site+"\n"), 0o600)
	if errors.Is(err, fs.ErrExist) { // since we looked, or before
		if owner, _ := siteOf(dir); owner != site {
			return &TakenError{dir, owner}
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing down whose state directory it is: %w", err)
	}
	return nil
}

// siteOf is the site whose state the directory holds: the one that is written
// down there, or else the one that opened its first run.
func siteOf(dir string) (site string, known bool) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", false
	}
	if raw, err := hostfs.ReadNoFollow(sitePath(dir), maxName); err == nil {
		return strings.TrimSuffix(string(raw), "\n"), true
	}
	err := withCopy(dir, func(db *sql.DB) error {
		for e, err := range entries(db) {
			var event runbooks.Event
			if err = errors.Join(err, json.Unmarshal(e.body, &event)); err != nil {
				return err
			}
			p, err := event.Payload()
			if opened, ok := p.(runbooks.RunOpened); ok && err == nil {
				site, known = opened.Site, true
				return nil
			}
		}
		return nil
	})
	if err != nil { // a record that cannot be read says nothing here; opening it will
		return "", false
	}
	return site, known
}
