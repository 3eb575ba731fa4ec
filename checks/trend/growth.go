package trend

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// longest is as far as a projection goes: beyond it, it is not approaching.
const longest = 10 * 365 * day

// Growth projects when a number reaches a limit.
var Growth = module(checks.Module{
	Name: "trend.growth",
	Doc:  "Projects from the kept history when a number reaches its limit, with the earliest and latest day; jumps such as a VACUUM FULL are taken out and named",
	Params: append(seriesParams(),
		checks.Param{Name: "limit", Type: checks.NumberParam, Default: 0.0, Doc: "the number that must not be reached, in the fact's own unit (bytes, percent, milliseconds): 0 for room that is left"},
		checks.Param{Name: "window", Type: checks.DurationParam, Default: "90d", Doc: "how far back to look"},
		checks.Param{Name: "least", Type: checks.DurationParam, Default: "30d", Doc: "how long a history must be before anything is said"},
	),
	Facts: []fact.Spec{
		{Name: "days_left", Type: fact.Duration, Optional: true, Worse: fact.Lower, Doc: "until the limit is reached as things go; absent while it moves away from it, or would take over ten years"},
		{Name: "earliest", Type: fact.Duration, Optional: true, Worse: fact.Lower, Doc: "the same at the pace of the worst twentieth of the pairs of days"},
		{Name: "approaching", Type: fact.Bool, Worse: fact.Higher, Doc: "it moves towards the limit"},
		{Name: "now", Type: fact.Count, Signed: true, Doc: "the newest day's median, in the fact's own unit"},
		{Name: "per_day", Type: fact.Count, Signed: true, Doc: "change a day, jumps left out, in the fact's own unit"},
		{Name: "span", Type: fact.Duration, Doc: "how long a history it is computed from"},
		{Name: "days", Type: fact.Count, Unit: "days", Doc: "days with a sample"},
		{Name: "jumps", Type: fact.Count, Doc: "days on which it jumped, which were left out"},
	},
	Warn: "days_left < 180d", Fail: "days_left < 90d", Source: "guide: plan three to six months ahead",
	Example: "use: trend.growth\nwith: {check: sys.disk, fact: free, label: /, unit: bytes}",
	Run:     growth,
})

func growth(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	f := checks.Findings{Target: name(args)}
	samples, err := history(env, args, args.Duration("window"))
	if err != nil {
		return f, err
	}
	points := daily(samples)
	span := time.Duration(0)
	if len(points) > 1 {
		span = time.Duration((points[len(points)-1].at - points[0].at) * float64(day))
	}
	if least := args.Duration("least"); span < least || len(points) < 5 {
		return f, checks.Failed(checks.NoData, "history of %s: %d days with a sample over %s, and at least %s are needed", name(args), len(points), fact.FormatDuration(span), fact.FormatDuration(least))
	}
	smooth, jumps := level(points)
	pace := slopeOf(smooth)
	now := points[len(points)-1].value
	limit := args.Number("limit")
	left, approaching := until(now, limit, pace.mid)
	f.Facts = []fact.Fact{
		fact.Flag("approaching", approaching), fact.Number("now", now), fact.Number("per_day", pace.mid),
		fact.Dur("span", span), fact.Number("days", len(points)), fact.Number("jumps", len(jumps)),
	}
	f.Note = fmt.Sprintf("%s now, %s a day, over %s", written(args, now), written(args, pace.mid), fact.FormatDuration(span))
	if approaching {
		f.Facts = append(f.Facts, fact.Dur("days_left", left))
		f.Note = fmt.Sprintf("reaches %s in %s; %s", written(args, limit), fact.FormatDuration(left.Round(day)), f.Note)
	}
	worst := pace.low
	if limit > now {
		worst = pace.high
	}
	if soonest, ok := until(now, limit, worst); ok {
		f.Facts = append(f.Facts, fact.Dur("earliest", soonest))
		f.Detail = append(f.Detail, "at the pace of its fastest days in "+fact.FormatDuration(soonest.Round(day)))
	}
	first := samples[0].At.Truncate(day)
	for _, j := range jumps {
		f.Detail = append(f.Detail, fmt.Sprintf("jumped by %s on %s, left out", written(args, j.by), first.Add(time.Duration(j.at)*day).Format(time.DateOnly)))
	}
	return f, nil
}

// until is the time in which a number gets to its limit at a pace a day; false
// if it moves away, stands still, or takes longer than anybody plans. What has
// reached it has no time left.
func until(now, limit, perDay float64) (time.Duration, bool) {
	if now == limit {
		return 0, true
	}
	days := (limit - now) / perDay
	if math.IsNaN(days) || days < 0 || days*float64(day) > float64(longest) {
		return 0, false
	}
	return time.Duration(days * float64(day)), true
}
