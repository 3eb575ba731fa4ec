package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// VacuumFull writes tables anew. Nobody reads or writes a table meanwhile.
var VacuumFull = module(checks.Module{
	Name:   "pg.vacuum_full",
	Doc:    "Writes bloated tables and all their indexes anew, one table after the other, each locked against readers and writers meanwhile",
	Effect: checks.Reversible, Bounded: true, Danger: 3, Repeatable: true,
	Crash: "the server finishes the table at work unattended and gives its lock back then, or cancels it at the deadline; each table is either rewritten or as it was, those behind it are not begun" + finishesSaid,
	Params: []checks.Param{
		tablesParam("auto, or none: those with an estimated bloat of min_bloat or more"),
		{Name: "min_bloat", Type: checks.PercentParam, Default: "30%", Doc: "auto takes tables with this estimated share of unused room"},
		{Name: "min_size", Type: checks.BytesParam, Default: "100MiB", Doc: "auto takes tables of this size"},
		{Name: "vacuum", Type: checks.BoolParam, Default: true, Doc: "vacuums and analyses each table after its rewrite, which leaves it without a visibility map"},
		lockTimeoutParam(), deadlineParam("what is at work is cancelled and undone"),
	},
	Facts: slices.Concat(outcomeFacts("tables"), []fact.Spec{
		{Name: "size", Type: fact.Bytes, Optional: true, Doc: "the tables with their indexes, before"},
		{Name: "reclaimed", Type: fact.Bytes, Worse: fact.Lower, Optional: true, Doc: "room that was given back to the disk"},
		{Name: "expected", Type: fact.Bytes, Optional: true, Doc: "of a preview: estimate of the room that will be given back; absent where a table cannot be estimated"},
		{Name: "needed", Type: fact.Bytes, Optional: true, Doc: "of a preview: room that the copy of the largest table takes meanwhile"},
		{Name: "estimate", Type: fact.Duration, Optional: true, Doc: "of a preview: how long it may take, by the size alone"},
	}, beforeFacts),
	Warn: "skipped > 0 or warnings > 0", Fail: "errors > 0", Source: "proposed",
	Timeout: 30 * time.Minute,
	Example: "use: pg.vacuum_full\nwith: {tables: [audit_logs], deadline: 25m}",
	Preview: previewVacuumFull, Run: vacuumFull, Probe: probeVacuumFull,
})

// rewriteRate is bytes of table and indexes that a rewrite gets done in a
// second on an ordinary disk: proposed, and on the slow side.
const rewriteRate = 20 << 20

// roomFactor: the copy is as large as the table and its indexes, and sorting
// the indexes takes some more.
const roomFactor = 1.2

// A rewrite is a table that is to be rewritten, with its size as it is now.
type rewrite struct {
	userTable
	Now   float64 // bytes with indexes and TOAST
	bloat *tableBloat
}

func planVacuumFull(ctx context.Context, env checks.Env, args checks.Args) (*upkeep, []rewrite, error) {
	var found []rewrite
	u, err := survey(ctx, env, func(ctx context.Context, u *upkeep, r *reading) error {
		if err := u.unclaimed(ctx, r); err != nil {
			return err
		}
		bloats, err := r.tableBloat(ctx, 0)
		if err != nil {
			return err
		}
		tables, err := u.toRewrite(args, bloats)
		if err != nil {
			return err
		}
		found, err = r.rewrites(ctx, tables, bloats)
		return err
	})
	return u, found, err
}

