package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Tables finds the largest tables in two steps. The first reads the catalogue
// alone: pages as of the last VACUUM or ANALYZE, locked by nobody. The second
// measures the few largest exactly, one statement a table with a short
// lock_timeout: a table under VACUUM FULL is then reported by its estimate, and
// the check neither hangs nor queues.
//
// Partitions are summed under their root; relations are addressed by oid, so
// that no name has to be quoted right.
var Tables = module(checks.Module{
	Name: "pg.tables",
	Doc:  "Measures the largest tables of the database, indexes and TOAST included, and estimates the rest",
	Params: []checks.Param{
		limitParam("limit", 10, "how many of the largest tables to measure (the guide: 10)", 50),
	},
	Facts: []fact.Spec{
		{Name: "total", Type: fact.Bytes, Doc: "size of all tables outside the system schemas; estimated where not measured", Worse: fact.Higher, Growth: true},
		{Name: "tables", Type: fact.Count, Doc: "tables outside the system schemas, partitions counted as their root"},
		{Name: "size", Type: fact.Bytes, Label: "table", Doc: "size of one of the largest tables, with indexes and TOAST", Worse: fact.Higher, Growth: true},
		{Name: "estimated", Type: fact.Bool, Label: "table", Doc: "the size is an estimate, because the table was locked or has very many partitions"},
	},
	// The floor keeps small tables, which double overnight, out of it.
	Warn: "size_growth > 20% and size > 64MiB", Source: "proposed",
	Timeout: 20 * time.Second, Every: 5 * time.Minute,
	Example: "use: pg.tables\nwith: {limit: 10}",
	Run:     tables,
})

// maxLeaves is how many partitions of one table are measured exactly.
const maxLeaves = 200

// relation is a table, or the root of partitions, by its estimate.
type relation struct {
	OID                        uint32
	Name                       string
	Leaves                     []uint32
	Heap, Indexes, Toast, Rows float64
	Unknown                    int // leaves without statistics
	AllHeap, AllIdx, AllToast  float64
	All                        int
}

// relationsSQL sums the catalogue's pages by root. A table that was never
// analysed has none; its live rows of the activity statistics stand in, at 100
// bytes a row, so that it is at least looked at.
const relationsSQL = `
WITH leaf AS (
  SELECT c.oid, coalesce(pg_partition_root(c.oid)::oid, c.oid) AS root, c.reltoastrelid,
         CASE WHEN c.relpages > 0 OR c.reltuples > 0 THEN c.relpages::float8 * bs
              ELSE coalesce(pg_stat_get_live_tuples(c.oid), 0)::float8 * 100 END AS heap,
         greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::float8 AS rows,
         (c.reltuples <= 0 AND c.relpages = 0)::int AS unknown
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, (SELECT current_setting('block_size')::float8 AS bs) b
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp%'
), idx AS (
  SELECT i.indrelid, sum(c.relpages)::float8 * current_setting('block_size')::float8 AS size
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid GROUP BY 1
), root AS (
  SELECT l.root, array_agg(l.oid) AS leaves, sum(l.heap) AS heap, coalesce(sum(x.size), 0) AS indexes,
         coalesce(sum(t.relpages::float8 * current_setting('block_size')::float8), 0) + coalesce(sum(tx.size), 0) AS toast,
         sum(l.rows) AS rows, sum(l.unknown)::int AS unknown
  FROM leaf l LEFT JOIN idx x ON x.indrelid = l.oid
  LEFT JOIN pg_class t ON t.oid = l.reltoastrelid LEFT JOIN idx tx ON tx.indrelid = t.oid
  GROUP BY l.root
)
SELECT r.root, format('%I.%I', n.nspname, c.relname), r.leaves, r.heap, r.indexes, r.toast, r.rows, r.unknown,
       sum(r.heap) OVER (), sum(r.indexes) OVER (), sum(r.toast) OVER (), (count(*) OVER ())::int
FROM root r JOIN pg_class c ON c.oid = r.root JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY r.heap + r.indexes + r.toast DESC, 2
LIMIT $1`

