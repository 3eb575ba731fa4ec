package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// copyFindings is what the copy was found to be.
type copyFindings struct {
	count  int // tables
	bad    bool
	facts  []fact.Fact
	detail []string
	tables []checks.Table
	rows   map[string]float64 // counted, by the table's full name
}

func (c *copyFindings) enough() bool { return !c.bad }

func (c *copyFindings) add(f ...fact.Fact) { c.facts = append(c.facts, f...) }

// ownTables are the tables that a dump fills; views do not count, nor do the
// tables of an extension.
const ownTables = `
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`

const countTablesSQL = "SELECT count(*)::int" + ownTables

// A look is the looking at a copy, in a session of its own.
type look struct {
	dedicated
	*copyFindings
	plan *restorePlan
}

// examine looks at the copy. It runs nothing of the dump's own but what
// counting and checking indexes needs.
func (p *restorePlan) examine(ctx context.Context, env checks.Env) (*copyFindings, error) {
	session, err := p.server.dedicated(ctx, env.Token, p.scratch)
	if err != nil {
		return nil, err
	}
	defer session.close()
	l := look{session, &copyFindings{rows: map[string]float64{}}, p}
	for _, step := range []struct {
		what string
		do   func(context.Context, checks.Env) error
	}{
		{"counting the tables", l.countTables}, {"counting the rows", l.countRows}, {"finding the newest row", l.newestRow},
		{"comparing with the source", l.compare}, {"looking at extensions", l.listExtensions}, {"looking at indexes", l.indexes},
		{"checking indexes", l.amcheck},
	} {
		if err := step.do(ctx, env); err != nil {
			if checks.ClassOf(err) == "" {
				err = p.server.explain(ctx, err)
			}
			return nil, fmt.Errorf("%s of the copy: %w", step.what, err)
		}
	}
	return l.copyFindings, nil
}

func (l look) countTables(ctx context.Context, _ checks.Env) error {
	if err := l.QueryRow(ctx, countTablesSQL).Scan(&l.count); err != nil {
		return err
	}
	enough := l.count >= l.plan.minTables
	l.bad = l.bad || !enough
	l.add(fact.Number("tables", l.count), fact.Flag("enough_tables", enough))
	return nil
}

// find is the full name of a table of the copy: in public, unless the name
// says where, or else wherever it is.
func (l look) find(ctx context.Context, name string) (schema, table string, err error) {
	err = l.QueryRow(ctx, `SELECT n.nspname::text, c.relname::text`+ownTables+
		` AND (n.nspname || '.' || c.relname = $1 OR c.relname = $1) ORDER BY n.nspname <> 'public', n.nspname LIMIT 1`, name).Scan(&schema, &table)
	return schema, table, err
}

func (l look) count1(ctx context.Context, schema, table string) (float64, error) {
	if n, ok := l.rows[schema+"."+table]; ok {
		return n, nil
	}
	var n int64
	err := l.QueryRow(ctx, "SELECT count(*) FROM "+ident(schema, table)).Scan(&n)
	l.rows[schema+"."+table] = float64(n)
	return float64(n), err
}

func (l look) countRows(ctx context.Context, _ checks.Env) error {
	for _, name := range slices.Sorted(maps.Keys(l.plan.minRows)) {
		schema, table, err := l.find(ctx, name)
		if err == pgx.ErrNoRows {
			l.bad = true
			l.add(fact.Flag("enough_rows", false).On(name))
			l.detail = append(l.detail, "no table "+name)
			continue
		}
		if err != nil {
			return err
		}
		n, err := l.count1(ctx, schema, table)
		if err != nil {
			return err
		}
		enough := n >= l.plan.minRows[name]
		l.bad = l.bad || !enough
		l.add(fact.Number("rows", n).On(name), fact.Flag("enough_rows", enough).On(name))
	}
	return nil
}

func (l look) newestRow(ctx context.Context, env checks.Env) error {
	if l.plan.newest == "" {
		return nil
	}
	at := strings.LastIndexByte(l.plan.newest, '.')
	name, column := l.plan.newest[:at], l.plan.newest[at+1:]
	schema, table, err := l.find(ctx, name)
	if err == pgx.ErrNoRows {
		return checks.Failed(checks.Missing, "no table %s, which newest names", name)
	}
	if err != nil {
		return err
	}
	if zone := env.Site.Zone; zone != nil && zone != time.Local { // for columns without a zone
		if err := l.do(ctx, "SET TimeZone = "+quoteText(zone.String())); err != nil {
			return err
		}
	}
	var newest *time.Time
	if err := l.QueryRow(ctx, "SELECT max("+ident(column)+")::timestamptz FROM "+ident(schema, table)).Scan(&newest); err != nil {
		return err
	}
	if newest == nil {
		l.bad = true
		l.detail = append(l.detail, "no row of "+name+" says when it was made")
		l.add(fact.Flag("enough_rows", false).On(l.plan.newest))
		return nil
	}
	l.add(fact.Dur("newest_row_age", max(0, clock(env).Sub(*newest))))
	return nil
}

// estimate is what the source's planner thinks of a table.
type estimate struct {
	Schema, Table string
	Rows          float64
}

// compared is how many of the source's largest tables are counted in the copy.
const compared = 20

