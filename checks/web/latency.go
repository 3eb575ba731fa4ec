package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Latency asks an address several times. One sample with name lookup and TLS
// start-up in it is not a response time, and a fast error would look best.
var Latency = module(checks.Module{
	Name:  "http.latency",
	Doc:   "Percentiles of the time an address takes to answer rightly, over several requests",
	Reach: checks.Network,
	Params: append(slices.Clone(requestParams),
		checks.Param{Name: "samples", Type: checks.NumberParam, Default: 10.0, Check: checkSamples, Doc: "how many requests, one after the other"},
	),
	Facts: []fact.Spec{
		{Name: "p50", Type: fact.Duration, Worse: fact.Higher, Doc: "half of the answers were quicker"},
		{Name: "p95", Type: fact.Duration, Worse: fact.Higher, Usual: true, Doc: "95 % of the answers were quicker"},
		{Name: "p99", Type: fact.Duration, Worse: fact.Higher, Doc: "99 % of the answers were quicker"},
		{Name: "min", Type: fact.Duration, Doc: "the quickest answer"},
		{Name: "max", Type: fact.Duration, Worse: fact.Higher, Doc: "the slowest answer"},
		{Name: "first", Type: fact.Duration, Doc: "the first answer, which finds caches cold"},
		{Name: "samples", Type: fact.Count, Unit: "answers", Doc: "answers that were right and are counted"},
		{Name: "failed", Type: fact.Count, Unit: "answers", Worse: fact.Higher, Doc: "answers that were wrong or did not come"},
	},
	Warn: "p95 > 500ms", Fail: "p95 > 2s", Source: "proposed",
	Timeout: 30 * time.Second, Every: time.Minute,
	Example: "use: http.latency\nwith: {url: https://api.lms.example.com/health, samples: 10}\nfail: p95 > 2s",
	Run:     latency,
})

func checkSamples(value any) error {
	if n, ok := value.(float64); ok && (n < 3 || n > 1000 || n != float64(int(n))) {
		return fmt.Errorf("samples is %v, expected a whole number from 3 to 1000", n)
	}
	return nil
}

// Bounds of the histogram: a microsecond to a minute, three digits.
const (
	least  = 1
	most   = int64(time.Minute / time.Microsecond)
	digits = 3
)

func latency(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Dialer == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	req, err := newRequest(args)
	if err != nil {
		return checks.Findings{}, err
	}
	want, err := parseExpect(args.Map("expect"))
	if err != nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "%w", err)
	}
	wanted := args.Int("samples")
	m, err := measure(ctx, env, req, want, wanted)
	if err != nil {
		return checks.Findings{}, err
	}
	if m.failed > 0 {
		return checks.Findings{Detail: m.wrong}, checks.Failed(checks.NoData, "%d of %d requests were not answered rightly: %s", m.failed, wanted, m.wrong[0])
	}
	return m.report(req.url.Redacted()), nil
}

// measured is what several requests came to.
type measured struct {
	times  *hdrhistogram.Histogram
	first  time.Duration
	failed int
	wrong  []string // why, one line each
}

// measure asks one after the other: side by side they would measure each other.
func measure(ctx context.Context, env checks.Env, req request, want expectation, samples int) (measured, error) {
	m := measured{times: hdrhistogram.New(least, most, digits)}
	for i := range samples {
		each, cancel := context.WithTimeout(ctx, 5*time.Second)
		r := req.fetch(each, env)
		cancel()
		if errors.Is(ctx.Err(), context.Canceled) {
			return m, ctx.Err()
		}
		why := ""
		if r.err != nil {
			why = reason(r.err)
		} else if _, _, wrong := want.judge(r); wrong != "" {
			why = wrong
		}
		if why != "" {
			m.failed++
			m.wrong = append(m.wrong, why)
			if ctx.Err() != nil {
				m.failed += samples - i - 1
				return m, nil
			}
			continue
		}
		if i == 0 {
			m.first = r.total
		}
		if err := m.times.RecordValue(min(r.total.Microseconds(), most)); err != nil {
			return m, fmt.Errorf("recording a response time: %w", err)
		}
	}
	return m, nil
}

func (m measured) report(target string) checks.Findings {
	at := func(q float64) time.Duration {
		return time.Duration(m.times.ValueAtQuantile(q)) * time.Microsecond
	}
	return checks.Findings{
		Target: target,
		Note:   fmt.Sprintf("p50 %s, p95 %s of %d", fact.FormatDuration(at(50)), fact.FormatDuration(at(95)), m.times.TotalCount()),
		Facts: []fact.Fact{
			fact.Dur("p50", at(50)), fact.Dur("p95", at(95)), fact.Dur("p99", at(99)),
			fact.Dur("min", time.Duration(m.times.Min())*time.Microsecond), fact.Dur("max", time.Duration(m.times.Max())*time.Microsecond),
			fact.Dur("first", m.first), fact.Number("samples", m.times.TotalCount()), fact.Number("failed", m.failed),
		},
	}
}
