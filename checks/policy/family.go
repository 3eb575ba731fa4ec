// Package policy holds what other checks found against the time the site gives
// itself for it.
//
// It looks at nothing but the kept history: what was found is another family's
// subject, and a finding that nobody has looked at lately is unknown here.
package policy

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is what main joins; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "policy", Doc: "Findings of other checks against the time each class of them may stay open", Modules: modules}
}
