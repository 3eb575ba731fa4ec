package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Leftovers finds what a rewrite left behind that did not come to its end. When
// the server dies in the middle of a VACUUM FULL, CLUSTER or CREATE INDEX, the
// new copy stays in the data directory and belongs to no table: nothing shows
// its size and no statement removes it. What REINDEX CONCURRENTLY leaves is an
// index, and so in pg.indexes.
//
// A file that no table knows may also be the work of a transaction that has not
// committed yet. It is called a leftover only if nobody works in this database
// since before it was last written.
var Leftovers = module(checks.Module{
	Name: "pg.leftovers",
	Doc:  "Finds files in the database's directories that belong to no table since a rewrite was interrupted, and what pg_repack left",
	Facts: []fact.Spec{
		{Name: "files", Type: fact.Count, Worse: fact.Higher, Doc: "relation files of the connection's database that belong to no table and that no transaction can be at work on"},
		{Name: "size", Type: fact.Bytes, Worse: fact.Higher, Doc: "what these take on the disk, all their segments and forks"},
		{Name: "undecided", Type: fact.Count, Unit: "files", Doc: "those that belong to no table yet: a transaction that is open may have made them"},
		{Name: "repack", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "tables and triggers of a pg_repack that does not run; 0 while one runs"},
	},
	Warn: "files > 0 or repack > 0", Source: "proposed",
	Timeout: 30 * time.Second, Every: 10 * time.Minute,
	Example: "use: pg.leftovers",
	Run:     leftovers,
})

// A stray is a relation file, with its segments and forks, that pg_class does
// not know.
type stray struct {
	Space, Node uint32 // of tablespace and file
	Path        string // of the first segment, within the data directory
	Size        float64
	Age         float64 // seconds since it was last written
	AtWork      bool    // a transaction may be at work on it
}

// A leftover is a row of the table.
type leftover struct {
	kind, name string
	size, age  float64 // bytes; seconds; NaN: not known
	advice     string
}

func leftovers(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	repacked, why, err := part[repackPart](ctx, s, "leftovers of pg_repack", repackSQL)
	if err != nil {
		return f, err
	}
	var missing partial
	missing.miss("whether pg_repack left something is", why)
	var rows []leftover
	if why == "" {
		f.Facts = append(f.Facts, fact.Number("repack", len(repacked)))
	}
	for _, p := range repacked {
		rows = append(rows, leftover{p.Kind, p.Name, p.Size, math.NaN(), p.Advice})
	}
	strays, filesErr := s.strays(ctx)
	if filesErr != nil {
		f.Tables, f.Detail = []checks.Table{leftoversTable(rows)}, missing
		return f, filesErr
	}
	for _, x := range strays.largest {
		rows = append(rows, x.row())
	}
	f.Note = "nothing is left of a rewrite"
	if strays.left+strays.undecided+len(repacked) > 0 {
		f.Note = fmt.Sprintf("%d files of no table, %s; %d undecided, %d of pg_repack", strays.left, fact.FormatBytes(strays.size), strays.undecided, len(repacked))
	}
	if all := strays.left + strays.undecided; all > len(strays.largest) {
		f.Detail = append(f.Detail, fmt.Sprintf("only the %d largest of %d files are listed", len(strays.largest), all))
	}
	for _, r := range rows[:min(20, len(rows))] {
		f.Detail = append(f.Detail, fmt.Sprintf("%s %s: %s", r.kind, word(r.name).Text, word(r.advice).Text))
	}
	f.Detail = append(f.Detail, missing...)
	f.Facts = append(f.Facts, fact.Number("files", strays.left), fact.Size("size", strays.size), fact.Number("undecided", strays.undecided))
	f.Tables = []checks.Table{leftoversTable(rows)}
	return f, nil
}

func (x stray) row() leftover {
	if x.AtWork {
		return leftover{"undecided", x.Path, x.Size, x.Age, "no table knows it yet; a transaction that is open may have made it: look again when that has ended"}
	}
	return leftover{"file", x.Path, x.Size, x.Age, fmt.Sprintf(
		"no statement removes it: have a backup, stop the server, then remove %s with its segments (.1, .2) and forks (_fsm, _vm) from the data directory, "+
			"if pg_filenode_relation(%d, %d) still is NULL", x.Path, x.Space, x.Node)}
}

func leftoversTable(rows []leftover) checks.Table {
	t := checks.Table{Name: "leftovers", Columns: []checks.Column{
		{Name: "kind", Type: fact.Text}, {Name: "name", Type: fact.Text}, {Name: "size", Type: fact.Bytes}, {Name: "written", Type: fact.Duration}, {Name: "advice", Type: fact.Text},
	}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []fact.Value{fact.WordValue(r.kind), word(r.name), fact.SizeValue(r.size), ago(r.age), word(r.advice)})
	}
	return t
}

// A repackPart is a table or a trigger that pg_repack makes and removes at its end.
type repackPart struct {
	Kind, Name string
	Size       float64
	Advice     string
}

// repackSQL finds nothing while a pg_repack runs: these are its tools then.
const repackSQL = `
SELECT * FROM (
  SELECT 'repack table', format('%I.%I', n.nspname, c.relname), c.relpages * current_setting('block_size')::float8, 'DROP TABLE ' || format('%I.%I', n.nspname, c.relname) || '; -- the trigger of its table first'
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'repack' AND c.relkind = 'r' AND c.relname ~ '^(log|table)_[0-9]+$'
  UNION ALL
  SELECT 'repack trigger', format('%I on %I.%I', t.tgname, n.nspname, c.relname), 'NaN'::float8, 'DROP TRIGGER ' || format('%I ON %I.%I', t.tgname, n.nspname, c.relname) || '; -- every write to the table pays for it'
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname IN ('repack_trigger', 'z_repack_trigger')
) p WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pg_repack' AND datname = current_database())
ORDER BY 1 DESC, 2 LIMIT 100`
