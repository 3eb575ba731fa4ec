package supervisor

import (
	"context"
	"maps"
	"slices"
	"time"
)

// jumped is how far the wall clock may move against the monotonic one before
// the record says so.
const jumped = 5 * time.Second

// watchClock records when the wall clock is set. Order in the record is by
// number and durations by the monotonic clock, so nothing else changes.
func (s *server) watchClock(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began := time.Now()
	known := time.Duration(0) // by how much it has moved so far
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		moved := now.Round(0).Sub(began.Round(0)) - now.Sub(began)
		if by := moved - known; by.Abs() > jumped {
			known = moved
			s.clockMoved(by)
		}
	}
}

func (s *server) clockMoved(by time.Duration) {
	s.o.Log.Warn("the wall clock was set", "by", by)
	s.mu.Lock()
	runs := slices.Collect(maps.Values(s.runs))
	s.mu.Unlock()
	for _, r := range runs {
		if err := r.local.ClockMoved(by); err != nil {
			s.o.Log.Warn("recording that the clock was set", "run", r.key, "error", err)
		}
	}
}
