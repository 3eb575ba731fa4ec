// Package tlscert finds out how long certificates still hold, and whether a
// client would accept them now.
//
// Verification is never switched off: a chain that is refused is described by
// what came with the refusal, so that an expired certificate is still shown
// with its date. A target that cannot be reached has no days left at all,
// never 0. Read expiry.go first. The package must not know rules.
package tlscert

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the certificate family; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "tlscert", Doc: "certificates: how long they hold and whether clients accept them", Modules: modules}
}
