package system

import (
	"context"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// Bounds on the time between the two readings of a rate. Below the least the
// counters' own resolution (10 ms ticks) shows; beyond the most the mean says
// nothing about now, and the counters are read twice instead.
const (
	leastSpan = 200 * time.Millisecond
	mostSpan  = 2 * time.Minute

	// leastData is the least time over which a rate is judged: a burst of a
	// second says nothing. It is two readings of the monitor.
	leastData = 4 * time.Second
)

// sampleParam is the parameter of every module that reports rates.
var sampleParam = checks.Param{
	Name: "sample", Type: checks.DurationParam, Default: 500 * time.Millisecond, Check: checkSample,
	Doc: "time between two readings of the counters when no earlier reading is known",
}

func checkSample(value any) error {
	if d, ok := value.(time.Duration); ok && (d < leastSpan || d > time.Minute) {
		return checks.Failed(checks.Limit, "a sample takes between %s and 1m", leastSpan)
	}
	return nil
}

// A reading is a set of counters and the time they were read at.
type reading[T any] struct {
	at     time.Time
	values T
}

// span is two readings, from which rates are made.
type span[T any] struct{ before, after reading[T] }

// over is the length of the span, for a finding.
func (s span[T]) over() time.Duration { return s.after.at.Sub(s.before.at) }

// seconds is the length of the span.
func (s span[T]) seconds() float64 { return s.after.at.Sub(s.before.at).Seconds() }

// twice returns the counters as they are and as they were: as the check's
// Memory knows them, at least leastData ago where it knows them so long, or by
// reading twice with the parameter "sample" between.
func twice[T any](ctx context.Context, env checks.Env, args checks.Args, key string, read func() (T, error)) (span[T], error) {
	values, err := read()
	if err != nil {
		return span[T]{}, err
	}
	now := reading[T]{env.Now(), values}
	first, ok := checks.Baseline(env.Memory, key, checks.Reading[T]{At: now.at, Values: values}, leastData, mostSpan, nil)
	before := reading[T]{first.At, first.Values}
	if !ok || now.at.Sub(before.at) < leastSpan {
		before = now
		if now, err = again(ctx, env, args, read); err != nil {
			return span[T]{}, err
		}
		checks.Keep(env.Memory, key, checks.Reading[T]{At: now.at, Values: now.values})
	}
	if !now.at.After(before.at) {
		return span[T]{}, errStill
	}
	return span[T]{before, now}, nil
}

// errStill is the answer when no time passed between two readings.
var errStill = checks.Failed(checks.NoData, "the clock did not move between two readings")

// again waits and reads once more.
func again[T any](ctx context.Context, env checks.Env, args checks.Args, read func() (T, error)) (reading[T], error) {
	if err := pause(ctx, args.Duration("sample")); err != nil {
		return reading[T]{}, err
	}
	values, err := read()
	return reading[T]{env.Now(), values}, err
}

// pause waits for d, or for as much of it as leaves the check time to answer.
func pause(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline)*3/4)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// grown is by how much a counter went up; a counter that went back (a device
// replaced, a driver reloaded, iowait) counts as not grown.
func grown(before, after uint64) float64 {
	if after < before {
		return 0
	}
	return float64(after - before)
}

// share is part of whole in percent, 0 of nothing.
func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return 100 * part / whole
}

// tidy rounds to three digits after the point, so that JSON stays short.
func tidy(n float64) float64 { return math.Round(n*1000) / 1000 }
