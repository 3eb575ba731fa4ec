// Package certbot tries out and makes the renewal of the certificates that
// certbot keeps on a host, and proves that what is served is what was renewed.
//
// certbot ends with 0 where nothing was renewed, where there was nothing to
// renew and where a hook failed. So its exit code is one fact of several: a
// renewal is one that certbot names as done and that the file shows, and the
// server is asked what it serves. Read dryrun.go and renew.go first.
//
// It is tested with the real certbot against pebble, the test server of Let's
// Encrypt: issue, dry run and renewal.
package certbot

import (
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Network
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{Name: "certbot", Doc: "Renewal of certificates by certbot: tried out, made, and seen to be served", Modules: modules}
}

var certificateParam = checks.Param{
	Name: "certificate", Type: checks.TextParam, Check: func(v any) error { return CheckName(fmt.Sprint(v)) },
	Doc: "certificate by the name that certbot gives it; without it all of them", Example: "lms.example.com",
}

// lineageName is what certbot makes of a domain, and what --cert-name may have
// made of it; never an option.
var lineageName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// CheckName is an error if certbot could not have given a certificate that name.
func CheckName(name string) error {
	if !lineageName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a certificate of certbot", name)
	}
	return nil
}

// A place is where certbot keeps what it knows.
type place struct {
	checks.Certbot
	root string // under which files are read
}

// here is the site's certbot.
func here(env checks.Env) (place, error) {
	switch {
	case env.Site.Certbot.Origin == "":
		return place{}, checks.NotHere{What: "no certbot in the site file"}
	case env.Root == "":
		return place{}, checks.Failed(checks.Unconfigured, "no host to look at: the root directory is not set")
	case env.Exec == nil:
		return place{}, checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	return place{env.Site.Certbot, env.Root}, nil
}

func (p place) config() string { return or(p.Config, "/etc/letsencrypt") }
func (p place) work() string   { return or(p.Work, "/var/lib/letsencrypt") }
func (p place) logs() string   { return or(p.Logs, "/var/log/letsencrypt") }

func or(given, usual string) string {
	if given == "" {
		return usual
	}
	return given
}

// at is where a file of the host is read.
func (p place) at(path string) string { return filepath.Join(p.root, path) }

// lock is what two actions must not hold at once; certbot has one of its own,
// of which the second comes to know only after it has begun.
func (p place) lock() string { return "certbot:" + p.config() }

// flags name the directories where they are not certbot's own.
func (p place) flags() []string {
	var list []string
	for _, f := range []struct{ name, dir string }{{"--config-dir", p.Config}, {"--work-dir", p.Work}, {"--logs-dir", p.Logs}} {
		if f.dir != "" {
			list = append(list, f.name, f.dir)
		}
	}
	return list
}

func now(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}
