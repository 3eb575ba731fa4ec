package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Latency asks an address several times on one connection. A sample with name
// lookup and TLS start-up in it is not a response time, so the first request is
// reported apart; and a fast error would look best, so errors are no samples.
var Latency = module(checks.Module{
	Name:  "http.latency",
	Doc:   "Percentiles of the time an address takes to answer rightly, over several requests",
	Reach: checks.Network,
	Params: append(slices.Clone(requestParams),
		checks.Param{Name: "samples", Type: checks.NumberParam, Default: 10.0, Check: checkSamples, Doc: "how many requests are measured, one after the other, after the one that opens the connection"},
	),
	Facts: []fact.Spec{
		{Name: "p50", Type: fact.Duration, Worse: fact.Higher, Doc: "half of the answers were quicker"},
		{Name: "p95", Type: fact.Duration, Worse: fact.Higher, Usual: true, Doc: "95 % of the answers were quicker"},
		{Name: "p99", Type: fact.Duration, Worse: fact.Higher, Doc: "99 % of the answers were quicker"},
		{Name: "min", Type: fact.Duration, Doc: "the quickest answer"},
		{Name: "max", Type: fact.Duration, Worse: fact.Higher, Doc: "the slowest answer"},
		{Name: "cold", Type: fact.Duration, Optional: true, Doc: "the first answer, with name lookup, connecting and TLS; in none of the others"},
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
	wanted := 1 + args.Int("samples")
	m, err := measure(ctx, env, req, wanted)
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
	times    *hdrhistogram.Histogram // of the warm ones
	cold     reply                   // the first
	reopened int                     // connections that the others had to open
	failed   int
	wrong    []string // why, one line each
}

// measure asks one after the other: side by side they would measure each other.
func measure(ctx context.Context, env checks.Env, req request, requests int) (measured, error) {
	m := measured{times: hdrhistogram.New(least, most, digits)}
	client := req.client(env, true)
	defer client.CloseIdleConnections()
	for i := range requests {
		r, why := req.sample(ctx, client)
		if errors.Is(ctx.Err(), context.Canceled) {
			return m, ctx.Err()
		}
		if i == 0 {
			m.cold = r
		}
		if why != "" {
			m.failed++
			m.wrong = append(m.wrong, why)
			if ctx.Err() != nil {
				m.failed += requests - i - 1
				return m, nil
			}
			continue
		}
		if i == 0 {
			continue
		}
		m.reopened += r.opened
		if err := m.record(r.total - r.waited); err != nil {
			return m, err
		}
	}
	return m, nil
}

// sample makes one request; why is what is wrong with its answer.
func (r request) sample(ctx context.Context, client *http.Client) (got reply, why string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	got = r.fetch(ctx, client)
	if got.err != nil {
		return got, reason(got.err)
	}
	_, _, why = r.want.judge(got)
	return got, why
}

// record takes the time of a request without that of getting a connection: a
// server that closes its connections makes each one cold.
func (m measured) record(took time.Duration) error {
	if err := m.times.RecordValue(min(took.Microseconds(), most)); err != nil {
		return fmt.Errorf("recording a response time: %w", err)
	}
	return nil
}

func (m measured) report(target string) checks.Findings {
	at := func(q float64) time.Duration {
		return time.Duration(m.times.ValueAtQuantile(q)) * time.Microsecond
	}
	f := checks.Findings{
		Target: target, Phases: m.cold.phases,
		Note: fmt.Sprintf("p50 %s, p95 %s of %d", fact.FormatDuration(at(50)), fact.FormatDuration(at(95)), m.times.TotalCount()),
		Facts: []fact.Fact{
			fact.Dur("p50", at(50)), fact.Dur("p95", at(95)), fact.Dur("p99", at(99)),
			fact.Dur("min", time.Duration(m.times.Min())*time.Microsecond), fact.Dur("max", time.Duration(m.times.Max())*time.Microsecond),
			fact.Dur("cold", m.cold.total), fact.Number("samples", m.times.TotalCount()), fact.Number("failed", m.failed),
		},
	}
	if m.reopened > 0 {
		f.Detail = []string{fmt.Sprintf("connections are not kept: %d more were opened, and the time of it left out", m.reopened)}
	}
	return f
}
