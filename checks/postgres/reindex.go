package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Reindex builds indexes anew beside the old ones. Readers and writers go on.
var Reindex = module(checks.Module{
	Name:   "pg.reindex",
	Doc:    "Rebuilds bloated or invalid indexes, one after the other and CONCURRENTLY, so that readers and writers go on; those of the catalogue, of TOAST and of exclusion constraints are left out",
	Effect: checks.Reversible, Bounded: true, Danger: 2, Repeatable: true,
	Crash: "the server finishes the index at work unattended; cancelled at the deadline or by hand it leaves an invalid index that takes room and slows writers, which the next preview names with the statement that drops it; those behind it are not begun" + finishesSaid,
	Params: []checks.Param{
		tablesParam("all their indexes; auto, or neither tables nor indexes: those of the database that are invalid or have an estimated bloat of min_bloat or more, which after pg.vacuum_full are none of the tables it rewrote"),
		{Name: "indexes", Type: checks.TextsParam, Doc: "indexes, with their schema where the name alone is not enough", Example: "[users_email_key]"},
		{Name: "min_bloat", Type: checks.PercentParam, Default: "30%", Doc: "auto takes indexes with this estimated share of unused room"},
		{Name: "min_size", Type: checks.BytesParam, Default: "10MiB", Doc: "auto takes bloated indexes of this size"},
		deadlineParam("the one at work is cancelled, which leaves an invalid index"),
	},
	Facts: slices.Concat(outcomeFacts("indexes"), []fact.Spec{
		{Name: "size", Type: fact.Bytes, Optional: true, Doc: "the indexes before, by the catalogue's count"},
		{Name: "reclaimed", Type: fact.Bytes, Worse: fact.Lower, Optional: true, Doc: "room that was given back to the disk"},
		{Name: "needed", Type: fact.Bytes, Optional: true, Doc: "of a preview: room that the copy of the largest index takes meanwhile"},
		{Name: "estimate", Type: fact.Duration, Optional: true, Doc: "of a preview: how long it may take, by the size alone and without waiting for others"},
		{Name: "leftovers", Type: fact.Count, Unit: "indexes", Worse: fact.Higher, Doc: "invalid indexes that rebuilds have left; they are named and not dropped"},
		{Name: "invalid", Type: fact.Count, Unit: "indexes", Worse: fact.Higher, Optional: true, Doc: "indexes of the database that are invalid, leftovers aside, and that nobody builds"},
		{Name: tableFact, Type: fact.Count, Label: "target", Optional: true, Doc: "of a preview: the object id of the index's table"},
	}, beforeFacts),
	Warn: "skipped > 0 or warnings > 0 or leftovers > 0 or invalid > 0", Fail: "errors > 0", Source: "guide: no invalid or leftover index after it",
	Timeout: 30 * time.Minute,
	Example: "use: pg.reindex\nwith: {tables: [users]}",
	Preview: previewReindex, Run: reindex, Probe: probeReindex,
})

// A rebuild is an index that is to be rebuilt.
type rebuild struct {
	index
	needed *float64 // bytes its entries would take; nil: not known
}

func (b rebuild) share() float64 { return 100 * max(0, b.Size-*b.needed) / max(1, b.Size) }

// A reindexPlan is what is to be rebuilt and what was found beside it.
type reindexPlan struct {
	*upkeep
	all, leftovers []index
	targets        []rebuild
}

func planReindex(ctx context.Context, env checks.Env, args checks.Args) (*reindexPlan, error) {
	p := &reindexPlan{}
	var err error
	p.upkeep, err = survey(ctx, env, func(ctx context.Context, u *upkeep, r *reading) error {
		p.upkeep = u
		if err := u.unclaimed(ctx, r); err != nil {
			return err
		}
		if p.all, err = r.indexes(ctx, u.settings.Version); err != nil {
			return err
		}
		needs, err := r.indexNeeds(ctx, oids(u.relations))
		if err != nil {
			return err
		}
		if err := p.choose(args, needs); err != nil {
			return err
		}
		return p.measure(ctx, r)
	})
	return p, err
}

// choose takes what was asked for and can be rebuilt; a leftover never is.
func (p *reindexPlan) choose(args checks.Args, needs map[uint32]float64) error {
	wanted, err := p.wanted(args, needs)
	if err != nil {
		return err
	}
	for _, x := range p.all {
		if x.leftover() {
			p.leftovers = append(p.leftovers, x)
		}
	}
	refused := 0
	for _, b := range wanted {
		switch why := b.refused(p.settings.User); {
		case b.leftover(): // named with its statement
		case why != "":
			refused++
			p.leave(b.Label, why)
		default:
			p.targets = append(p.targets, b)
		}
	}
	switch {
	case len(p.targets) > mostTargets:
		return checks.Failed(checks.Limit, "%d indexes are more than %d at once: name them in portions", len(p.targets), mostTargets)
	case len(p.targets) == 0 && refused > 0:
		return checks.Failed(checks.Denied, "none of %d indexes can be rebuilt: %s", refused, p.left[0])
	case len(p.targets) == 0:
		return checks.NotHere{What: "no index to rebuild" + p.leftoverNote()}
	}
	return nil
}

