// Package record asks the record itself: whether another runbook was walked,
// when, and how it ended. It knows of runs only what checks.RunSummary says.
package record

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the modules about recorded runs.
func Family() checks.Family {
	return checks.Family{Name: "record", Doc: "What the record says of other runs", Modules: modules}
}
