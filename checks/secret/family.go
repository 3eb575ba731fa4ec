// Package secret makes secrets and rotates them in the environment files that
// applications read, without a value ever leaving the file it belongs to: not
// into a fact, a line of output, an argument or the environment of a command.
//
// Only secrets that the site file names (secrets:) are touched. Read dotenv.go
// first, which says what of an environment file is understood; then entry.go.
// The package must not know what a secret is for.
package secret

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{Name: "secret", Doc: "Secrets that are made, rotated and removed in place", Modules: modules}
}
