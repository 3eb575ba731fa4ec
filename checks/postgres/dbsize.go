package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// DBSize measures databases in bytes, so that their growth can be followed.
// Measuring walks every file of a database, so it is sampled rarely.
var DBSize = module(checks.Module{
	Name: "pg.dbsize",
	Doc:  "Measures the connection's database and, where the role may, the others of the server",
	Facts: []fact.Spec{
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

func dbsize(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	own, err := one[database](ctx, s, "pg.dbsize", ownSizeSQL)
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := checks.Findings{
		Target: s.Target(), Note: word(own.Name).Text + " " + fact.FormatBytes(own.Size),
		Facts: []fact.Fact{fact.Size("size", own.Size)},
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
