package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// oldRows is one entry of the site file against the tables as they are. Its
// cutoff is one instant for the whole run: what gets old meanwhile stays.
type oldRows struct {
	entry   checks.OldRows
	table   userTable
	archive *userTable // nil: rows are deleted for good
	columns []string   // quoted; of an archive
	cutoff  time.Time
	due     float64
}

// oldRowsPlan is what pg.archive and pg.purge decide by.
type oldRowsPlan struct {
	*upkeep
	sets []*oldRows
}

func oldRowsParams(section string) []checks.Param {
	return []checks.Param{
		{Name: "entry", Type: checks.TextParam, Names: section, Doc: "entry under " + section + " of the site file; without it all of them", Example: "audit"},
		{Name: "batch", Type: checks.NumberParam, Default: 5000.0, Doc: "rows of one transaction", Check: checkBatch},
		{Name: "max_lag", Type: checks.DurationParam, Default: "30s", Doc: "a replica that is further behind stops it", Check: checkPositive},
		{Name: "statement_timeout", Type: checks.DurationParam, Default: "30s", Doc: "a batch that takes longer is undone, and stops it", Check: checkPositive},
		lockTimeoutParam(), deadlineParam("the batch at work is undone"),
	}
}

func checkBatch(value any) error {
	if n, ok := value.(float64); ok && (n < 1 || n > 100_000 || n != float64(int(n))) {
		return fmt.Errorf("a batch is 1 to 100000 rows")
	}
	return nil
}

func oldRowsFacts(done, doc string) []fact.Spec {
	return []fact.Spec{
		{Name: "due", Type: fact.Count, Unit: "rows", Worse: fact.Higher, Doc: "rows older than the cutoff: before, of a preview; left, of a run"},
		{Name: done, Type: fact.Count, Unit: "rows", Optional: true, Doc: doc},
		{Name: "batches", Type: fact.Count, Optional: true, Doc: "transactions that were committed"},
		{Name: "stopped", Type: fact.Bool, Optional: true, Doc: "it stopped before the end, because a replica fell behind or somebody waited for it"},
		{Name: "cutoff", Type: fact.Time, Optional: true, Label: "entry", Doc: "what is older goes; fixed by the preview"},
		{Name: "oid", Type: fact.Count, Optional: true, Label: "entry", Doc: "the table, of the preview"},
		checks.DoneFact,
	}
}

// planOldRows resolves the entries. The cutoffs are those of the confirmed
// preview where there is one.
func planOldRows(ctx context.Context, env checks.Env, args checks.Args, section string, entries map[string]checks.OldRows) (*oldRowsPlan, error) {
	names := env.Site.Entries(section)
	if name := args.Text("entry"); name != "" {
		names = []string{name}
	}
	if len(names) == 0 {
		return nil, checks.NotHere{What: "nothing under " + section + " in the site file"}
	}
	p := &oldRowsPlan{}
	var err error
	p.upkeep, err = survey(ctx, env, func(ctx context.Context, u *upkeep, r *reading) error {
		for _, name := range names {
			entry, there := entries[name]
			if !there {
				return checks.NotHere{What: fmt.Sprintf("no %s under %s in the site file", name, section)}
			}
			set, err := u.resolve(ctx, r, entry)
			if err != nil {
				return err
			}
			set.cutoff = clock(env).Add(-entry.OlderThan).UTC().Truncate(time.Second)
			if before, fixed := env.BeforeFact("cutoff", name); fixed {
				set.cutoff = before.Instant()
			}
			if err := set.count(ctx, r); err != nil {
				return err
			}
			p.sets = append(p.sets, set)
		}
		return nil
	})
	return p, err
}

// condition is what makes a row old; $1 is the cutoff.
func (o *oldRows) condition() string {
	where := ident(o.entry.Column) + " < $1::timestamptz"
	if o.entry.Where != "" {
		where += " AND (" + o.entry.Where + ")"
	}
	return where
}

func (o *oldRows) count(ctx context.Context, r *reading) error {
	found, err := row[struct{ N int64 }](ctx, r, "SELECT count(*) FROM ONLY "+o.table.Label+" WHERE "+o.condition(), o.cutoff)
	o.due = float64(found.N)
	if err != nil {
		return fmt.Errorf("counting the old rows of %s: %w", o.table.Label, err)
	}
	return nil
}

// A column as two tables that are to hold the same must agree on it.
type oldColumn struct {
	Name, Type    string
	Needed, Given bool // NOT NULL without a default; computed by the server
}