const estimatesSQL = `SELECT n.nspname::text, c.relname::text, c.reltuples::float8` + ownTables +
	` AND c.relkind = 'r' AND NOT c.relispartition AND c.reltuples > 0 ORDER BY (c.relname = ANY($1)) DESC, c.reltuples DESC LIMIT $2`

// compare holds the copy to the source's estimates, which cost the source
// nothing. That they are estimates is why the tolerance exists.
func (l look) compare(ctx context.Context, env checks.Env) error {
	if l.plan.source == "" || l.plan.source == "none" {
		return nil
	}
	env.Connection = l.plan.source
	source, err := server(env)
	var list []estimate
	if err == nil {
		list, err = many[estimate](ctx, source, "the source's estimates", estimatesSQL, slices.Collect(maps.Keys(l.plan.minRows)), compared)
	}
	if err != nil {
		l.detail = append(l.detail, "careful: not compared with "+l.plan.source+": "+err.Error())
		return ctx.Err()
	}
	short, shown := 0, checks.Table{Name: "compared", Columns: []checks.Column{
		{Name: "table", Type: fact.Text}, {Name: "copy", Type: fact.Count, Unit: "rows"}, {Name: "source", Type: fact.Count, Unit: "rows"}, {Name: "share", Type: fact.Percent}}}
	for _, e := range list {
		n, err := l.countLike(ctx, e)
		if err != nil {
			return err
		}
		share := 100 * n / e.Rows
		if share < l.plan.tolerance {
			short++
		}
		name := strings.TrimPrefix(e.Schema+"."+e.Table, "public.")
		l.add(fact.Pct("vs_source", share).On(name))
		shown.Rows = append(shown.Rows, []fact.Value{fact.WordValue(name), fact.NumberValue(n), fact.NumberValue(e.Rows), fact.PctValue(share)})
	}
	if len(list) == 0 {
		l.detail = append(l.detail, "careful: "+l.plan.source+" has no estimates to compare with: its tables were never analyzed")
		return nil
	}
	l.tables = append(l.tables, shown)
	l.add(fact.Number("short", short))
	return nil
}

// countLike counts the copy's table of that name; one that is missing has no rows.
func (l look) countLike(ctx context.Context, e estimate) (float64, error) {
	var there bool
	if err := l.QueryRow(ctx, `SELECT EXISTS (SELECT`+ownTables+` AND n.nspname = $1 AND c.relname = $2)`, e.Schema, e.Table).Scan(&there); err != nil || !there {
		return 0, err
	}
	return l.count1(ctx, e.Schema, e.Table)
}

func (l look) listExtensions(ctx context.Context, _ checks.Env) error {
	found, err := l.Query(ctx, "SELECT extname::text || ' ' || extversion FROM pg_extension ORDER BY extname")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return err
	}
	l.add(fact.Number("extensions", len(names)))
	l.detail = append(l.detail, "extensions: "+cmp.Or(strings.Join(names, ", "), "none"))
	return nil
}

func (l look) indexes(ctx context.Context, _ checks.Env) error {
	found, err := l.Query(ctx, "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1")
	if err != nil {
		return err
	}
	invalid, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range invalid {
		l.detail = append(l.detail, "invalid index "+name)
	}
	l.bad = l.bad || len(invalid) > 0
	l.add(fact.Number("invalid_indexes", len(invalid)))
	return nil
}

const btreesSQL = `
SELECT c.oid, c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND n.nspname NOT LIKE 'pg\_%' ORDER BY 2`

// amcheckSQL is the function, with its schema, if the role may call it.
const amcheckSQL = `
SELECT quote_ident(n.nspname) || '.bt_index_check' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'amcheck'
WHERE p.proname = 'bt_index_check' AND p.pronargs = 1 AND has_function_privilege(p.oid, 'EXECUTE')`

// amcheck reads every B-tree index, if the template has the extension and the
// role may use it. That it was not done is said, not counted.
func (l look) amcheck(ctx context.Context, _ checks.Env) error {
	functions, err := l.texts(ctx, amcheckSQL)
	if err != nil {
		return err
	}
	if len(functions) == 0 {
		l.detail = append(l.detail, "indexes not checked: that takes a template with amcheck, and "+
			"GRANT EXECUTE ON FUNCTION bt_index_check(regclass) TO "+ident(l.plan.verify.User)+" in it")
		return nil
	}
	found, err := l.Query(ctx, btreesSQL)
	if err != nil {
		return err
	}
	type index struct {
		OID  uint32
		Name string
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByPos[index])
	if err != nil {
		return err
	}
	corrupt := 0
	for _, i := range list {
		_, err := l.Exec(ctx, "SELECT "+functions[0]+"($1::oid::regclass)", i.OID)
		switch {
		case hasCode(err, "XX002"), hasCode(err, "XX001"):
			corrupt++
			l.detail = append(l.detail, "corrupt index "+i.Name+": "+oneLine(err.Error()))
		case err != nil:
			return err
		}
	}
	l.bad = l.bad || corrupt > 0
	l.add(fact.Number("corrupt_indexes", corrupt))
	l.detail = append(l.detail, fmt.Sprintf("%d B-tree indexes checked", len(list)))
	return nil
}
