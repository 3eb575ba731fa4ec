// Package rotation finds out from logrotate's own configuration, its debug run
// and its state file how the host's logs are rotated.
//
// Only logrotate.run rotates, and reads what a hook does before it is run. Read
// config.go first, then blocks.go for how the configuration is taken apart, and
// plan.go for what logrotate says that it would do. The package must not know
// rules.
package rotation

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	modules = append(modules, &m)
	return &m
}

// Family is what main joins; it needs no connection.
func Family() checks.Family {
	return checks.Family{Name: "rotation", Doc: "logrotate: its configuration, its hooks, when it last rotated, and a rotation now", Modules: modules}
}
