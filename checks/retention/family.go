// Package retention makes room: it compresses files that nobody writes any more
// and removes files that are older than they have to be kept, exactly those
// that a preview named.
//
// It works below the roots that the site file allows (allow.remove_under) and
// nowhere else, through descriptors of their directories, so that no link can
// lead it out. A file that a process holds open is left alone: who compresses
// it loses what is still written. Read survey.go first. It must not know what
// the files are for.
package retention

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{Name: "retention", Doc: "Files that are compressed or removed when they are old enough", Modules: modules}
}
