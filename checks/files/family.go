// Package files looks at files of the host that have to be there and as they
// should: scripts, units, configuration.
//
// It reads and never writes; what a file says is compared but never shown,
// because configuration holds secrets. Read content.go first. The package must
// not know what the files are for.
package files

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{
		Name:    "files",
		Doc:     "Files that have to be there, with the content, the mode and the owner they should have",
		Modules: modules,
	}
}