// measure: what needs room must not go by an old count.
func (p *reindexPlan) measure(ctx context.Context, r *reading) error {
	sizes, err := r.sizes(ctx, "pg_relation_size", p.oids())
	for i := range p.targets {
		p.targets[i].Size = sizes[p.targets[i].OID]
	}
	return err
}

func (p *reindexPlan) oids() []uint32 {
	found := make([]uint32, len(p.targets))
	for i, b := range p.targets {
		found[i] = b.OID
	}
	return found
}

func (p *reindexPlan) leftoverNote() string {
	if len(p.leftovers) == 0 {
		return ""
	}
	return "; left by an earlier rebuild: " + p.leftovers[0].advice()
}

func (b rebuild) refused(user string) string {
	switch {
	case !b.Own:
		return user + " is not its owner"
	case b.Exclusion:
		return "an exclusion constraint's index cannot be rebuilt CONCURRENTLY"
	case b.Building:
		return "it is being built, or its table is"
	}
	return ""
}

// wanted are the indexes named, those of the tables named, or those that need it.
func (p *reindexPlan) wanted(args checks.Args, needs map[uint32]float64) ([]rebuild, error) {
	tables, names := explicit(args, "tables"), explicit(args, "indexes")
	of, err := p.named(tables)
	if err != nil {
		return nil, err
	}
	taken := map[uint32]bool{}
	for _, r := range p.leaves(of) {
		for _, x := range p.all {
			taken[x.OID] = taken[x.OID] || x.Table == r.OID
		}
	}
	for _, name := range names {
		hits := slices.DeleteFunc(slices.Clone(p.all), func(x index) bool { return !x.called(name) })
		if len(hits) != 1 {
			return nil, checks.Failed(checks.Missing, "%d indexes are called %q in %s", len(hits), name, p.server.Target())
		}
		taken[hits[0].OID] = true
	}
	auto := len(tables)+len(names) == 0
	var found []rebuild
	for _, x := range p.all {
		b := rebuild{index: x}
		if need, ok := needs[x.OID]; ok {
			b.needed = &need
		}
		if taken[x.OID] || auto && b.needsIt(args) {
			found = append(found, b)
		}
	}
	if !auto {
		p.needless(found)
	}
	return found, nil
}

// needsIt is what auto goes by. Nobody knows more of an index that cannot be
// estimated than that it works.
func (b rebuild) needsIt(args checks.Args) bool {
	if !b.Valid {
		return !b.Building
	}
	return b.needed != nil && b.Size >= args.Number("min_size") && b.share() >= args.Number("min_bloat")
}

// An index that was just built is filled to its fillfactor, or nearly so.
const (
	freshShare = 10      // percent
	freshSlack = 8 << 13 // 8 pages
)

func (b rebuild) fresh() bool {
	return b.Valid && b.needed != nil && *b.needed <= b.Size && (b.share() < freshShare || b.Size-*b.needed <= freshSlack)
}

func (p *reindexPlan) needless(found []rebuild) {
	for _, b := range found {
		if b.fresh() {
			p.careful("%s has an estimated bloat of %s: to rebuild it gains nothing, as after VACUUM FULL", b.Label, fact.PctValue(b.share()))
		}
	}
}

