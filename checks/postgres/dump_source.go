package postgres

import (
	"context"
	"strconv"
)

// A Source is what a dump is made of, as the server reports it.
type Source struct {
	Version    int    // server_version_num, 150018
	Identifier string // of the cluster, the same on its standbys
	Database   string
	OID        uint32 // of the database
	Size       int64  // bytes on the server's disk; no dump is as large unless it is full of binary data
	Standby    bool
}

// Major is the server's major version.
func (s Source) Major() int { return s.Version / 10000 }

// Lock is what an action on the database holds for itself, against every run on
// this host. A name alone is that of many: the cluster tells them apart, by
// whatever address it is reached.
func (s Source) Lock() string { return databaseLock(s.Database, s.Identifier) }

func databaseLock(name, cluster string) string { return "postgres:" + name + "@" + cluster }

// Fingerprint names the database so that it is known again: "7412.../16384".
func (s Source) Fingerprint() string {
	return s.Identifier + "/" + strconv.FormatUint(uint64(s.OID), 10)
}

const sourceSQL = `
SELECT current_setting('server_version_num')::int, (SELECT system_identifier::text FROM pg_control_system()),
       datname::text, oid, pg_database_size(oid), pg_is_in_recovery()
FROM pg_database WHERE datname = current_database()`

// Source asks the server what a dump of the connection's database is made of.
func (s *Server) Source(ctx context.Context) (Source, error) {
	return one[Source](ctx, s, "the database to be dumped", sourceSQL)
}