// toRewrite are the tables named, or those that the estimate finds bloated.
func (u *upkeep) toRewrite(args checks.Args, bloats []tableBloat) ([]userTable, error) {
	if names := explicit(args, "tables"); len(names) > 0 {
		return u.chosen(names, userTable.vacuumable)
	}
	var tables []userTable
	unknown := 0
	for _, b := range bloats {
		switch {
		case !b.known():
			unknown++
		case b.Size >= args.Number("min_size") && b.share() >= args.Number("min_bloat"):
			i := slices.IndexFunc(u.relations, func(r userTable) bool { return r.OID == b.OID })
			tables = append(tables, u.relations[i])
		}
	}
	if unknown > 0 {
		u.careful("%d tables cannot be estimated (never analysed, or not readable for %s) and are left out", unknown, u.settings.User)
	}
	if len(tables) == 0 && unknown > 0 && unknown == len(bloats) {
		return nil, checks.Failed(checks.NoData, "none of %d tables can be estimated: run pg.analyze, or name the tables", unknown)
	}
	if len(tables) == 0 {
		return nil, checks.NotHere{What: fmt.Sprintf("no table of %s with an estimated bloat of %s or more: nothing to rewrite",
			fact.FormatBytes(args.Number("min_size")), fact.PctValue(args.Number("min_bloat")))}
	}
	return u.permitted(tables, userTable.vacuumable)
}

// rewrites measures the tables: what needs room must not go by an old count.
func (r *reading) rewrites(ctx context.Context, tables []userTable, bloats []tableBloat) ([]rewrite, error) {
	sizes, err := r.sizes(ctx, "pg_total_relation_size", oids(tables))
	if err != nil {
		return nil, err
	}
	found := make([]rewrite, len(tables))
	for i, t := range tables {
		found[i] = rewrite{userTable: t, Now: sizes[t.OID]}
		if j := slices.IndexFunc(bloats, func(b tableBloat) bool { return b.OID == t.OID }); j >= 0 {
			found[i].bloat = &bloats[j]
		}
	}
	return found, nil
}

// sizes measures tables or indexes with one of the server's functions. It does
// not wait for somebody's exclusive lock.
func (r *reading) sizes(ctx context.Context, function string, of []uint32) (map[uint32]float64, error) {
	type size struct {
		OID  uint32
		Size float64
	}
	found, err := rows[size](ctx, r, "SELECT o::oid, coalesce("+function+"(o), 0)::float8 FROM unnest($1::oid[]) t(o)", of)
	if err != nil {
		return nil, fmt.Errorf("measuring: %w", err)
	}
	sizes := map[uint32]float64{}
	for _, s := range found {
		sizes[s.OID] = s.Size
	}
	return sizes, nil
}

