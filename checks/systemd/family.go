// Package systemd finds out from systemd how a unit is doing, and has it reload
// one.
//
// systemd is asked over its bus; where no bus can be reached, "systemctl show"
// gives the same properties as text. Files, the bus's socket among them, are
// looked up under Env.Root. Read state.go first: what is known of a unit. The
// package must not know rules.
package systemd

import (
	"fmt"
	"regexp"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is what main joins; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "systemd", Doc: "systemd: its services and timers, and the reload of a service", Modules: modules}
}

// Names of units as systemd has them; the characters of a pattern are not among
// them, and no option begins so.
var (
	serviceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9:_.\\@-]{0,240}\.service\z`)
	timerName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9:_.\\@-]{0,240}\.timer\z`)
)

func checkUnit(value any) error {
	if name, ok := value.(string); ok && !serviceName.MatchString(name) && !timerName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a service or a timer: write nginx.service or certbot.timer", name)
	}
	return nil
}

func checkUnits(value any) error {
	names, _ := value.([]string)
	for _, name := range names {
		if err := checkUnit(name); err != nil {
			return err
		}
	}
	return nil
}

func checkService(value any) error {
	if name, ok := value.(string); ok && !serviceName.MatchString(name) {
		return fmt.Errorf("%q is not the name of a service: write nginx.service", name)
	}
	return nil
}

func clock(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}

// local is an instant as the site's people read it.
func local(env checks.Env, at time.Time) time.Time {
	if env.Site.Zone == nil {
		return at
	}
	return at.In(env.Site.Zone)
}
