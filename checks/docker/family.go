// Package docker finds out how the containers of a Docker engine are: whether
// every service of a compose project is there and healthy, and what the
// containers use of their limits. It serves the connections of kind "docker",
// and gives the logs of a service to whoever counts in them.
//
// It asks the engine's API: "docker-compose ps" exits 0 with dead containers.
// Only compose.recreate, compose.up and compose.down change anything, and the
// first two alone start a command. No stream of statistics is left open, which would keep the engine busy for
// nobody.
//
// An engine that does not answer says nothing about the containers, which go
// on without it; every such answer is unknown, with its class.
//
// Read server.go first, then any module: one a file. The package must not know
// rules, runbooks or screens.
package docker

import "github.com/advanced-lms/opsdeck/checks"

// kind is the kind of connection in the site file.
const kind = "docker"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Kind = kind
	m.Reach = checks.Network
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{
		Name:    "docker",
		Doc:     "Docker: services of a compose project, containers against their limits, recreating a service, a project beside production",
		Modules: modules,
		Kind:    kind,
		Open: func(c checks.Connection) (checks.Handle, error) {
			s, err := Open(c)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	}
}

func server(env checks.Env) (*Server, error) { return checks.Connected[*Server](env, kind) }
