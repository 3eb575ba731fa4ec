package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// DBSize measures databases in bytes, so that their growth can be followed.
// Measuring walks every file of a database, so it is sampled rarely; a database
// of very many relations is estimated from the catalogue instead.
var DBSize = module(checks.Module{
	Name: "pg.dbsize",
	Doc:  "Measures the connection's database and, where the role may, the others of the server",
	Params: []checks.Param{
		{Name: "exact_below", Type: checks.NumberParam, Default: 20_000, Doc: "relations up to which the files of the connection's database are measured; beyond, the pages that the catalogue knows of are counted, as of each relation's last VACUUM or ANALYZE"},
	},
	Facts: []fact.Spec{
		{Name: "estimated", Type: fact.Bool, Doc: "the size of the connection's database is an estimate"},
		{Name: "size", Type: fact.Bytes, Doc: "size of the connection's database on disk", Worse: fact.Higher, Growth: true},
		{Name: "total", Type: fact.Bytes, Doc: "size of all databases of the server; absent where the role may not measure all", Worse: fact.Higher, Optional: true},
		{Name: "databases", Type: fact.Count, Doc: "databases that were measured"},
	},
	// The floor keeps a young database from crying at every import.
	Warn: "size_growth > 20% and size > 1GiB", Source: "proposed",
	Timeout: 20 * time.Second, Every: 5 * time.Minute,
	Example: "use: pg.dbsize\nwarn: size_growth > 20%",
	Run:     dbsize,
})

type database struct {
	Name string
	Size float64
}

const ownSizeSQL = `SELECT current_database()::text, pg_database_size(current_database())::float8`

// relationsSQL is the catalogue's own count of its relations, as old as its
// last ANALYZE.
const relationsSQL = `SELECT greatest(reltuples, 0)::float8 AS n FROM pg_class WHERE oid = 'pg_class'::regclass`

const estimatedSizeSQL = `
SELECT current_database()::text, coalesce(sum(greatest(relpages, 0)::float8), 0) * current_setting('block_size')::float8
FROM pg_class WHERE relkind IN ('r', 'i', 't', 'm', 'S')`

// ownSize is the size of the connection's database, measured or estimated.
func (s *Server) ownSize(ctx context.Context, exactBelow float64) (own database, estimated bool, err error) {
	relations, err := one[struct{ N float64 }](ctx, s, "pg.dbsize", relationsSQL)
	if err != nil {
		return own, false, err
	}
	if estimated = relations.N >= exactBelow; estimated {
		own, err = one[database](ctx, s, "pg.dbsize", estimatedSizeSQL)
		return own, true, err
	}
	own, err = one[database](ctx, s, "pg.dbsize", ownSizeSQL)
	return own, false, err
}

// otherSizesSQL leaves out what the role may not measure: one such database
// would fail the statement for all.
const otherSizesSQL = `
SELECT datname::text, pg_database_size(oid)::float8 FROM pg_database
WHERE datallowconn AND datname <> current_database()
  AND (has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'usage'))
ORDER BY 2 DESC LIMIT 50`

const unmeasuredSQL = `
SELECT datname::text, 0::float8 FROM pg_database
WHERE datallowconn AND datname <> current_database()
  AND NOT (has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'usage'))
ORDER BY 1 LIMIT 50`

func dbsize(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	own, estimated, err := s.ownSize(ctx, args.Number("exact_below"))
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := checks.Findings{
		Target: s.Target(), Note: word(own.Name).Text + " " + fact.FormatBytes(own.Size),
		Facts: []fact.Fact{fact.Size("size", own.Size), fact.Flag("estimated", estimated)},
	}
	if estimated {
		f.Note += ", estimated"
		f.Detail = append(f.Detail, "the database has very many relations: its size is what the catalogue knows, not what its files have")
	}
	measured := []database{own}
	others, err := many[database](ctx, s, "pg.dbsize", otherSizesSQL)
	if err != nil {
		f.Detail = append(f.Detail, "the other databases were not measured: "+err.Error())
	}
	measured = append(measured, others...)
	unmeasured, unmeasuredErr := many[database](ctx, s, "pg.dbsize", unmeasuredSQL)
	for _, d := range unmeasured {
		f.Detail = append(f.Detail, "not measured: "+word(d.Name).Text+" (needs CONNECT on it, or pg_monitor)")
	}
	if err == nil && unmeasuredErr == nil && len(unmeasured) == 0 {
		f.Facts = append(f.Facts, fact.Size("total", totalSize(measured)))
	}
	f.Facts = append(f.Facts, fact.Number("databases", len(measured)))
	f.Tables = []checks.Table{databasesTable(measured)}
	return f, nil
}

func totalSize(databases []database) float64 {
	var total float64
	for _, d := range databases {
		total += d.Size
	}
	return total
}

func databasesTable(databases []database) checks.Table {
	t := checks.Table{Name: "databases", Columns: []checks.Column{{Name: "database", Type: fact.Text}, {Name: "size", Type: fact.Bytes}}}
	for _, d := range databases {
		t.Rows = append(t.Rows, []fact.Value{word(d.Name), fact.SizeValue(d.Size)})
	}
	return t
}

// limitParam is how many rows a table of evidence has.
func limitParam(name string, standard float64, doc string, most float64) checks.Param {
	return checks.Param{Name: name, Type: checks.NumberParam, Default: standard, Doc: doc, Check: func(value any) error {
		if n, ok := value.(float64); ok && (n < 1 || n > most || n != float64(int(n))) {
			return fmt.Errorf("%v is not a whole number between 1 and %v", n, most)
		}
		return nil
	}}
}
