package maintenance

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A page is a maintenance page of the site file with the directory of its file
// opened: whatever happens to the path meanwhile, it stays the same directory.
type page struct {
	checks.MaintenancePage
	url    *url.URL
	exempt *url.URL
	reload checks.Command // zero with a flag

	dir  *hostfs.Dir
	name string // of the flag or the snippet in it
	path string // of the same, with the links of its directory resolved
}

// open finds the page that the arguments name and opens its directory.
func open(env checks.Env, args checks.Args) (*page, error) {
	entry, err := entryOf(env, args.Text("page"))
	if err != nil {
		return nil, err
	}
	p := &page{MaintenancePage: entry}
	if p.url, err = url.Parse(entry.URL); err != nil || p.url.Host == "" {
		return nil, checks.Failed(checks.Unconfigured, "maintenance %s: its url is not a URL", entry.Name)
	}
	if p.exempt, err = url.Parse(entry.Exempt); err != nil || p.exempt.Host == "" {
		return nil, checks.Failed(checks.Unconfigured, "maintenance %s: its exempt is not a URL", entry.Name)
	}
	if env.Dialer == nil {
		return nil, checks.Failed(checks.Unconfigured, "nothing to dial with: the page cannot be seen from outside")
	}
	file := entry.Flag
	if entry.Snippet != "" {
		file = entry.Snippet
		command, there := env.Site.Commands[entry.Reload]
		if !there || env.Exec == nil {
			return nil, checks.Failed(checks.Unconfigured, "maintenance %s: the command %q that reloads the web server cannot be run", entry.Name, entry.Reload)
		}
		p.reload = command
	}
	return p, p.openDirectory(file)
}

func (p *page) openDirectory(file string) error {
	if !filepath.IsAbs(file) {
		return checks.Failed(checks.Unconfigured, "maintenance %s: %q is not an absolute path", p.Name, file)
	}
	dir, err := hostfs.OpenDir(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("maintenance %s: %w", p.Name, err)
	}
	p.dir, p.name = dir, filepath.Base(file)
	real, err := dir.Real()
	if err != nil {
		p.close()
		return fmt.Errorf("maintenance %s: %w", p.Name, err)
	}
	p.path = filepath.Join(real, p.name)
	return nil
}

func entryOf(env checks.Env, name string) (checks.MaintenancePage, error) {
	names := slices.Sorted(maps.Keys(env.Site.Maintenance))
	switch {
	case len(names) == 0:
		return checks.MaintenancePage{}, checks.NotHere{What: "no maintenance pages in the site file"}
	case name == "" && len(names) > 1:
		return checks.MaintenancePage{}, checks.Failed(checks.Unconfigured, "several maintenance pages: name one of %s", strings.Join(names, ", "))
	case name == "":
		name = names[0]
	}
	entry, ok := env.Site.Maintenance[name]
	if !ok {
		return entry, checks.NotHere{What: fmt.Sprintf("no maintenance page %q in the site file", name)}
	}
	entry.Name = name
	return entry, nil
}

// findings are what every phase reports: what is meant, and how it is known again.
func (p *page) findings() checks.Findings {
	return checks.Findings{
		Target:      p.url.Host,
		Fingerprint: p.path + " " + p.url.Redacted(),
		Locks:       []string{"file:" + p.path},
	}
}

// close ends the use of the directory. It was only read from: an error of it
// would mean nothing.
func (p *page) close() { _ = p.dir.Close() }

// folderSpec is by what the directory is known again.
var folderSpec = fact.Spec{
	Name: "folder", Type: fact.Text, Optional: true, Doc: "device and inode of the directory of the flag or the snippet",
}

func (p *page) folder() (fact.Fact, error) {
	info, err := p.dir.Info()
	return fact.Word(folderSpec.Name, info.ID.String()), err
}

// isPreviewed refuses a directory that is another than the one that was confirmed.
func (p *page) isPreviewed(env checks.Env) error {
	is, err := p.folder()
	if err != nil {
		return err
	}
	if known, ok := env.BeforeFact(folderSpec.Name, ""); ok && known.Text != is.Text {
		return checks.Failed(checks.Other, "the directory of %s is not the one that the preview saw any more", p.path)
	}
	return nil
}

// writableByOthers names the directory at or above the file that somebody else
// may change: they could put another file in our file's place.
func (p *page) writableByOthers() (string, error) {
	for at := filepath.Dir(p.path); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return "", fmt.Errorf("looking at who may change %s: %w", at, err)
		}
		if info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", nil
		}
	}
}

// writable fails if we may not create and rename in the directory.
func (p *page) writable() error {
	if err := p.dir.Writable(); err != nil {
		return checks.Failed(checks.Denied, "%s cannot be written: %w", filepath.Dir(p.path), err)
	}
	return nil
}
