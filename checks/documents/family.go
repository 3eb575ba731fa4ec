// Package documents looks after what is written about a site: whether links
// lead somewhere, whether a document was touched within its time, and whether a
// guide is imported as a whole.
//
// It reads and never writes, and it never shows what a document says. Read
// link.go first. The package must not know runbooks: what an import finds it
// gets through checks.Env.
package documents

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{Name: "documents", Doc: "What is written about the site: links, reviews, and the guide it came from", Modules: modules}
}
