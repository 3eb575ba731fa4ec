package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Upkeep is what pg.analyze, pg.vacuum, pg.vacuum_full and pg.reindex have in
// common: they look at the catalogue and at what speaks against the deed
// (upkeep_hazards.go), do one statement after the other in a session of their
// own (upkeep_work.go) and look afterwards whether the catalogue shows it.

// mostTargets bounds one action: each target is a line of the preview and two
// facts that the probe compares with.
const mostTargets = 600

// A userTable is a table as the catalogue has it.
type userTable struct {
	OID          uint32
	Schema, Name string
	Label        string  // quoted where needed: public."order"
	Kind         string  // r, m, p
	Root         uint32  // the topmost parent of a partition, else 0
	File         uint32  // relfilenode; 0 for a parent, which has no file
	Size         float64 // bytes with TOAST, by the catalogue's last count
	Indexes      float64 // bytes of its indexes, likewise
	Live, Dead   float64
	Vacuumed     *time.Time // by a VACUUM, not by autovacuum
	Analyzed     *time.Time // by an ANALYZE
	Tablespace   uint32
	Own, OwnsDB  bool // the role is its owner or may maintain it; owns the database
}

// userTablesSQL has a place for the privilege that came with version 17.
const userTablesSQL = `
SELECT c.oid, n.nspname::text, c.relname::text, format('%%I.%%I', n.nspname, c.relname), c.relkind::text,
       CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE 0::oid END, coalesce(pg_relation_filenode(c.oid), 0)::oid,
       (greatest(c.relpages, 0) + coalesce(t.relpages, 0))::float8 * b.size,
       coalesce((SELECT sum(x.relpages) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid IN (c.oid, c.reltoastrelid)), 0)::float8 * b.size,
       pg_stat_get_live_tuples(c.oid)::float8, pg_stat_get_dead_tuples(c.oid)::float8,
       pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_analyze_time(c.oid),
       CASE c.reltablespace WHEN 0 THEN d.dattablespace ELSE c.reltablespace END,
       pg_has_role(c.relowner, 'USAGE') OR %s, pg_has_role(d.datdba, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
CROSS JOIN (SELECT current_setting('block_size')::float8 AS size) b
JOIN pg_database d ON d.datname = current_database()
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
ORDER BY 2, 3`

var mayMaintain = byVersion{{170000, "has_table_privilege(c.oid, 'MAINTAIN')"}, {0, "false"}}

// vacuumable: the owner of the database may vacuum and analyse all of it, and
// may not rebuild all its indexes.
func (r userTable) vacuumable() bool { return r.Own || r.OwnsDB }

func (r userTable) stored() bool { return r.Kind != "p" }

// called reports whether a person means this table by the name: as it is
// written in SQL, or bare, with or without the schema.
func (r userTable) called(name string) bool {
	return name == r.Label || name == r.Schema+"."+r.Name || name == r.Name || name == ident(r.Name) || name == ident(r.Schema, r.Name)
}

// An upkeep is one look at the database that is to be looked after.
type upkeep struct {
	server    *Server
	settings  Settings
	database  upkeepDatabase
	relations []userTable
	holders   []xminHolder
	lockers   []locker
	locations map[uint32]string // of tablespaces; "": within the data directory
	left      []string          // what is left out, with the reason
	cautions  []string
}

type upkeepDatabase struct {
	OID                  uint32
	Name, Cluster        string
	Recovery             bool
	Started              time.Time // of the server
	Data                 string    // data directory, if the role may know it
	WALLevel             string
	Archiving            bool
	Slots, InactiveSlots int
}

const upkeepDatabaseSQL = `
SELECT oid, datname::text, (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery(), pg_postmaster_start_time(),
       coalesce((SELECT setting FROM pg_settings WHERE name = 'data_directory'), ''), current_setting('wal_level'), current_setting('archive_mode') <> 'off',
       (SELECT count(*) FROM pg_replication_slots)::int, (SELECT count(*) FROM pg_replication_slots WHERE NOT active)::int
FROM pg_database WHERE datname = current_database()`

