package site

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/checks/core/xdg"
)

// A Site is what is operated. It is built whole and never changed.
type Site struct {
	Name     string
	Path     string   // of the file; "" if detected
	Hash     [32]byte // of the file's bytes
	Detected bool     // there is no file: this is what the host shows

	Zone        *time.Location
	Vars        map[string]string
	Connections []checks.Connection
	Services    []checks.Check
	Logs        map[string]checks.LogSource
	Queries     map[string]checks.Query
	Backups     map[string]checks.BackupSet
	Notify      map[string]checks.Notify
	Commands    map[string]checks.Command
	Maintenance map[string]checks.MaintenancePage
	Files       map[string]checks.ExpectedFile
	Documents   map[string]checks.Document
	Kept        map[string]checks.KeptSecret // under "secrets"
	Projects    map[string]checks.Project
	Scans       map[string]checks.Scan
	Loads       map[string]checks.Load
	Nginx       checks.Nginx
	Cron        map[string]checks.CronJob
	Logrotate   checks.Logrotate
	Certbot     checks.Certbot
	Archive     map[string]checks.OldRows
	Purge       map[string]checks.OldRows
	Allow       checks.Allow
	Retention   Retention
	Team        *checks.Connection
	Socket      string // of a supervisor that runs as a service; "" if each user has their own

	// Withheld is why secrets could not be had by this user; only of a site whose
	// supervisor has them instead.
	Withheld []string

	limits  map[string]limit
	secrets []string
}

// Retention is how long things are kept.
type Retention struct{ Evidence, Metrics time.Duration }

// DefaultRetention covers a year and the month after it, so that last year's
// same window can still be compared with.
const DefaultRetention = 400 * 24 * time.Hour

// limit is the site's rules and parameters for one module.
type limit struct {
	rules  checks.Rules
	params map[string]any
}

// Named is a site of which only the name is known: it has nothing, and its
// record can be read.
func Named(name string) *Site {
	return &Site{Name: name, Zone: time.UTC, Retention: Retention{DefaultRetention, DefaultRetention}}
}

// Service is the entry under "services" of that id.
func (s *Site) Service(id string) (checks.Check, bool) {
	for _, c := range s.Services {
		if c.ID == id {
			return c, true
		}
	}
	return checks.Check{}, false
}

// Limits are the site's rules and parameters for a module, zero if it has none.
func (s *Site) Limits(module string) (checks.Rules, map[string]any) {
	l := s.limits[module]
	return l.rules, l.params
}

// Var is a variable of the site.
func (s *Site) Var(name string) (string, bool) {
	value, ok := s.Vars[name]
	return value, ok
}

// Secrets are the values that no output may show.
func (s *Site) Secrets() []string { return s.secrets }

// Facts is the part of the site that modules refer to.
func (s *Site) Facts() checks.SiteFacts {
	return checks.SiteFacts{
		Name: s.Name, Zone: s.Zone, Connections: s.Connections, Logs: s.Logs, Queries: s.Queries, Backups: s.Backups,
		Notify: s.Notify, Commands: s.Commands, Maintenance: s.Maintenance, Files: s.Files, Documents: s.Documents, Projects: s.Projects, Archive: s.Archive, Purge: s.Purge, Scans: s.Scans, Loads: s.Loads, Secrets: s.Kept, Nginx: s.Nginx, Cron: s.Cron, Logrotate: s.Logrotate, Certbot: s.Certbot, Allow: s.Allow,
	}
}

// Connection returns a named connection.
func (s *Site) Connection(kind, name string) (checks.Connection, bool) {
	for _, c := range s.Connections {
		if c.Kind == kind && c.Name == name {
			return c, true
		}
	}
	return checks.Connection{}, false
}

// Find is the path of the site file: the flag's, $OPSDECK_SITE, ./opsdeck.yaml,
// the user's, /etc/opsdeck/opsdeck.yaml. "" means there is none and the site is
// to be detected. A file that was named and is not there is an error, and so is
// one that is there and cannot be looked at: nothing falls through to the next.
func Find(flag string, env func(string) string) (string, error) {
	for _, named := range []string{flag, env("OPSDECK_SITE")} {
		if named == "" {
			continue
		}
		if _, err := os.Lstat(named); err != nil {
			return "", fmt.Errorf("the site file that was named: %w", err)
		}
		return named, nil
	}
	places := []string{"opsdeck.yaml"}
	if config, err := xdg.Config(env); err == nil { // a user without a home has no file in it
		places = append(places, filepath.Join(config, "opsdeck", "opsdeck.yaml"))
	}
	for _, path := range append(places, "/etc/opsdeck/opsdeck.yaml") {
		if _, err := os.Lstat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for a site file: %w", err)
		}
	}
	return "", nil
}

// Load reads a site file. The Site is nil when a problem is an error; warnings
// come with a Site. An error means that the file could not be read at all, or, if
// it is an *owner.Refusal, that somebody else could have written it.
func Load(path string, reg *checks.Registry, env func(string) string) (*Site, Problems, error) {
	src, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	s, problems := Parse(path, src, reg, env)
	if s != nil {
		s.Hash = sha256.Sum256(src)
	}
	return s, problems, nil
}

// read is what stands in a site file that may steer us: a regular one, and not
// more than the parser takes. One that somebody else could have written is an
// *owner.Refusal.
func read(path string) ([]byte, error) {
	rule, err := owner.Current()
	if err != nil {
		return nil, err
	}
	f, err := rule.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the site file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the site file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the site file %s is not a regular file", path)
	}
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the site file: %w", err)
	}
	return src, nil
}
