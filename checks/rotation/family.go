// Package rotation finds out from logrotate's own configuration, its debug run
// and its state file how the host's logs are rotated.
//
// It never rotates anything. What a hook does is read, not run. Read config.go
// first, then blocks.go for how the configuration is taken apart. The package
// must not know rules.
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
	return checks.Family{Name: "rotation", Doc: "logrotate: its configuration, its hooks and when it last rotated", Modules: modules}
}