// exactSQL is NULL where a table has just been dropped.
const exactSQL = `
SELECT coalesce(sum(pg_total_relation_size(o)), 0)::float8, coalesce(sum(pg_indexes_size(o)), 0)::float8,
       coalesce(sum((SELECT pg_total_relation_size(reltoastrelid) FROM pg_class WHERE oid = o AND reltoastrelid <> 0)), 0)::float8,
       (count(*) FILTER (WHERE pg_total_relation_size(o) IS NULL))::int
FROM unnest($1::oid[]) AS o`

type exactSize struct {
	Total, Indexes, Toast float64
	Dropped               int
}

// tableSize is a relation after the second step.
type tableSize struct {
	name                              string
	total, heap, indexes, toast, rows float64
	estimated                         bool
	reason                            string
}

func tables(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	found, err := many[relation](ctx, s, "pg.tables", relationsSQL, args.Int("limit"))
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := checks.Findings{Target: s.Target(), Note: "no tables outside the system schemas"}
	var total float64
	if len(found) > 0 {
		total = found[0].AllHeap + found[0].AllIdx + found[0].AllToast
	}
	sizes := make([]tableSize, 0, len(found))
	for _, r := range found {
		size, err := s.measure(ctx, r)
		if err != nil {
			return checks.Findings{Target: s.Target()}, err
		}
		total += size.total - (r.Heap + r.Indexes + r.Toast)
		sizes = append(sizes, size)
	}
	f.Facts = []fact.Fact{fact.Size("total", total), fact.Number("tables", countTables(found))}
	for _, t := range sizes {
		f.Facts = append(f.Facts, fact.Size("size", t.total).On(t.name), fact.Flag("estimated", t.estimated).On(t.name))
		if t.reason != "" {
			f.Detail = append(f.Detail, t.name+" is an estimate: "+t.reason)
		}
	}
	if len(sizes) > 0 {
		f.Note = fmt.Sprintf("%s in %d tables, largest %s %s", fact.FormatBytes(total), countTables(found), sizes[0].name, fact.FormatBytes(sizes[0].total))
	}
	f.Tables = []checks.Table{sizesTable(sizes)}
	return f, nil
}

func countTables(found []relation) int {
	if len(found) == 0 {
		return 0
	}
	return found[0].All
}

// measure is the exact size of a table, or its estimate with the reason. The
// error is one that ends the check: the server is gone, or time is up.
func (s *Server) measure(ctx context.Context, r relation) (tableSize, error) {
	size := tableSize{
		name: word(r.Name).Text, total: r.Heap + r.Indexes + r.Toast,
		heap: r.Heap, indexes: r.Indexes, toast: r.Toast, rows: r.Rows, estimated: true,
	}
	if len(r.Leaves) > maxLeaves {
		size.reason = fmt.Sprintf("it has %d partitions", len(r.Leaves))
		return size, nil
	}
	exact, err := one[exactSize](ctx, s, "pg.tables", exactSQL, r.Leaves)
	switch {
	case hasCode(err, lockNotAvailable), hasCode(err, queryCanceled):
		size.reason = err.Error()
	case err != nil:
		return size, err
	case exact.Dropped > 0:
		size.reason = "part of it was dropped meanwhile"
	default:
		size.total, size.indexes, size.toast = exact.Total, exact.Indexes, exact.Toast
		size.heap = exact.Total - exact.Indexes - exact.Toast
		size.estimated = false
	}
	return size, nil
}

func sizesTable(sizes []tableSize) checks.Table {
	t := checks.Table{Name: "tables", Columns: []checks.Column{
		{Name: "table", Type: fact.Text}, {Name: "total", Type: fact.Bytes}, {Name: "heap", Type: fact.Bytes}, {Name: "indexes", Type: fact.Bytes},
		{Name: "toast", Type: fact.Bytes}, {Name: "rows", Type: fact.Count}, {Name: "estimated", Type: fact.Bool},
	}}
	for _, x := range sizes {
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(x.name), fact.SizeValue(x.total), fact.SizeValue(x.heap), fact.SizeValue(x.indexes),
			fact.SizeValue(x.toast), fact.NumberValue(x.rows), fact.FlagValue(x.estimated),
		})
	}
	return t
}
