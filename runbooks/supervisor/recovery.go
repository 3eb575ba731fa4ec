package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// How long after a failed attempt the record is tried again: twice as long each
// time, within these bounds. The first attempt comes at the next look.
const (
	recoverLook  = 500 * time.Millisecond
	recoverFirst = time.Second
	recoverMost  = 15 * time.Second
)

// A backoff spaces attempts. Its zero value is due.
type backoff struct {
	wait time.Duration
	next time.Time
}

func (b *backoff) due(now time.Time) bool { return !now.Before(b.next) }

// tried puts the next attempt off, whatever came of this one: what fails again
// at once is not tried ever faster.
func (b *backoff) tried(now time.Time) {
	b.wait = min(max(2*b.wait, recoverFirst), recoverMost)
	b.next = now.Add(b.wait)
}

// rested forgets the failures before when none has come for as long as the last
// wait.
func (b *backoff) rested(now time.Time) {
	if now.Sub(b.next) > b.wait {
		*b = backoff{}
	}
}

// heal makes a record that failed go on: it is reopened and verified, again and
// again with longer and longer waits, and until then every client is told why
// nothing is recorded and when it is tried next. When the record takes events
// again, the runs that it failed in are read afresh, their clients come back to
// them, and what goes on in them without a client is taken up again. What was
// left running and could not be looked for is looked for again, too.
func (s *server) heal(ctx context.Context) {
	if s.o.Recover == nil {
		return
	}
	tick := time.NewTicker(recoverLook)
	defer tick.Stop()
	var b backoff
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		failed, unadopted := s.faults()
		switch {
		case failed == nil && unadopted == nil:
			b.rested(now)
		case !b.due(now):
		case failed != nil:
			b.tried(now)
			s.recover(ctx, failed, b)
		default:
			b.tried(now)
			s.o.Log.Info("looking again for what was left running", "after", unadopted)
			s.takeUp(ctx)
		}
	}
}

// faults are why something cannot be recorded, and why what goes on could not be
// taken up; nil while there is none.
func (s *server) faults() (failed, unadopted error) {
	if err := s.failed(); err != nil {
		return err, nil
	}
	s.mu.Lock()
	runs, unadopted := slices.Collect(maps.Values(s.runs)), s.unadopted
	s.mu.Unlock()
	for _, r := range runs { // without mu: a run asks us who is there while it holds its own lock
		if err := r.local.Err(); err != nil {
			return err, nil
		}
		if unadopted == nil {
			unadopted = r.unadopted
		}
	}
	return nil, unadopted
}

// passing is what may be gone at another attempt: not that recorded events do
// not fit, which stays as it is recorded.
func passing(err error) error {
	var illegal *runbooks.IllegalError
	if errors.As(err, &illegal) {
		return nil
	}
	return err
}

// failed is why the record takes nothing.
func (s *server) failed() error {
	if s.o.Failed == nil {
		return nil
	}
	return s.o.Failed()
}

// fault is why a run cannot go on as it is.
func (r *drivenRun) fault() error {
	if err := r.local.Err(); err != nil {
		return err
	}
	return r.unadopted
}

// recover is one attempt to record again.
func (s *server) recover(ctx context.Context, why error, b backoff) {
	if err := s.o.Recover(); err != nil {
		s.o.Log.Warn("the record still takes nothing", "error", err, "next", b.wait)
		at := b.next.Add(-b.wait).UTC().Format("15:04:05 MST")
		s.trouble(fmt.Sprintf("%v; tried again at %s: %v; next in %v", why, at, err, b.wait))
		return
	}
	s.o.Log.Info("the record takes events again", "after", why)
	s.trouble("")
	s.takeUp(ctx)
}

// takeUp reads the runs with a fault afresh, and goes on with what was left
// running.
func (s *server) takeUp(ctx context.Context) {
	s.renew()
	if ctx.Err() == nil {
		s.adopt(ctx)
	}
}

// trouble tells the clients of every run why nothing is recorded; "": all is.
func (s *server) trouble(why string) {
	s.mu.Lock()
	s.broken = why
	runs := slices.Collect(maps.Values(s.runs))
	s.mu.Unlock()
	for _, r := range runs {
		s.tell(r)
	}
}

// renew closes the runs that could not be recorded. Their clients are sent away
// and come back to runs that are read from the record.
func (s *server) renew() {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	runs := slices.Collect(maps.Values(s.runs))
	s.mu.Unlock()
	for _, r := range runs {
		if r.fault() == nil {
			continue
		}
		if err := r.local.Close(); err != nil && !errors.Is(err, r.local.Err()) {
			s.o.Log.Warn("closing a run that could not be recorded", "run", r.key, "error", err)
		}
		s.mu.Lock()
		clients := slices.Collect(maps.Keys(r.clients))
		s.forget(r)
		s.mu.Unlock()
		close(r.over)
		for _, c := range clients {
			c.end()
		}
	}
}