const oldColumnsSQL = `
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> ''
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// followersSQL: rows of other tables that go, or lose their reference, with a row of $1.
const followersSQL = `
SELECT coalesce(string_agg(DISTINCT c.conrelid::regclass::text, ', '), '') FROM pg_constraint c
WHERE c.contype = 'f' AND c.confrelid = $1 AND c.confdeltype IN ('c', 'n', 'd')`

const mayLeaveSQL = `
SELECT has_table_privilege($1::oid, 'SELECT') AND has_table_privilege($1::oid, 'DELETE') AND has_table_privilege($1::oid, 'UPDATE'),
       row_security_active($1::oid), EXISTS (SELECT FROM pg_inherits WHERE inhparent = $1::oid)`

func (u *upkeep) resolve(ctx context.Context, r *reading, entry checks.OldRows) (*oldRows, error) {
	found, err := u.named([]string{entry.Table})
	if err != nil {
		return nil, err
	}
	o := &oldRows{entry: entry, table: found[0]}
	may, err := row[struct{ May, Hidden, Children bool }](ctx, r, mayLeaveSQL, o.table.OID)
	if err != nil {
		return nil, err
	}
	switch {
	case o.table.Kind != "r" || may.Children:
		return nil, checks.Failed(checks.Refused, "%s is no plain table: drop or detach a partition of it instead", o.table.Label)
	case !may.May:
		return nil, checks.Failed(checks.Denied, "%s may not select, update (which locks rows) and delete in %s: use the role that does (a connection named maintain)", u.settings.User, o.table.Label)
	case may.Hidden:
		return nil, checks.Failed(checks.Denied, "row security hides rows of %s from %s", o.table.Label, u.settings.User)
	}
	followers, err := row[struct{ Tables string }](ctx, r, followersSQL, o.table.OID)
	if err != nil {
		return nil, err
	}
	if followers.Tables != "" {
		return nil, checks.Failed(checks.Refused, "rows of %s would be deleted or changed with those of %s (ON DELETE)", followers.Tables, o.table.Label)
	}
	columns, err := rows[oldColumn](ctx, r, oldColumnsSQL, o.table.OID)
	if err != nil {
		return nil, err
	}
	if err := u.agesBy(o, columns); err != nil || entry.Into == "" {
		return o, err
	}
	return o, u.keeps(ctx, r, o, columns)
}

// agesBy looks at the column by which a row is old.
func (u *upkeep) agesBy(o *oldRows, columns []oldColumn) error {
	i := slices.IndexFunc(columns, func(c oldColumn) bool { return c.Name == o.entry.Column })
	if i < 0 {
		return checks.Failed(checks.Missing, "%s has no column %s", o.table.Label, ident(o.entry.Column))
	}
	switch kind := columns[i].Type; {
	case strings.HasSuffix(kind, "with time zone"):
	case strings.HasPrefix(kind, "timestamp"), kind == "date":
		u.careful("%s.%s is a %s: it is compared in the role's own time zone", o.table.Label, o.entry.Column, kind)
	default:
		return checks.Failed(checks.Refused, "%s.%s is a %s and no instant", o.table.Label, o.entry.Column, kind)
	}
	return nil
}

const archiveReadySQL = `
SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = $1::oid AND indisunique AND indisvalid AND indpred IS NULL),
       has_table_privilege($1::oid, 'SELECT') AND has_table_privilege($1::oid, 'INSERT')`

// keeps finds out whether the archive can hold what the table holds.
func (u *upkeep) keeps(ctx context.Context, r *reading, o *oldRows, columns []oldColumn) error {
	found, err := u.named([]string{o.entry.Into})
	if err != nil {
		return err
	}
	o.archive = &found[0]
	if o.archive.OID == o.table.OID {
		return checks.Failed(checks.Refused, "%s is to be archived into itself", o.table.Label)
	}
	ready, err := row[struct{ Unique, May bool }](ctx, r, archiveReadySQL, o.archive.OID)
	if err != nil {
		return err
	}
	switch {
	case !ready.May:
		return checks.Failed(checks.Denied, "%s may not select and insert in %s", u.settings.User, o.archive.Label)
	case !ready.Unique:
		return checks.Failed(checks.Refused, "%s has no unique key: a row that is there twice would not be noticed", o.archive.Label)
	}
	theirs, err := rows[oldColumn](ctx, r, oldColumnsSQL, o.archive.OID)
	if err != nil {
		return err
	}
	return o.match(columns, theirs)
}

// match makes the column list: by name, since tables drift apart.
func (o *oldRows) match(ours, theirs []oldColumn) error {
	for _, c := range ours {
		i := slices.IndexFunc(theirs, func(t oldColumn) bool { return t.Name == c.Name })
		switch {
		case i < 0:
			return checks.Failed(checks.Refused, "%s has no column %s, whose values would be lost", o.archive.Label, ident(c.Name))
		case theirs[i].Type != c.Type:
			return checks.Failed(checks.Refused, "%s is %s in %s and %s in %s", ident(c.Name), c.Type, o.table.Label, theirs[i].Type, o.archive.Label)
		case !theirs[i].Given:
			o.columns = append(o.columns, ident(c.Name))
		}
	}
	for _, t := range theirs {
		if t.Needed && !slices.ContainsFunc(ours, func(c oldColumn) bool { return c.Name == t.Name }) {
			return checks.Failed(checks.Refused, "%s needs a value for %s, which %s does not have", o.archive.Label, ident(t.Name), o.table.Label)
		}
	}
	return nil
}

func (p *oldRowsPlan) due() (sum float64) {
	for _, o := range p.sets {
		sum += o.due
	}
	return sum
}

func (p *oldRowsPlan) preview(verb string) checks.Findings {
	var targets []uint32
	t := checks.Table{Name: "rows", Columns: []checks.Column{
		{Name: "entry", Type: fact.Text}, {Name: "table", Type: fact.Text}, {Name: "into", Type: fact.Text},
		{Name: "condition", Type: fact.Text}, {Name: "cutoff", Type: fact.Time}, {Name: "rows", Type: fact.Count},
	}}
	facts := []fact.Fact{fact.Number("due", p.due())}
	for _, o := range p.sets {
		targets = append(targets, o.table.OID)
		into := ""
		if o.archive != nil {
			into = o.archive.Label
			targets = append(targets, o.archive.OID)
		}
		facts = append(facts, fact.At("cutoff", o.cutoff).On(o.entry.Name), fact.Number("oid", o.table.OID).On(o.entry.Name))
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(o.entry.Name), fact.WordValue(o.table.Label), fact.WordValue(into),
			fact.WordValue(o.condition()), fact.TimeValue(o.cutoff), fact.NumberValue(o.due),
		})
	}
	f := p.upkeep.preview("due", targets, fmt.Sprintf("%s %s rows", verb, fact.FormatNumber(p.due())))
	f.Facts, f.Tables = facts, []checks.Table{t}
	return f
}

// probeOldRows: none older than the cutoff of the preview is left.
func probeOldRows(ctx context.Context, env checks.Env, args checks.Args, section string, entries map[string]checks.OldRows) (checks.Findings, error) {
	if !slices.ContainsFunc(env.Before, func(f fact.Fact) bool { return f.Name == "cutoff" }) {
		return checks.Findings{}, checks.Failed(checks.NoData, "without its preview nobody knows the cutoff")
	}
	p, err := planOldRows(ctx, env, args, section, entries)
	if err != nil {
		return checks.Findings{}, err
	}
	return checks.Findings{
		Target: p.database.Name, Note: fact.FormatNumber(p.due()) + " rows older than the cutoff are left",
		Facts: []fact.Fact{fact.Number("due", p.due()), fact.Flag("done", p.due() == 0)},
	}, nil
}

// leave is one batch: it returns how many rows left the table and how many
// came to rest in the archive, by one statement with one snapshot.
func (o *oldRows) leave(ctx context.Context, tx pgx.Tx, batch int) (gone, kept int64, err error) {
	returning, keep, counted := "1 AS n", "", "count(*)"
	if o.archive != nil {
		list := strings.Join(o.columns, ", ")
		returning = "t." + strings.Join(o.columns, ", t.") // old has a column too
		keep = fmt.Sprintf(", kept AS (INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM gone RETURNING 1)", o.archive.Label, list, list)
		counted = "(SELECT count(*) FROM kept)"
	}
	sql := fmt.Sprintf(`WITH old AS MATERIALIZED (SELECT ctid AS at FROM ONLY %s WHERE %s ORDER BY %s LIMIT %d FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM ONLY %s AS t USING old WHERE t.ctid = old.at RETURNING %s)%s
SELECT count(*), %s FROM gone`, o.table.Label, o.condition(), ident(o.entry.Column), batch, o.table.Label, returning, keep, counted)
	err = tx.QueryRow(ctx, sql, o.cutoff).Scan(&gone, &kept)
	return gone, kept, err
}
