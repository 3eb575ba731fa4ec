package checks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// DefaultWait is how long a headless command waits for enough data, all its
// checks together.
const DefaultWait = 5 * time.Second

// A Reading is the counters of one sample and when they were read.
type Reading[T any] struct {
	At     time.Time
	Values T
}

// Baseline keeps the reading for later runs of the check and returns the one
// to compare it with: the newest that is at least least older, else the oldest
// there is. Readings older than window, or that the new one does not follow
// from (a reset, a restart, a device replaced), are dropped. It is false where
// there is none.
func Baseline[T any](
	m *Memory, key string, now Reading[T], least, window time.Duration, follows func(older, newer T) bool,
) (Reading[T], bool) {
	kept, _ := Remembered[[]Reading[T]](m, key)
	var usable []Reading[T]
	for _, r := range kept {
		age := now.At.Sub(r.At)
		switch {
		case age <= 0 || age > window || follows != nil && !follows(r.Values, now.Values):
			usable = nil
		case age >= least && len(usable) == 1:
			usable[0] = r // what is older is not needed any more
		default:
			usable = append(usable, r)
		}
	}
	Remember(m, key, append(slices.Clone(usable), now))
	if len(usable) == 0 {
		return Reading[T]{}, false
	}
	return usable[0], true
}

// Keep keeps a reading for later runs of the check, as Baseline does.
func Keep[T any](m *Memory, key string, now Reading[T]) {
	kept, _ := Remembered[[]Reading[T]](m, key)
	Remember(m, key, append(slices.Clone(kept), now))
}

// NeedsData is the least time of data for a verdict of this check: the
// module's, or the check's own parameter "window" where that is shorter.
func (c Check) NeedsData() time.Duration {
	if c.Module == nil {
		return 0
	}
	least := c.Module.Least
	if _, ok := c.Module.Param("window"); ok {
		if window := c.Args.Duration("window"); window > 0 {
			least = min(least, window)
		}
	}
	return least
}

// measured puts into the result over what time its figures are. enough is false
// where that is too short for a verdict; the result then says so.
func (r *Runner) measured(c Check, res *Result, f Findings) (enough bool) {
	res.Over = f.Over
	if !f.Since.IsZero() {
		res.Since = f.Since
		res.Note = r.line(strings.TrimPrefix(res.Note+", since the statistics were reset "+
			fact.FormatDuration(res.At.Sub(f.Since).Round(time.Second))+" ago", ", "), maxNoteCells)
	} else if f.Over > 0 && !strings.Contains(res.Note, " over ") {
		res.Note = r.line(strings.TrimPrefix(res.Note+", over "+rounded(f.Over), ", "), maxNoteCells)
	}
	need := c.NeedsData()
	if f.Over == 0 || f.Over >= need {
		return true
	}
	res.Collecting, res.Level, res.Class = true, Unknown, NoData
	res.Err = fmt.Sprintf("only %s of data, needs %s", rounded(f.Over), fact.FormatDuration(need))
	if r.Env().Wait == 0 {
		res.Err = fmt.Sprintf("collecting %.0f/%.0f s", f.Over.Seconds(), need.Seconds())
	}
	return false
}

func rounded(d time.Duration) string { return fact.FormatDuration(d.Round(100 * time.Millisecond)) }

// margin is what a second sample is taken later than needed, because clocks of
// two machines and of two calls differ.
const margin = 100 * time.Millisecond

// untilEnough runs a check again until it has enough data, as long as the
// Runner may wait. It holds no slot meanwhile, so that any number of checks
// wait together.
func (r *Runner) untilEnough(ctx context.Context, c Check, res Result) Result {
	for left := r.Env().Wait; res.Collecting && left > 0; {
		pause := min(left, max(margin, c.NeedsData()-res.Over+margin))
		left -= pause
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return res
		}
		res = r.once(ctx, c, true)
	}
	return res
}
