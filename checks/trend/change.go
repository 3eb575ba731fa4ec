package trend

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Change compares the last days with those before.
var Change = module(checks.Module{
	Name: "trend.change",
	Doc:  "Compares the median of the last days of a kept number with that of the weeks before",
	Params: append(seriesParams(),
		checks.Param{Name: "recent", Type: checks.DurationParam, Default: "7d", Doc: "the last days"},
		checks.Param{Name: "before", Type: checks.DurationParam, Default: "28d", Doc: "the time before them that they are compared with"},
	),
	Facts: []fact.Spec{
		{Name: "change", Type: fact.Percent, Signed: true, Worse: fact.Higher, Doc: "of the recent median against that of before"},
		{Name: "recent", Type: fact.Count, Signed: true, Doc: "the recent median, in the fact's own unit"},
		{Name: "before", Type: fact.Count, Signed: true, Doc: "the median of before"},
		{Name: "days", Type: fact.Count, Unit: "days", Doc: "days with a sample, of both"},
	},
	Warn: "change > 20%", Fail: "change > 50%", Source: "proposed",
	Example: "use: trend.change\nwith: {check: api-latency, fact: p95, unit: duration}",
	Run:     change,
})

// leastRecent and leastBefore are the days with a sample below which a median
// is an accident.
const (
	leastRecent = 3
	leastBefore = 7
)

func change(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	f := checks.Findings{Target: name(args)}
	recent, before := args.Duration("recent"), args.Duration("before")
	samples, err := history(env, args, recent+before)
	if err != nil {
		return f, err
	}
	cut := env.Now().Add(-recent)
	var late, early []checks.Sample
	for _, s := range samples {
		if s.At.Before(cut) {
			early = append(early, s)
		} else {
			late = append(late, s)
		}
	}
	l, e := daily(late), daily(early)
	if len(l) < leastRecent || len(e) < leastBefore {
		return f, checks.Failed(checks.NoData, "history of %s: %d days of the last %s and %d of the %s before have a sample; %d and %d are needed",
			name(args), len(l), fact.FormatDuration(recent), len(e), fact.FormatDuration(before), leastRecent, leastBefore)
	}
	now, then := median(values(l)), median(values(e))
	if then == 0 || math.IsNaN(then) {
		return f, checks.Failed(checks.NoData, "the median of before is 0: there is nothing to compare with")
	}
	by := 100 * (now - then) / math.Abs(then)
	f.Note = fmt.Sprintf("%s in the last %s, %s before: %+.0f %%", written(args, now), fact.FormatDuration(recent.Round(time.Hour)), written(args, then), by)
	f.Facts = []fact.Fact{fact.Pct("change", by), fact.Number("recent", now), fact.Number("before", then), fact.Number("days", len(l)+len(e))}
	return f, nil
}

func values(points []point) []float64 {
	list := make([]float64, len(points))
	for i, p := range points {
		list[i] = p.value
	}
	return list
}
