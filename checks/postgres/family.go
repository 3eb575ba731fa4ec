// Package postgres finds out how a PostgreSQL server is: up, full, locked,
// slow, growing. It serves the connections of kind "postgres".
//
// The server is somebody's production database in the middle of an incident,
// so the package is careful before it is clever: one session for all checks of
// a connection (server.go), short read-only transactions with statement and
// lock timeouts that are read back (session.go), queries that wait behind
// nobody's lock, and counts that leave the session itself out. It supports
// versions 13 to 18 and tries the newest form on a later one.
//
// Read server.go and session.go first, then any module: one a file. The
// package must not know rules, runbooks or screens. Only its actions change
// anything: pg.restore_test (restore.go) reads a dump as psql would
// (dump_scan.go) and restores it into a database of its own; pg.analyze,
// pg.vacuum, pg.vacuum_full and pg.reindex (upkeep.go) work in a session of
// their own (acting.go); so does pg.role_password, which sends a verifier and
// logs in to see which password works (rolelogin.go).
package postgres

import "github.com/advanced-lms/opsdeck/checks"

// kind is the kind of connection in the site file.
const kind = "postgres"

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
		Name:    "postgres",
		Doc:     "PostgreSQL 13 and later: availability, sessions, saturation, locks, statements, progress, replication, WAL, sizes, vacuum and the site's own queries",
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
