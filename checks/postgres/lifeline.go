package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// An incarnation is one life of one server behind the connection's address.
type incarnation struct {
	Started  time.Time  // of the postmaster
	Memory   *time.Time // of the oldest auxiliary process; nil to a role that may not see it
	Recovery bool       // a standby
}

// incarnationSQL: when a backend dies by a signal or a crash, the postmaster
// stays and starts every other process anew, so its own start says nothing.
const incarnationSQL = `
SELECT pg_postmaster_start_time(), (SELECT min(backend_start) FROM pg_stat_activity WHERE backend_type IN ('checkpointer', 'background writer')),
       pg_is_in_recovery()`

// became says what happened between two looks; "" if nothing did.
func (i incarnation) became(now incarnation) string {
	what := ""
	switch {
	case !now.Started.Equal(i.Started):
		what = "the server was restarted at " + now.Started.UTC().Format(time.RFC3339)
	case i.Memory != nil && now.Memory != nil && !now.Memory.Equal(*i.Memory):
		what = "a server process crashed: the server dropped every session and recovered at " + now.Memory.UTC().Format(time.RFC3339)
	}
	role := ""
	switch {
	case i.Recovery && !now.Recovery:
		role = "a failover: what answers here was a standby and is the primary now"
	case !i.Recovery && now.Recovery:
		role = "a failover: what answers here was the primary and is a standby now"
	}
	if what != "" && role != "" {
		return what + "; " + role
	}
	return what + role
}

// remarkable is how long a restart or a failover is told of.
const remarkable = 10 * time.Minute

// lifeline keeps the last incarnation and what was noticed since. Its zero
// value is ready.
type lifeline struct {
	mu     sync.Mutex
	known  bool
	last   incarnation
	event  string
	at     time.Time
	number int // of events
}

func (l *lifeline) notice(now incarnation, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known {
		if what := l.last.became(now); what != "" {
			l.event, l.at = what, at
			l.number++
		}
	}
	l.last, l.known = now, true
}

// recent is the last event, if it was noticed in the last minutes.
func (l *lifeline) recent(now time.Time) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number == 0 || now.Sub(l.at) > remarkable {
		return "", false
	}
	return l.event + " (noticed " + fact.FormatDuration(now.Sub(l.at).Round(time.Second)) + " ago)", true
}

// noticeLife looks which server answers, within a transaction of its own caller.
func (s *Server) noticeLife(ctx context.Context, r *reading) (incarnation, error) {
	now, err := row[incarnation](ctx, r, incarnationSQL)
	if err == nil {
		s.lives.notice(now, s.now())
	}
	return now, err
}