func previewVacuumFull(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, found, err := planVacuumFull(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	total, need, err := u.rewriteHazards(found)
	if err != nil {
		return checks.Findings{}, err
	}
	estimate := seconds(total / rewriteRate)
	if limit := args.Duration("deadline"); estimate > limit {
		u.careful("by its size it takes about %s, and the deadline is %s: name fewer tables", fact.FormatDuration(estimate), fact.FormatDuration(limit))
	}
	f := u.preview("tables", oids(tablesOf(found)), fmt.Sprintf("VACUUM FULL of %d tables, %s", len(found), fact.FormatBytes(total)))
	f.Facts = append(f.Facts, fact.Size("size", total), fact.Size("needed", need), fact.Dur("estimate", estimate))
	if expected, known := expectedGain(found); known {
		f.Facts = append(f.Facts, fact.Size("expected", expected))
	}
	for _, w := range found {
		f.Facts = append(f.Facts, was{Label: w.Label, OID: w.OID, File: w.File}.facts()...)
	}
	f.Detail = append(f.Detail, "instead, with readers and writers going on: pg.vacuum for the dead rows, pg.reindex for the indexes, or pg_repack")
	f.Tables = []checks.Table{rewriteTable(found)}
	return f, nil
}

// rewriteHazards is the size of all, the room for the largest, and what speaks
// against it. No room refuses it.
func (u *upkeep) rewriteHazards(found []rewrite) (total, need float64, err error) {
	byDisk := map[uint32]float64{}
	for _, w := range found {
		total += w.Now
		byDisk[w.Tablespace] = max(byDisk[w.Tablespace], w.Now*roomFactor)
	}
	for _, tablespace := range slices.Sorted(maps.Keys(byDisk)) {
		need = max(need, byDisk[tablespace])
		if err := u.room(u.locations[tablespace], "the copy of the largest table", byDisk[tablespace]); err != nil {
			return total, need, err
		}
	}
	u.careful("nobody reads or writes a table while it is rewritten")
	u.inUse(tablesOf(found))
	u.holdUp("rows that an old transaction may still see are copied too")
	u.written(total)
	return total, need, nil
}

func tablesOf(found []rewrite) []userTable {
	all := make([]userTable, len(found))
	for i, w := range found {
		all[i] = w.userTable
	}
	return all
}

// expectedGain is known when every table can be estimated.
func expectedGain(found []rewrite) (float64, bool) {
	sum := 0.0
	for _, w := range found {
		if w.bloat == nil || !w.bloat.known() {
			return 0, false
		}
		sum += w.bloat.wasted()
	}
	return sum, true
}

func vacuumFull(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, found, err := planVacuumFull(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	found = confirmed(u, env, found, func(w rewrite) uint32 { return w.OID })
	if _, _, err := u.rewriteHazards(found); err != nil {
		return checks.Findings{}, err
	}
	work := labour{
		env: env, upkeep: u, deadline: args.Duration("deadline"),
		settings: map[string]string{"lock_timeout": milliseconds(args.Duration("lock_timeout"))},
		statements: func(_ job, name string) []string {
			if args.Bool("vacuum") {
				return []string{"VACUUM (FULL) " + name, vacuumSQL(name, true)}
			}
			return []string{"VACUUM (FULL) " + name}
		},
	}
	before := 0.0
	for _, w := range found {
		before += w.Now
		work.jobs = append(work.jobs, job{oid: w.OID, label: w.Label, size: w.Now})
	}
	o, err := work.do(ctx)
	f := checks.Findings{Target: u.database.Name, Facts: append(o.facts("tables"), fact.Size("size", before)), Detail: o.detail}
	if err != nil {
		return f, err
	}
	return u.reclaimed(ctx, f, o, found, before)
}

// reclaimed measures again. A table that somebody locked meanwhile leaves the
// gain unknown, and the rewrite done.
func (u *upkeep) reclaimed(ctx context.Context, f checks.Findings, o outcome, found []rewrite, before float64) (checks.Findings, error) {
	f.Note = fmt.Sprintf("%d tables rewritten in %s", o.done, fact.FormatDuration(o.took))
	var now []rewrite
	err := u.server.readOnly(ctx, "sizes", func(ctx context.Context, r *reading) (err error) {
		now, err = r.rewrites(ctx, tablesOf(found), nil)
		return err
	})
	if err != nil {
		f.Detail = append(f.Detail, "the new sizes cannot be told: "+err.Error())
		return f, nil
	}
	after := 0.0
	for i, w := range now {
		after += w.Now
		f.Detail = append(f.Detail, fmt.Sprintf("%s: %s -> %s", w.Label, fact.FormatBytes(found[i].Now), fact.FormatBytes(w.Now)))
	}
	f.Facts = append(f.Facts, fact.Size("reclaimed", max(0, before-after)))
	f.Note += ", " + fact.FormatBytes(max(0, before-after)) + " given back"
	return f, nil
}

func probeVacuumFull(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	return probe(ctx, env, func(w was, now upkeepState) bool {
		table, there := now.tables[w.OID]
		return there && table.File != 0 && table.File != w.File
	})
}

func rewriteTable(found []rewrite) checks.Table {
	t := checks.Table{Name: "tables", Columns: []checks.Column{
		{Name: "table", Type: fact.Text}, {Name: "size", Type: fact.Bytes}, {Name: "wasted", Type: fact.Text}, {Name: "bloat", Type: fact.Text}, {Name: "takes", Type: fact.Duration},
	}}
	for _, w := range found {
		wasted, share := "unknown", "unknown"
		if w.bloat != nil && w.bloat.known() {
			wasted, share = fact.FormatBytes(w.bloat.wasted()), fact.PctValue(w.bloat.share()).String()
		}
		t.Rows = append(t.Rows, []fact.Value{
			word(w.Label), fact.SizeValue(w.Now), fact.WordValue(wasted), fact.WordValue(share), fact.DurValue(seconds(w.Now / rewriteRate)),
		})
	}
	return t
}
