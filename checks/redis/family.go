// Package redis finds out how a Redis server is: whether it answers, how full
// its memory is, how many keys it holds. It serves the connections of kind
// "redis".
//
// It sends PING, INFO, and bounded SCAN and TTL on request; never KEYS, which
// stops a server for as long as it takes. Only redis.prune writes: it removes what
// a preview counted, and only if told to.
//
// Read server.go first, then any module: one a file. The package must not know
// rules, runbooks or screens.
package redis

import "github.com/advanced-lms/opsdeck/checks"

// kind is the kind of connection in the site file.
const kind = "redis"

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
		Name:    "redis",
		Doc:     "Redis: availability, memory, keys",
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
