// Package pgbouncer finds out how a PgBouncer is: who waits in front of its
// pools and how full they are. It serves the connections of kind "pgbouncer",
// whose DSN leads to the admin console, the database "pgbouncer".
//
// The console speaks the simple protocol only and understands SHOW; nothing
// else is sent. Read pools.go. The package must not know rules, runbooks or
// screens.
package pgbouncer

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
)

// kind is the kind of connection in the site file.
const kind = "pgbouncer"

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
		Name:    "pgbouncer",
		Doc:     "PgBouncer: pools and who waits for them",
		Modules: modules,
		Kind:    kind,
		Open: func(c checks.Connection) (checks.Handle, error) {
			config, err := pgconn.ParseConfig(c.DSN)
			if err != nil {
				return nil, checks.Failed(checks.Unconfigured, "pgbouncer connection %q is not a connection string", c.Name)
			}
			if !c.Password.IsZero() {
				config.Password = c.Password.Reveal()
			}
			return &console{name: c.Name, config: config}, nil
		},
	}
}
