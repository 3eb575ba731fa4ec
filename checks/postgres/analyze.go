package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Analyze brings the planner's statistics up to date.
var Analyze = module(checks.Module{
	Name:   "pg.analyze",
	Doc:    "Samples tables anew for the planner's statistics, one after the other",
	Effect: checks.Reversible, Bounded: true, Danger: 1, Repeatable: true,
	Crash: "the server finishes the table at work, or cancels it at the deadline; those behind it are not begun" + finishesSaid,
	Params: []checks.Param{
		tablesParam("without any, all tables of the database"), lockTimeoutParam(), deadlineParam("what is at work is cancelled"),
	},
	Facts: slices.Concat(outcomeFacts("tables"), beforeFacts),
	Warn:  "skipped > 0 or warnings > 0", Fail: "errors > 0", Source: "proposed",
	Timeout: 30 * time.Minute,
	Example: "use: pg.analyze\nwith: {tables: [users]}",
	Preview: previewAnalyze, Run: analyze, Probe: probeAnalyze,
})

func planAnalyze(ctx context.Context, env checks.Env, args checks.Args) (*upkeep, []userTable, error) {
	u, err := survey(ctx, env, unworked)
	if err != nil {
		return nil, nil, err
	}
	tables, err := u.chosen(explicit(args, "tables"), userTable.vacuumable)
	if err != nil {
		return nil, nil, err
	}
	tables, err = u.withoutBusy(tables)
	return u, tables, err
}

func previewAnalyze(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, tables, err := planAnalyze(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := u.preview("tables", oids(tables), fmt.Sprintf("ANALYZE of %d tables", len(tables)))
	for _, r := range tables {
		f.Facts = append(f.Facts, was{Label: r.Label, OID: r.OID, At: instant(r.Analyzed)}.facts()...)
	}
	f.Tables = []checks.Table{userTables(tables, func(r userTable) *time.Time { return r.Analyzed })}
	return f, nil
}

func analyze(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, tables, err := planAnalyze(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	tables = confirmed(u, env, tables, tableOID)
	work := labour{
		env: env, upkeep: u, jobs: jobs(tables), deadline: args.Duration("deadline"),
		settings:   map[string]string{"lock_timeout": milliseconds(args.Duration("lock_timeout"))},
		statements: func(_ job, name string) []string { return []string{"ANALYZE " + name} },
	}
	// Parents have no rows, and statistics of their own that nothing else renews.
	work.statements = u.withParents(tables, work.statements)
	o, err := work.do(ctx)
	f := checks.Findings{Target: u.database.Name, Facts: o.facts("tables"), Detail: o.detail, Note: fmt.Sprintf("%d tables analysed in %s", o.done, fact.FormatDuration(o.took))}
	return f, err
}

// withParents analyses a parent after the last of its partitions, without
// them where the server can (18 on).
func (u *upkeep) withParents(tables []userTable, one func(job, string) []string) func(job, string) []string {
	last := map[uint32]userTable{} // by the last partition
	for _, parent := range u.relations {
		if parent.stored() || parent.Root != 0 || !parent.vacuumable() {
			continue
		}
		for _, r := range tables {
			if r.Root == parent.OID {
				last[r.OID] = parent
			}
		}
		for i, r := range tables {
			if r.Root == parent.OID && slices.ContainsFunc(tables[i+1:], func(x userTable) bool { return x.Root == parent.OID }) {
				delete(last, r.OID)
			}
		}
	}
	verb := "ANALYZE "
	if u.settings.Version >= 180000 {
		verb = "ANALYZE ONLY "
	}
	return func(j job, name string) []string {
		sql := one(j, name)
		if parent, ok := last[j.oid]; ok {
			sql = append(sql, verb+ident(parent.Schema, parent.Name))
		}
		return sql
	}
}

func probeAnalyze(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	return probe(ctx, env, func(w was, now upkeepState) bool { return later(now.tables[w.OID].Analyzed, w.At) })
}

// later compares with an instant that a fact kept to the millisecond.
func later(now *time.Time, before time.Time) bool {
	return now != nil && now.Truncate(time.Millisecond).After(before)
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func tableOID(r userTable) uint32 { return r.OID }

func jobs(tables []userTable) []job {
	found := make([]job, len(tables))
	for i, r := range tables {
		found[i] = job{oid: r.OID, label: r.Label, size: r.Size}
	}
	return found
}

// userTables shows the targets.
func userTables(tables []userTable, last func(userTable) *time.Time) checks.Table {
	t := checks.Table{Name: "tables", Columns: []checks.Column{
		{Name: "table", Type: fact.Text}, {Name: "size", Type: fact.Bytes}, {Name: "indexes", Type: fact.Bytes},
		{Name: "live", Type: fact.Count}, {Name: "dead", Type: fact.Count}, {Name: "last", Type: fact.Text},
	}}
	for _, r := range tables {
		at := "never"
		if p := last(r); p != nil {
			at = p.UTC().Format(time.RFC3339)
		}
		t.Rows = append(t.Rows, []fact.Value{
			word(r.Label), fact.SizeValue(r.Size), fact.SizeValue(r.Indexes), fact.NumberValue(r.Live), fact.NumberValue(r.Dead), fact.WordValue(at),
		})
	}
	return t
}