func previewReindex(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := planReindex(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	total, need, err := p.hazards()
	if err != nil {
		return checks.Findings{}, err
	}
	estimate := seconds(total / rewriteRate)
	if limit := args.Duration("deadline"); estimate > limit {
		p.careful("by its size it takes about %s, and the deadline is %s: name fewer indexes", fact.FormatDuration(estimate), fact.FormatDuration(limit))
	}
	f := p.preview("indexes", p.oids(), fmt.Sprintf("REINDEX of %d indexes, %s", len(p.targets), fact.FormatBytes(total)))
	f.Facts = append(f.Facts, fact.Size("size", total), fact.Size("needed", need), fact.Dur("estimate", estimate))
	f.Facts = append(f.Facts, badFacts(p.all)...)
	for _, b := range p.targets {
		f.Facts = append(f.Facts, was{Label: b.Label, OID: b.OID, Table: b.Table, File: b.File}.facts()...)
	}
	f.Tables = []checks.Table{rebuildTable(p.targets)}
	return f, nil
}

func (p *reindexPlan) hazards() (total, need float64, err error) {
	byDisk := map[uint32]float64{}
	for _, b := range p.targets {
		size := b.Size
		if b.needed != nil {
			size = max(size, *b.needed) // an invalid one may be empty
		}
		total += size
		byDisk[b.Tablespace] = max(byDisk[b.Tablespace], size*roomFactor)
	}
	for _, tablespace := range slices.Sorted(maps.Keys(byDisk)) {
		need = max(need, byDisk[tablespace])
		if err := p.room(p.locations[tablespace], "the copy of the largest index", byDisk[tablespace]); err != nil {
			return total, need, err
		}
	}
	for _, x := range p.leftovers {
		p.careful("left by an earlier rebuild: %s", x.advice())
	}
	p.holdUp("each index waits until the transactions that are older than it have ended")
	p.written(total)
	return total, need, nil
}

// badFacts count leftovers and other invalid indexes.
func badFacts(all []index) []fact.Fact {
	leftovers, invalid := 0, 0
	for _, x := range all {
		switch {
		case x.leftover():
			leftovers++
		case !x.Valid && !x.Building:
			invalid++
		}
	}
	return []fact.Fact{fact.Number("leftovers", leftovers), fact.Number("invalid", invalid)}
}

func reindex(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := planReindex(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	p.targets = confirmed(p.upkeep, env, p.targets, func(b rebuild) uint32 { return b.OID })
	if _, _, err := p.hazards(); err != nil {
		return checks.Findings{}, err
	}
	work := labour{
		env: env, upkeep: p.upkeep, deadline: args.Duration("deadline"),
		settings:   map[string]string{"lock_timeout": "0"}, // a timeout in the middle leaves an invalid index
		statements: func(_ job, name string) []string { return []string{"REINDEX INDEX CONCURRENTLY " + name} },
		failed:     func(job) string { return "an invalid index may be left: the next preview names it" },
	}
	for _, b := range p.targets {
		work.jobs = append(work.jobs, job{oid: b.OID, label: b.Label, size: b.Size})
	}
	o, err := work.do(ctx)
	f := checks.Findings{Target: p.database.Name, Facts: o.facts("indexes"), Detail: o.detail}
	if err != nil {
		return f, err
	}
	return p.rebuilt(ctx, f, o)
}

// rebuilt looks at the indexes again.
func (p *reindexPlan) rebuilt(ctx context.Context, f checks.Findings, o outcome) (checks.Findings, error) {
	var now []index
	err := p.server.readOnly(ctx, "indexes", func(ctx context.Context, r *reading) (err error) {
		now, err = r.indexes(ctx, p.settings.Version)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("rebuilt, but the indexes cannot be looked at: %w", err)
	}
	before, after := 0.0, 0.0
	for _, b := range p.targets {
		for _, x := range now {
			if x.Table == b.Table && x.Name == b.Name {
				before, after = before+b.Size, after+x.Size // a rebuild counts its pages
			}
		}
	}
	for _, x := range now {
		if x.leftover() {
			f.Detail = append(f.Detail, "left over: "+x.advice())
		}
	}
	f.Facts = append(append(f.Facts, badFacts(now)...), fact.Size("size", before), fact.Size("reclaimed", max(0, before-after)))
	f.Note = fmt.Sprintf("%d indexes rebuilt in %s, %s given back", o.done, fact.FormatDuration(o.took), fact.FormatBytes(max(0, before-after)))
	return f, nil
}

// labelCells is as much of a label as a result keeps.
const labelCells = 400

// probeReindex: the rebuilt index has the old one's name and table and is
// another object. An index that is done but not valid is not done.
func probeReindex(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	var all []index
	f, err := probe(ctx, env, func(w was, now upkeepState) bool {
		all = now.indexes
		return slices.ContainsFunc(now.indexes, func(x index) bool {
			return x.Table == w.Table && clean.Line(x.Label, labelCells) == w.Label && x.Valid && x.File != w.File
		})
	})
	if err != nil {
		return f, err
	}
	f.Facts = append(f.Facts, badFacts(all)...)
	var left []string
	for _, x := range all {
		if x.leftover() {
			left = append(left, x.Label)
			f.Detail = append(f.Detail, "left over: "+x.advice())
		}
	}
	if len(left) > 0 {
		f.Note += "; left over: " + strings.Join(left, ", ")
	}
	return f, nil
}

func rebuildTable(found []rebuild) checks.Table {
	t := checks.Table{Name: "indexes", Columns: []checks.Column{
		{Name: "index", Type: fact.Text}, {Name: "table", Type: fact.Text}, {Name: "size", Type: fact.Bytes}, {Name: "bloat", Type: fact.Text}, {Name: "valid", Type: fact.Bool},
	}}
	for _, b := range found {
		share := "unknown"
		if b.needed != nil {
			share = fact.PctValue(b.share()).String()
		}
		t.Rows = append(t.Rows, []fact.Value{word(b.Label), word(b.TableLabel), fact.SizeValue(b.Size), fact.WordValue(share), fact.FlagValue(b.Valid)})
	}
	return t
}
