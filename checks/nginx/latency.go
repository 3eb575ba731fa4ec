package nginx

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Latency takes percentiles of the request times that nginx itself measured.
var Latency = module(checks.Module{
	Name:   "nginx.latency",
	Doc:    "Takes percentiles of the request times in nginx's access log, rotated and gzipped files included",
	Params: []checks.Param{windowParam("7d")},
	Facts: withReadFacts(
		fact.Spec{Name: "p50", Type: fact.Duration, Worse: fact.Higher, Doc: "half of the requests took at most this long"},
		fact.Spec{Name: "p95", Type: fact.Duration, Worse: fact.Higher, Doc: "95 of 100 requests took at most this long"},
		fact.Spec{Name: "p99", Type: fact.Duration, Worse: fact.Higher, Doc: "99 of 100 requests took at most this long"},
		fact.Spec{Name: "max", Type: fact.Duration, Worse: fact.Higher, Doc: "the slowest request"},
		fact.Spec{Name: "samples", Type: fact.Count, Unit: "requests", Doc: "requests with a time"},
		fact.Spec{Name: "absent", Type: fact.Percent, Worse: fact.Higher, Doc: "share of requests without a time"},
	),
	Warn: "p95 > 500ms or absent > 10% or skipped > 5% or gaps > 0", Fail: "p95 > 2s", Source: "proposed",
	Timeout: 60 * time.Second, Every: 10 * time.Minute,
	Example: "use: nginx.latency\nwith: {window: 7d}",
	Run:     runLatency,
})

// A histogram counts request times in nginx's own unit, the millisecond; from
// ten seconds on in tenths of a second, so that its size is bounded.
type histogram struct {
	counts map[int64]int64
	total  int64
	most   int64
}

func (h *histogram) add(ms int64) {
	h.most = max(h.most, ms)
	if ms > 10_000 {
		ms -= ms % 100
	}
	h.counts[ms]++
	h.total++
}

// at is the smallest time that the given share of requests did not exceed.
func (h *histogram) at(share float64) time.Duration {
	rank := int64(math.Ceil(share * float64(h.total)))
	var seen int64
	for _, ms := range slices.Sorted(maps.Keys(h.counts)) {
		if seen += h.counts[ms]; seen >= rank {
			return time.Duration(ms) * time.Millisecond
		}
	}
	return time.Duration(h.most) * time.Millisecond
}

// longest is the longest time that is believed.
const longest = 24 * 60 * 60 * 1000

// milliseconds reads nginx's seconds with a fraction; "-" and texts are none.
func milliseconds(text string) (int64, bool) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0) || seconds*1000 > longest {
		return 0, false
	}
	return int64(math.Round(seconds * 1000)), true
}

func runLatency(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	field := cmp.Or(env.Site.Nginx.Latency, "request_time")
	h := histogram{counts: map[int64]int64{}}
	var all int64
	now := clock(env)
	reading, err := requests(ctx, env, now.Add(-args.Duration("window")), now, func(r *request) {
		all++
		if ms, ok := milliseconds(r.fields[field]); ok {
			h.add(ms)
		}
	})
	if err != nil {
		return checks.Findings{}, err
	}
	if h.total == 0 {
		return checks.Findings{}, checks.Failed(checks.NoData, "none of %d requests has a time in $%s: write the log_format that has it under nginx.format", all, field)
	}
	p95 := h.at(0.95)
	return checks.Findings{
		Note: fmt.Sprintf("p95 %s of %d requests", fact.FormatDuration(p95), h.total),
		Facts: append(reading.Facts, fact.Dur("p50", h.at(0.5)), fact.Dur("p95", p95), fact.Dur("p99", h.at(0.99)),
			fact.Dur("max", time.Duration(h.most)*time.Millisecond), fact.Number("samples", h.total), fact.Pct("absent", share(all-h.total, all))),
		Detail: reading.Detail, NotUnderstood: reading.NotUnderstood,
	}, nil
}
