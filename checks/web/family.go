// Package web finds out what a user would notice: whether an address answers,
// rightly and quickly, and where the time goes.
//
// A target that refuses, times out or answers wrongly is a fact (ok is false)
// with its reason; unknown is only what could not be asked, and what only an
// answer could tell when there is none. TLS is always verified. Nothing is kept
// between two probes: each opens its own connection, so that its phases are
// real. Configured headers may be credentials: they leave neither the host nor
// TLS (redirect.go). Read get.go and probe.go first. The package must not know
// rules.
package web

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the web family; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "web", Doc: "web pages, APIs, TCP ports and names", Modules: modules}
}
