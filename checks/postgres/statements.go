package postgres

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// interval is what the statements did between two snapshots, or since the
// statistics were reset.
type interval struct {
	statements []statement
	took       time.Duration // 0: not known
	delta      bool
	reset      time.Time // from when it counts where there is no delta; zero if the server does not say
	origin     string    // where the interval begins, for the evidence
}

// since subtracts the base. After a reset there is nothing to subtract.
func since(now, base snapshot, known bool) interval {
	if known && sameReset(now, base) && now.At.After(base.At) {
		d := interval{took: now.At.Sub(base.At), delta: true, origin: "since the snapshot of " + base.At.UTC().Format(time.RFC3339)}
		for key, x := range now.statements {
			if x = minus(x, base.statements[key]); x.Calls > 0 {
				d.statements = append(d.statements, x)
			}
		}
		return d
	}
	all := interval{origin: "since the statistics were last reset (this version of pg_stat_statements does not say when)"}
	if now.Reset != nil {
		all.took, all.reset = now.At.Sub(*now.Reset), *now.Reset
		all.origin = "since the statistics were reset at " + now.Reset.UTC().Format(time.RFC3339)
	}
	for _, x := range now.statements {
		all.statements = append(all.statements, x)
	}
	return all
}

// minus is what happened between two counts of one statement. An entry that
// was dropped and came back counts from its return. The deviation of the
// interval follows from those of the whole and of the part before it.
func minus(now, before statement) statement {
	if now.Calls < before.Calls || now.Total < before.Total {
		return now
	}
	d := now
	d.Calls, d.Total, d.Rows = now.Calls-before.Calls, now.Total-before.Total, now.Rows-before.Rows
	if d.Calls == 0 {
		return statement{}
	}
	d.Mean = d.Total / d.Calls
	squares := now.Stddev*now.Stddev*now.Calls - before.Stddev*before.Stddev*before.Calls
	if before.Calls > 0 {
		apart := d.Mean - before.Mean
		squares -= apart * apart * before.Calls * d.Calls / now.Calls
	}
	d.Stddev = math.Sqrt(max(0, squares) / d.Calls)
	return d
}

// picked is what the facts and the tables are made of.
type picked struct {
	interval
	shown     []statement // slow ones and busiest ones, for their texts
	slow      []statement // by total time
	busiest   []statement
	heavy     int
	allSlow   int
	worstMean float64 // ms
	total     float64 // ms, of all statements
}

func pick(i interval, args checks.Args) picked {
	p := picked{interval: i}
	limit, meanMs := args.Int("limit"), float64(args.Duration("mean"))/float64(time.Millisecond)
	for _, x := range i.statements {
		p.total += x.Total
	}
	byTotal := slices.SortedFunc(slices.Values(i.statements), func(a, b statement) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.ID, b.ID))
	})
	for _, x := range byTotal {
		if x.Calls < args.Number("min_calls") {
			continue
		}
		p.worstMean = max(p.worstMean, x.Mean)
		if x.Mean <= meanMs {
			continue
		}
		p.slow = append(p.slow, x)
		if x.Mean > float64(heavyMean/time.Millisecond) && p.share(x) > heavyShare {
			p.heavy++
		}
	}
	p.allSlow = len(p.slow)
	p.slow = p.slow[:min(limit, len(p.slow))]
	p.busiest = byTotal[:min(10, len(byTotal))]
	p.shown = slices.Concat(p.slow, p.busiest)
	return p
}

func (p picked) share(x statement) float64 {
	if p.total == 0 {
		return 0
	}
	return 100 * x.Total / p.total
}

func (p picked) findings(texts map[statementKey]string) checks.Findings {
	f := checks.Findings{Note: fmt.Sprintf("no slow statement of %d", len(p.statements))}
	var worstShare float64
	if p.allSlow > 0 {
		worstShare = p.share(p.slow[0]) // by total time, so the first has most
		f.Note = fmt.Sprintf("%d slow, worst mean %s", p.allSlow, fact.FormatDuration(ms(p.worstMean)))
	}
	f.Facts = []fact.Fact{
		fact.Number("slow", p.allSlow), fact.Number("heavy", p.heavy), fact.Dur("worst_mean", ms(p.worstMean)),
		fact.Pct("worst_share", worstShare), fact.Number("statements", len(p.statements)), fact.Flag("delta", p.delta),
	}
	if p.took > 0 {
		f.Facts = append(f.Facts, fact.Dur("measured", p.took))
	}
	f.Tables = []checks.Table{p.table("statements", p.slow, texts), p.table("busiest", p.busiest, texts)}
	return f
}

func (p picked) table(name string, statements []statement, texts map[statementKey]string) checks.Table {
	t := checks.Table{Name: name, Columns: []checks.Column{
		{Name: "calls", Type: fact.Count}, {Name: "total", Type: fact.Duration}, {Name: "mean", Type: fact.Duration}, {Name: "stddev", Type: fact.Duration},
		{Name: "rows", Type: fact.Count}, {Name: "share", Type: fact.Percent}, {Name: "query", Type: fact.Text},
	}}
	for _, x := range statements {
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(x.Calls), fact.DurValue(ms(x.Total)), fact.DurValue(ms(x.Mean)), fact.DurValue(ms(x.Stddev)),
			fact.NumberValue(x.Rows), fact.PctValue(p.share(x)), fact.WordValue(texts[x.key()]),
		})
	}
	return t
}

// ms is a duration that the server gives as milliseconds.
func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
