package supervisor

import (
	"context"
	"maps"
	"slices"
	"time"
)

// recoverEvery is how often a record that failed is tried again.
const recoverEvery = 2 * time.Second

// recovers tries to make a run that cannot be recorded go on: when the record
// takes events again, its clients are sent away and come back to a run that is
// read afresh. It reports whether the run is over.
func (s *server) recovers(r *drivenRun, last *time.Time) bool {
	if s.o.Recover == nil || r.local.Err() == nil || time.Since(*last) < recoverEvery {
		return false
	}
	*last = time.Now()
	if err := s.o.Recover(); err != nil {
		s.o.Log.Warn("the record still takes nothing", "run", r.key, "error", err)
		return false
	}
	s.o.Log.Info("the record takes events again", "run", r.key)
	s.opening.Lock()
	r.local.Close() //nolint:errcheck // it says again why it could not be recorded
	s.mu.Lock()
	clients := slices.Collect(maps.Keys(r.clients))
	s.forget(r)
	s.mu.Unlock()
	s.opening.Unlock()
	for _, c := range clients {
		c.end()
	}
	return true
}

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
