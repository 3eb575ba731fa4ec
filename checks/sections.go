package checks

import (
	"maps"
	"regexp"
	"slices"
	"time"
)

// An ExpectedFile is one entry under "files": a file of the host that has to be
// there, and what file.content is to expect of it.
type ExpectedFile struct {
	Name   string
	With   map[string]any // parameters of file.content, bound once when the site file is read
	Origin string
}

// Entries are the names under a section of the site file that parameters refer
// to (see Param.Names), sorted; nil if the section is empty or none of those.
func (s SiteFacts) Entries(section string) []string {
	switch section {
	case "logs":
		return sorted(s.Logs)
	case "queries":
		return sorted(s.Queries)
	case "backups":
		return sorted(s.Backups)
	case "notify":
		return sorted(s.Notify)
	case "commands":
		return sorted(s.Commands)
	case "maintenance":
		return sorted(s.Maintenance)
	case "files":
		return sorted(s.Files)
	case "secrets":
		return sorted(s.Secrets)
	case "cron":
		return sorted(s.Cron)
	case "documents":
		return sorted(s.Documents)
	case "archive":
		return sorted(s.Archive)
	case "purge":
		return sorted(s.Purge)
	case "projects":
		return sorted(s.Projects)
	case "loads":
		return sorted(s.Loads)
	case "scans":
		return sorted(s.Scans)
	}
	return nil
}

func sorted[V any](entries map[string]V) []string { return slices.Sorted(maps.Keys(entries)) }

// A Document is one entry under "documents": something that is written about
// the site.
type Document struct {
	Name   string
	Path   string        // absolute; "" if it has a URL
	Root   string        // folder that the path must not leave, links followed
	URL    string        // http or https
	Review time.Duration // how often it is to be reviewed; 0: no word
	Origin string
}

// A Project is one entry under "projects": a source tree with its repository.
type Project struct {
	Name       string
	Dir        string            // absolute; where package.json is
	Remote     string            // of git; "origin" if the file names none
	Main       string            // the branch that is deployed; "main" if the file names none
	Production bool              // what is served from this very tree: actions refuse it
	MergeHere  bool              // branches are merged here and not by a review at the remote
	Upgrade    map[string]string // planned upgrades: package to exact version
	Waive      []Waiver          // advisories that are known and accepted for a while
	Origin     string
}

// ExactVersion is a release of a package that means the same tomorrow.
var ExactVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)

// A Waiver is an advisory that is accepted until a day.
type Waiver struct {
	ID     string // GHSA-… or the registry's number
	Until  time.Time
	Reason string
}
