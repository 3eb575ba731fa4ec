package postgres

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// outlay is what was spent between two snapshots, or since the reset.
type outlay struct {
	entries      []entry
	total, calls float64
	took         time.Duration // 0: not known
	delta, reset bool
	dealloc      float64 // NaN: not known
	blockSize    float64
	origin       string
}

type entry struct {
	spendingKey
	counts
}

// spent subtracts the base. What is new since then counts whole; what counts
// less than before was forgotten and came back, and counts from its return.
func spent(now, base spending, known bool) outlay {
	o := outlay{delta: known, blockSize: now.blockSize, dealloc: math.NaN()}
	switch {
	case known:
		o.took = now.At.Sub(base.At)
		o.origin = "since the snapshot of " + base.At.UTC().Format(time.RFC3339)
		if now.Reset != nil {
			o.dealloc = max(0, now.Dealloc-base.Dealloc)
		}
	case now.Reset != nil:
		o.took, o.dealloc = now.At.Sub(*now.Reset), now.Dealloc
		o.origin = "since the statistics were reset at " + now.Reset.UTC().Format(time.RFC3339)
	default:
		o.origin = "since the statistics were last reset (this version of pg_stat_statements does not say when)"
	}
	for key, c := range now.entries {
		if then, ok := base.entries[key]; known && ok {
			c = c.less(then)
		}
		if c.Calls > 0 || c.Plans > 0 {
			o.entries = append(o.entries, entry{key, c})
			o.total += c.Total
			o.calls += c.Calls
		}
	}
	return o
}

// less is what happened between two counts of one entry. The deviation of the
// interval follows from those of the whole and of the part before it.
func (c counts) less(then counts) counts {
	if c.Calls < then.Calls || c.Total < then.Total {
		return c
	}
	whole := minus(statement{Calls: c.Calls, Total: c.Total, Mean: c.Mean, Stddev: c.Stddev}, statement{Calls: then.Calls, Total: then.Total, Mean: then.Mean, Stddev: then.Stddev})
	up := func(now, before float64) float64 {
		if math.IsNaN(now) {
			return now
		}
		return max(0, now-before)
	}
	return counts{
		Plans: up(c.Plans, then.Plans), Calls: whole.Calls, Total: whole.Total, Mean: whole.Mean, Stddev: whole.Stddev,
		Rows: up(c.Rows, then.Rows), Hit: up(c.Hit, then.Hit), Read: up(c.Read, then.Read), Written: up(c.Written, then.Written),
		Temp: up(c.Temp, then.Temp), WAL: up(c.WAL, then.WAL), IO: up(c.IO, then.IO),
	}
}

// alsoBy is how many are listed for being first by something else than time.
const alsoBy = 10

// top are the statements with most time, and the first by each other cost, so
// that a list ordered by those begins with the right ones.
func (o outlay) top(limit int) []entry {
	shown := map[spendingKey]entry{}
	add := func(most int, by func(counts) float64) {
		sorted := slices.SortedFunc(slices.Values(o.entries), func(a, b entry) int {
			return cmp.Or(cmp.Compare(by(b.counts), by(a.counts)), cmp.Compare(a.ID, b.ID))
		})
		for _, x := range sorted[:min(most, len(sorted))] {
			if by(x.counts) > 0 {
				shown[x.spendingKey] = x
			}
		}
	}
	add(limit, func(c counts) float64 { return c.Total })
	for _, by := range []func(counts) float64{
		func(c counts) float64 { return c.Calls }, func(c counts) float64 { return c.Read }, func(c counts) float64 { return c.Temp },
		func(c counts) float64 { return c.WAL }, func(c counts) float64 { return c.Rows },
	} {
		add(min(alsoBy, limit), by)
	}
	var all []entry
	for _, x := range shown {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.ID, b.ID)) })
	return all
}

func (o outlay) findings(now spending) checks.Findings {
	f := checks.Findings{
		Note: fmt.Sprintf("%d statements, %s calls", len(o.entries), fact.FormatNumber(o.calls)),
		Facts: []fact.Fact{
			fact.Number("statements", len(o.entries)), fact.Number("calls", o.calls), fact.Flag("delta", o.delta), fact.Flag("reset", o.reset),
			fact.Number("tracked", len(now.entries)),
		},
		Detail: []string{o.origin},
	}
	if o.took > 0 {
		f.Facts = append(f.Facts, fact.Dur("interval", o.took), fact.Number("busy", o.total/float64(o.took/time.Millisecond)))
		f.Note += " in " + fact.FormatDuration(o.took.Round(time.Second))
	}
	if !math.IsNaN(now.max) {
		f.Facts = append(f.Facts, fact.Number("max", now.max))
	}
	if !math.IsNaN(o.dealloc) {
		f.Facts = append(f.Facts, fact.Number("deallocations", o.dealloc))
	}
	if o.reset {
		f.Detail = slices.Insert(f.Detail, 0, "the statistics were reset since the last look: there is nothing to compare with yet")
	}
	if o.dealloc > 0 {
		f.Detail = append(f.Detail, "the server forgot the least used statements "+fact.FormatNumber(o.dealloc)+" times: what they cost is not in the list; pg_stat_statements.max is "+fact.FormatNumber(now.max))
	}
	return f
}

func (o outlay) table(shown []entry, textOf func(spendingKey) statementText) checks.Table {
	t := checks.Table{Name: "statements", Columns: []checks.Column{
		{Name: "share", Type: fact.Percent}, {Name: "calls", Type: fact.Count}, {Name: "total", Type: fact.Duration}, {Name: "mean", Type: fact.Duration},
		{Name: "stddev", Type: fact.Duration}, {Name: "rows", Type: fact.Count}, {Name: "hit", Type: fact.Percent}, {Name: "read", Type: fact.Bytes},
		{Name: "written", Type: fact.Bytes}, {Name: "temp", Type: fact.Bytes}, {Name: "wal", Type: fact.Bytes}, {Name: "io_time", Type: fact.Duration},
		{Name: "user", Type: fact.Text}, {Name: "database", Type: fact.Text}, {Name: "queryid", Type: fact.Text}, {Name: "toplevel", Type: fact.Bool},
		{Name: "plans", Type: fact.Count}, {Name: "query", Type: fact.Text},
	}}
	for _, x := range shown {
		text := textOf(x.spendingKey)
		t.Rows = append(t.Rows, []fact.Value{
			fact.PctValue(100 * x.Total / max(o.total, math.SmallestNonzeroFloat64)), fact.NumberValue(x.Calls), fact.DurValue(ms(x.Total)), fact.DurValue(ms(x.Mean)),
			fact.DurValue(ms(x.Stddev)), fact.NumberValue(x.Rows), fact.PctValue(100 * x.Hit / (x.Hit + x.Read)), fact.SizeValue(x.Read * o.blockSize),
			fact.SizeValue(x.Written * o.blockSize), fact.SizeValue(x.Temp * o.blockSize), fact.SizeValue(x.WAL), fact.DurValue(ms(x.IO)),
			word(text.User), word(text.Database), fact.WordValue(strconv.FormatInt(x.ID, 10)), fact.FlagValue(x.Top),
			fact.NumberValue(x.Plans), fact.WordValue(text.Query),
		})
	}
	return t
}
