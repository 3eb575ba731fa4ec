// Package command runs programs of the host: never a shell string, never an
// inherited environment, never without an end. NewExec is what every module
// gets as Env.Exec, and cmd.run runs the commands that the site file names.
//
// It must not know what the programs are for. Read exec.go first, then
// process.go for how one is ended, and leftovers.go for what it leaves behind.
package command

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
		Name:    "command",
		Doc:     "Commands of the site's own, by name, exactly as the site file spells them",
		Modules: modules,
	}
}
