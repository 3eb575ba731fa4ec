package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Vacuum removes dead rows, as autovacuum does, without locking anybody out.
var Vacuum = module(checks.Module{
	Name:   "pg.vacuum",
	Doc:    "Vacuums tables, one after the other, so that the room of dead rows can be used again; readers and writers go on",
	Effect: checks.Reversible, Bounded: true, Danger: 1, Repeatable: true,
	Crash: "the server finishes the table at work, or cancels it at the deadline; those behind it are not begun" + finishesSaid,
	Params: []checks.Param{
		tablesParam("without any, all tables of the database"),
		{Name: "analyze", Type: checks.BoolParam, Default: true, Doc: "renews the planner's statistics too"},
		{Name: "cost_delay", Type: checks.DurationParam, Default: "2ms", Doc: "pause after each portion of work, as autovacuum makes it; 0s: as fast as the disk allows"},
		lockTimeoutParam(), deadlineParam("what is at work is cancelled"),
	},
	Facts: slices.Concat(outcomeFacts("tables"), []fact.Spec{
		{Name: "dead", Type: fact.Count, Unit: "rows", Worse: fact.Higher, Doc: "dead rows in these tables: before, of a preview; after, of a run"},
		{Name: "removed", Type: fact.Count, Unit: "rows", Optional: true, Doc: "how many dead rows fewer there are"},
		{Name: "kept", Type: fact.Percent, Worse: fact.Higher, Optional: true, Doc: "share of the dead rows that stayed, where there were 1000 or more; an old transaction holds them"},
	}, beforeFacts),
	Warn: "skipped > 0 or warnings > 0 or kept > 50%", Fail: "errors > 0", Source: "proposed",
	Timeout: 30 * time.Minute,
	Example: "use: pg.vacuum\nwith: {tables: [users, enrollments]}",
	Preview: previewVacuum, Run: vacuum, Probe: probeVacuum,
})

func planVacuum(ctx context.Context, env checks.Env, args checks.Args) (*upkeep, []userTable, error) {
	u, err := survey(ctx, env, unworked)
	if err != nil {
		return nil, nil, err
	}
	if !u.settings.TrackCounts {
		return nil, nil, checks.Failed(checks.Missing, "track_counts is off: it could not be told afterwards what was vacuumed")
	}
	tables, err := u.chosen(explicit(args, "tables"), userTable.vacuumable)
	if err != nil {
		return nil, nil, err
	}
	tables, err = u.withoutBusy(tables)
	return u, tables, err
}

func previewVacuum(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, tables, err := planVacuum(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	u.holdUp("dead rows that are younger than an old transaction stay")
	dead := deadRows(tables)
	f := u.preview("tables", oids(tables), fmt.Sprintf("VACUUM of %d tables, %s dead rows", len(tables), fact.FormatNumber(dead)))
	f.Facts = append(f.Facts, fact.Number("dead", dead))
	for _, r := range tables {
		f.Facts = append(f.Facts, was{Label: r.Label, OID: r.OID, At: instant(r.Vacuumed)}.facts()...)
	}
	f.Tables = []checks.Table{userTables(tables, func(r userTable) *time.Time { return r.Vacuumed })}
	return f, nil
}

func vacuum(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, tables, err := planVacuum(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	tables = confirmed(u, env, tables, tableOID)
	work := labour{
		env: env, upkeep: u, jobs: jobs(tables), deadline: args.Duration("deadline"),
		settings: map[string]string{
			"lock_timeout":      milliseconds(args.Duration("lock_timeout")),
			"vacuum_cost_delay": strconv.FormatFloat(float64(args.Duration("cost_delay"))/float64(time.Millisecond), 'f', -1, 64),
		},
		statements: func(_ job, name string) []string { return []string{vacuumSQL(name, args.Bool("analyze"))} },
	}
	o, err := work.do(ctx)
	f := checks.Findings{Target: u.database.Name, Facts: o.facts("tables"), Detail: o.detail}
	if err != nil {
		return f, err
	}
	after, err := u.deadAfter(ctx, tables, o.failed == 0)
	if err != nil {
		return f, fmt.Errorf("vacuumed, but the dead rows cannot be counted again: %w", err)
	}
	before := deadRows(tables)
	f.Facts = append(f.Facts, fact.Number("dead", after), fact.Number("removed", max(0, before-after)))
	if before >= 1000 {
		f.Facts = append(f.Facts, fact.Pct("kept", 100*after/before))
	}
	f.Note = fmt.Sprintf("%d tables vacuumed in %s, dead rows %s -> %s", o.done, fact.FormatDuration(o.took), fact.FormatNumber(before), fact.FormatNumber(after))
	return f, nil
}

// vacuumSQL leaves the empty end of the file alone: to cut it off takes a lock
// that keeps even readers out.
func vacuumSQL(name string, analyze bool) string {
	if analyze {
		return "VACUUM (TRUNCATE false, ANALYZE) " + name
	}
	return "VACUUM (TRUNCATE false) " + name
}

func deadRows(tables []userTable) float64 {
	sum := 0.0
	for _, r := range tables {
		sum += r.Dead
	}
	return sum
}

// countsLate is how long the counters of a server before version 15 may take
// to show what was done.
const countsLate = 3 * time.Second

// deadAfter counts again, once every table shows that it was vacuumed.
func (u *upkeep) deadAfter(ctx context.Context, tables []userTable, all bool) (float64, error) {
	for until := time.Now().Add(countsLate); ; {
		now := map[uint32]userTable{}
		err := u.server.readOnly(ctx, "dead rows", func(ctx context.Context, r *reading) error {
			found, err := r.relations(ctx, u.settings.Version)
			for _, one := range found {
				now[one.OID] = one
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		shown, dead := true, 0.0
		for _, r := range tables {
			dead += now[r.OID].Dead
			_, there := now[r.OID]
			shown = shown && (!there || later(now[r.OID].Vacuumed, instant(r.Vacuumed).Truncate(time.Millisecond)))
		}
		if shown || !all || time.Now().After(until) {
			return dead, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func probeVacuum(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	return probe(ctx, env, func(w was, now upkeepState) bool { return later(now.tables[w.OID].Vacuumed, w.At) })
}
