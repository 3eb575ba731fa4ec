package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// sessionCap is what the package may hold at most: the polling session, one
	// of an action, and one of the emergency connection.
	sessionCap = 3
	// longestLockWait is lock_timeout and what a busy machine adds to it.
	longestLockWait = 50*time.Millisecond + 250*time.Millisecond
)

// A watchman looks from the server's side, as often as it can, how many
// sessions the package has in a database and how long one that polls waits for
// a lock. What an action waits for it was told to wait for.
type watchman struct {
	mu       sync.Mutex
	sessions int
	wait     time.Duration
	looks    int
}

const watchmanSQL = `
SELECT count(*)::int, coalesce(max(extract(epoch FROM clock_timestamp() - coalesce(l.waitstart, a.state_change))) FILTER (WHERE l.pid IS NOT NULL AND a.application_name = $1), 0)::float8
FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid AND NOT l.granted
WHERE a.application_name LIKE 'opsdeck/%' AND a.backend_type = 'client backend' AND a.datname = current_database()`

// watched watches a scene to its end, and holds it to the manners: no more
// sessions than may be open, nobody's lock waited for longer than promised.
func watched(t *testing.T, dsn string, most int) {
	t.Helper()
	w := &watchman{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			w.session(ctx, dsn)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if w.looks == 0 || most > sessionCap || w.sessions > most || w.wait > longestLockWait {
			t.Errorf("in %d looks the package held up to %d sessions (may: %d) and waited %s for a lock (may: %s)", w.looks, w.sessions, most, w.wait, longestLockWait)
		}
	})
	for until := time.Now().Add(10 * time.Second); w.lookedOften() == 0 && time.Now().Before(until); {
		time.Sleep(time.Millisecond) // until it is at its post
	}
}

func (w *watchman) lookedOften() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks
}

// session looks until the session breaks, as it does when a scene crashes the
// server; the next one is opened then.
func (w *watchman) session(ctx context.Context, dsn string) {
	conn, err := pgx.Connect(ctx, dsn+" application_name=watchman")
	if err != nil {
		time.Sleep(5 * time.Millisecond) // between attempts at a server that starts
		return
	}
	defer conn.Close(context.Background()) //nolint:errcheck // it may be broken
	for ctx.Err() == nil {
		var sessions int
		var wait float64
		if err := conn.QueryRow(ctx, watchmanSQL, applicationName()).Scan(&sessions, &wait); err != nil {
			return
		}
		w.mu.Lock()
		w.sessions, w.wait, w.looks = max(w.sessions, sessions), max(w.wait, seconds(wait)), w.looks+1
		w.mu.Unlock()
		time.Sleep(time.Millisecond) // it must not be the load
	}
}
