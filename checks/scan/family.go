// Package scan looks for holes with the tools of the trade: open ports, weak
// TLS, injectable parameters, secrets in repositories.
//
// What is scanned is an entry under "scans" of the site file, with who has
// allowed it and until when. No target is ever an argument. A report counts
// only if the tool says in it that it came to its end: a scan that saw nothing
// because it reached nothing is unknown. Read run.go first.
//
// nmap, sqlmap and gitleaks are tested with the real tools on loopback, testssl
// on a report recorded from it, because it takes minutes. ZAP could not be had
// here: its report is tested in the form that its documentation gives.
package scan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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
	return checks.Family{Name: "scan", Doc: "Authorised security scans: ports, TLS, injections, secrets in repositories", Modules: modules}
}

var scanParam = checks.Param{Name: "scan", Type: checks.TextParam, Names: "scans", Doc: "scan of the site file; without it all of the module's tools", Example: "staging-ports"}

// chosen are the scans to make, by name: those of the tools, or the one that
// is named.
func chosen(env checks.Env, args checks.Args, tools ...string) ([]checks.Scan, error) {
	if name := args.Text("scan"); name != "" {
		s, ok := env.Site.Scans[name]
		if !ok {
			return nil, checks.NotHere{What: fmt.Sprintf("%q under scans", name)}
		}
		if !slices.Contains(tools, s.Tool) {
			return nil, checks.Failed(checks.Unconfigured, "scan %s is one of %s, which this module does not run", name, s.Tool)
		}
		return []checks.Scan{s}, nil
	}
	var all []checks.Scan
	for _, name := range slices.Sorted(maps.Keys(env.Site.Scans)) {
		if s := env.Site.Scans[name]; slices.Contains(tools, s.Tool) {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil, checks.NotHere{What: "no scan by " + strings.Join(tools, " or ") + " under scans in the site file"}
	}
	return all, nil
}

// allowed refuses what nobody has allowed, or not any more. The site file says
// so too; an Env can be made without one.
func allowed(s checks.Scan, now time.Time) error {
	switch {
	case s.Reference == "" || s.Until.IsZero():
		return checks.Failed(checks.Unconfigured, "scan %s: nobody has allowed it", s.Name)
	case !now.Before(s.Until.AddDate(0, 0, 1)):
		return checks.Failed(checks.Unconfigured, "scan %s: the authorisation %s ended on %s", s.Name, s.Reference, s.Until.Format(time.DateOnly))
	case (s.Tool == "sqlmap" || s.Tool == "zap") && !s.Staging:
		return checks.Failed(checks.Unconfigured, "scan %s: %s alters data and is for staging only", s.Name, s.Tool)
	case strings.HasPrefix(s.Target, "-") || s.Target == "":
		return checks.Failed(checks.Unconfigured, "scan %s: %q is no target", s.Name, s.Target)
	case s.Reports == "":
		return checks.Failed(checks.Unconfigured, "scan %s: there is nowhere to keep the report", s.Name)
	}
	return nil
}
