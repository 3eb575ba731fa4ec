// Package load puts staging under load and measures how it answers.
//
// What is loaded is an entry under "loads" of the site file, at a host of
// allow.scan_targets, with who has allowed it and until when; no address and no
// token is ever an argument. Requests are sent by vegeta, in this process and at
// a constant rate, so that a slow answer does not slow down the measuring.
// Only a 2xx is an answer: a wrong token is refused fast and would otherwise
// look like a superb site. Read run.go and attack.go first.
//
// All of it is tested with real HTTP servers on loopback.
package load

import (
	"fmt"
	"net/url"
	"slices"
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
	return checks.Family{Name: "load", Doc: "Authorised load tests of staging, compared with those before", Modules: modules}
}

// chosen is the load that is named, with its host.
func chosen(env checks.Env, args checks.Args) (checks.Load, string, error) {
	name := args.Text("load")
	l, ok := env.Site.Loads[name]
	if !ok {
		return checks.Load{}, "", checks.NotHere{What: fmt.Sprintf("%q under loads", name)}
	}
	u, err := url.Parse(l.URL)
	if err != nil || u.Host == "" {
		return l, "", checks.Failed(checks.Unconfigured, "load %s: %q is no address", name, l.URL)
	}
	return l, u.Hostname(), allowed(l, u.Hostname(), env)
}

// allowed refuses what nobody has allowed, or not any more. The site file says
// so too; an Env can be made without one.
func allowed(l checks.Load, host string, env checks.Env) error {
	switch {
	case !l.Staging:
		return checks.Failed(checks.Unconfigured, "load %s: its target does not count as staging, and production is never put under load", l.Name)
	case !slices.Contains(env.Site.Allow.ScanTargets, host):
		return checks.Failed(checks.Unconfigured, "load %s: %s is not under allow.scan_targets", l.Name, host)
	case l.Reference == "" || l.Until.IsZero():
		return checks.Failed(checks.Unconfigured, "load %s: nobody has allowed it", l.Name)
	case !env.Now().Before(l.Until.AddDate(0, 0, 1)):
		return checks.Failed(checks.Unconfigured, "load %s: the authorisation %s ended on %s", l.Name, l.Reference, l.Until.Format(time.DateOnly))
	case l.Withheld != "":
		return checks.Failed(checks.Denied, "load %s: its token is not for this user: %s", l.Name, l.Withheld)
	case l.Reports == "":
		return checks.Failed(checks.Unconfigured, "load %s: there is nowhere to keep the report", l.Name)
	case l.Total() < 1 || l.Rate < 1 || l.Wait <= 0:
		return checks.Failed(checks.Unconfigured, "load %s: %d requests at %d a second are none", l.Name, l.Total(), l.Rate)
	}
	return nil
}