// survey reads all that an action decides by, in one transaction; more may be
// read within it.
func survey(ctx context.Context, env checks.Env, more func(context.Context, *upkeep, *reading) error) (*upkeep, error) {
	s, err := actingServer(env)
	if err != nil {
		return nil, err
	}
	u := &upkeep{server: s}
	err = s.readOnly(ctx, "upkeep", func(ctx context.Context, r *reading) (err error) {
		u.settings, _ = s.Settings()
		if u.database, err = row[upkeepDatabase](ctx, r, upkeepDatabaseSQL); err != nil {
			return err
		}
		if u.database.Recovery {
			return checks.Failed(checks.Denied, "%s is a standby: this is done on its primary", s.Target())
		}
		if u.relations, err = r.relations(ctx, u.settings.Version); err != nil {
			return err
		}
		if u.holders, err = rows[xminHolder](ctx, r, xminHoldersSQL, holderAge.Seconds()); err != nil {
			return err
		}
		if u.lockers, err = rows[locker](ctx, r, lockersSQL, u.database.OID); err != nil {
			return err
		}
		if u.locations, err = r.locations(ctx); err != nil {
			return err
		}
		if more == nil {
			return nil
		}
		return more(ctx, u, r)
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (r *reading) relations(ctx context.Context, version int) ([]userTable, error) {
	return rows[userTable](ctx, r, fmt.Sprintf(userTablesSQL, mayMaintain.at(version)))
}

func (r *reading) locations(ctx context.Context) (map[uint32]string, error) {
	type tablespace struct {
		OID      uint32
		Location string
	}
	found, err := rows[tablespace](ctx, r, "SELECT oid, coalesce(pg_tablespace_location(oid), '') FROM pg_tablespace")
	locations := map[uint32]string{}
	for _, t := range found {
		locations[t.OID] = t.Location
	}
	return locations, err
}

// named are the tables that the names mean: each exactly one.
func (u *upkeep) named(names []string) ([]userTable, error) {
	var found []userTable
	for _, name := range names {
		var hits []userTable
		for _, r := range u.relations {
			if r.called(name) {
				hits = append(hits, r)
			}
		}
		switch {
		case len(hits) == 0:
			return nil, checks.Failed(checks.Missing, "no table %q in %s", name, u.server.Target())
		case len(hits) > 1:
			return nil, checks.Failed(checks.Parse, "%q may be %s or %s: name the schema too", name, hits[0].Label, hits[1].Label)
		}
		if !slices.ContainsFunc(found, func(r userTable) bool { return r.OID == hits[0].OID }) {
			found = append(found, hits[0])
		}
	}
	return found, nil
}

// leaves replaces parents by their partitions, which hold the rows.
func (u *upkeep) leaves(of []userTable) []userTable {
	var found []userTable
	for _, r := range of {
		if r.stored() {
			found = append(found, r)
			continue
		}
		for _, leaf := range u.relations {
			if leaf.stored() && leaf.Root == r.OID {
				found = append(found, leaf)
			}
		}
	}
	seen := map[uint32]bool{}
	return slices.DeleteFunc(found, func(r userTable) bool {
		again := seen[r.OID]
		seen[r.OID] = true
		return again
	})
}

// chosen are the tables named, or all of them, without those that the role may
// not touch: the server would skip these with a warning and report success.
func (u *upkeep) chosen(names []string, may func(userTable) bool) ([]userTable, error) {
	all := u.relations
	if len(names) > 0 {
		var err error
		if all, err = u.named(names); err != nil {
			return nil, err
		}
	}
	return u.permitted(u.leaves(all), may)
}

func (u *upkeep) permitted(all []userTable, may func(userTable) bool) ([]userTable, error) {
	var found []userTable
	for _, r := range all {
		if may(r) {
			found = append(found, r)
		} else {
			u.leave(r.Label, u.settings.User+" is not its owner")
		}
	}
	switch {
	case len(all) == 0:
		return nil, checks.NotHere{What: "no table to do this to in " + u.server.Target()}
	case len(found) == 0:
		return nil, checks.Failed(checks.Denied, "%s owns none of the %d tables of %s: use the role that does (a connection named maintain)", u.settings.User, len(all), u.server.Target())
	case len(found) > mostTargets:
		return nil, checks.Failed(checks.Limit, "%d tables are more than %d at once: name them in portions", len(found), mostTargets)
	}
	return found, nil
}

// fingerprint is the database and the targets: what a person confirmed is what
// is done.
func (u *upkeep) fingerprint(targets []uint32) string {
	sum := fnv.New64a()
	for _, oid := range slices.Sorted(slices.Values(targets)) {
		fmt.Fprintf(sum, "%d ", oid) //nolint:errcheck // a hash does not fail
	}
	return fmt.Sprintf("%s/%d@%s %d targets %x", u.database.Cluster, u.database.OID, u.server.Target(), len(targets), sum.Sum64())
}

// preview is the part of a preview that all have.
func (u *upkeep) preview(what string, targets []uint32, note string) checks.Findings {
	f := checks.Findings{
		Target: u.database.Name, Fingerprint: u.fingerprint(targets), Locks: []string{databaseLock(u.database.Name, u.database.Cluster)}, Note: note,
		Facts: []fact.Fact{fact.Number(what, len(targets)), fact.Number("skipped", len(u.left))},
	}
	for _, why := range u.left {
		f.Detail = append(f.Detail, "careful: left out is "+why)
	}
	for _, caution := range u.cautions {
		f.Detail = append(f.Detail, "careful: "+caution)
	}
	return f
}

func (u *upkeep) careful(format string, a ...any) {
	u.cautions = append(u.cautions, fmt.Sprintf(format, a...))
}

// tablesParam names tables; nothing means all of them or, for what is
// dear, those that need it.
func tablesParam(without string) checks.Param {
	return checks.Param{Name: "tables", Type: checks.TextsParam, Doc: "tables, with their schema where the name alone is not enough; " + without, Example: "[users, public.enrollments]"}
}

// explicit are the names given, none for "auto".
func explicit(args checks.Args, name string) []string {
	names := args.Texts(name)
	if len(names) == 1 && strings.EqualFold(names[0], "auto") {
		return nil
	}
	return names
}

func oids(of []userTable) []uint32 {
	found := make([]uint32, len(of))
	for i, r := range of {
		found[i] = r.OID
	}
	return found
}
