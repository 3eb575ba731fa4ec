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
// that no name has to be quoted right. What is not known is NaN, never 0: the
// activity without track_counts, the age of a VACUUM that never was since the
// statistics were reset, the growth before there is an older look.
var Tables = module(checks.Module{
	Name: "pg.tables",
	Doc:  "Measures the largest tables of the database, indexes and TOAST included, estimates the rest, and shows their dead rows, scans, growth and bloat",
	Params: []checks.Param{
		limitParam("limit", 10, "how many of the largest tables to measure (the guide: 10)", 50),
		limitParam("rows", 50, "how many to list, those that are not measured by their estimate", 500),
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

func tables(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	limit := args.Int("limit")
	found, sums, err := s.largest(ctx, max(limit, args.Int("rows")))
	if err != nil {
		return f, err
	}
	var missing partial
	sizes, err := s.measureFirst(ctx, found, limit, &missing)
	if err != nil {
		return f, err
	}
	if err := s.describeTables(ctx, sizes, &missing); err != nil {
		return f, err
	}
	sinceLastWeek(env, sizes, s.now())
	total := sums.Size
	for i, t := range sizes {
		total += t.total() - found[i].catalogued()
	}
	f.Note = "no tables outside the system schemas"
	if len(sizes) > 0 {
		f.Note = fmt.Sprintf("%s in %d tables, largest %s %s", fact.FormatBytes(total), sums.Tables, sizes[0].name, fact.FormatBytes(sizes[0].total()))
	}
	f.Facts = []fact.Fact{fact.Size("total", total), fact.Number("tables", sums.Tables)}
	for _, t := range sizes[:min(limit, len(sizes))] {
		f.Facts = append(f.Facts, fact.Size("size", t.total()).On(t.name), fact.Flag("estimated", t.estimated).On(t.name))
		if t.reason != "" {
			f.Detail = append(f.Detail, t.name+" is an estimate: "+t.reason)
		}
	}
	f.Detail = append(f.Detail, missing...)
	f.Tables = []checks.Table{sizesTable(sizes)}
	return f, nil
}

// measureFirst measures the first tables and takes the rest as estimated. The
// locks are asked for once: a wait for each of ten locked tables would be half
// a second.
func (s *Server) measureFirst(ctx context.Context, found []relation, limit int, missing *partial) ([]tableSize, error) {
	locked, why, err := s.exclusive(ctx, found[:min(limit, len(found))])
	if err != nil {
		return nil, err
	}
	missing.miss("who has tables locked is", why)
	sizes := make([]tableSize, len(found))
	for i, r := range found {
		sizes[i] = unmeasured(r)
		if i < limit {
			if sizes[i], err = s.measure(ctx, r, locked); err != nil {
				return nil, err
			}
		}
	}
	return sizes, nil
}

// describeTables adds what is known of the tables beyond their size.
func (s *Server) describeTables(ctx context.Context, sizes []tableSize, missing *partial) error {
	roots, leaves := leavesOf(sizes)
	if settings, _ := s.Settings(); settings.TrackCounts {
		found, why, err := part[tableActivity](ctx, s, "activity of tables", tableActivitySQL, roots, leaves)
		if err != nil {
			return err
		}
		missing.miss("the activity of tables is", why)
		addActivity(sizes, found)
	} else {
		missing.miss("the activity of tables is", "track_counts is off")
	}
	found, why, err := part[tableBloat](ctx, s, "bloat of tables", tableBloatSQL, 0, leaves)
	if err != nil {
		return err
	}
	missing.miss("the bloat of tables is", why)
	addBloat(sizes, found)
	return nil
}

func sizesTable(sizes []tableSize) checks.Table {
	t := checks.Table{Name: "tables", Columns: []checks.Column{
		{Name: "table", Type: fact.Text}, {Name: "total", Type: fact.Bytes}, {Name: "size_by", Type: fact.Text}, {Name: "heap", Type: fact.Bytes}, {Name: "indexes", Type: fact.Bytes},
		{Name: "toast", Type: fact.Bytes}, {Name: "rows", Type: fact.Count}, {Name: "growth", Type: fact.Percent}, {Name: "grown_over", Type: fact.Duration},
		{Name: "dead", Type: fact.Count}, {Name: "live", Type: fact.Count}, {Name: "trigger", Type: fact.Count}, {Name: "times", Type: fact.Count},
		{Name: "vacuumed", Type: fact.Duration}, {Name: "analyzed", Type: fact.Duration}, {Name: "autovacuum", Type: fact.Bool}, {Name: "seq_share", Type: fact.Percent},
		{Name: "bloat", Type: fact.Bytes}, {Name: "bloat_by", Type: fact.Text},
	}}
	for _, x := range sizes {
		a := x.activity
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(x.name), fact.SizeValue(x.total()), fact.WordValue(x.sizeBy()), fact.SizeValue(x.Heap), fact.SizeValue(x.Indexes),
			fact.SizeValue(x.Toast), fact.NumberValue(x.Rows), fact.PctValue(x.grown.By), x.grown.over(),
			fact.NumberValue(a.Dead), fact.NumberValue(a.Live), fact.NumberValue(a.Trigger), fact.NumberValue(a.Times),
			ago(a.Vacuumed), ago(a.Analyzed), fact.FlagValue(a.Autovacuum), fact.PctValue(a.seqShare()),
			fact.SizeValue(x.bloat), fact.WordValue(x.bloatBy()),
		})
	}
	return t
}
