// Package calendar tells when a maintenance window opens and what else is
// planned for that time: the cron entries and systemd timers that would fire
// in the middle of it.
//
// A crontab or a timer that cannot be read is counted and named, never taken
// for "nothing planned". Package civil below it holds the arithmetic and is
// what runbooks share; this package must not know them. Read window.go first,
// then conflicts.go.
package calendar

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is what main joins; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "calendar", Doc: "the maintenance window, and what else is planned for it", Modules: modules}
}
