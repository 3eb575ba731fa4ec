package postgres

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// The share of a core that a session takes is measured at its process, where
// that is of this host.
func TestTheProcessorOfASessionIsMeasuredBetweenTwoLooks(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	env.Root = "/"
	busy := sessionWith(t, server.DSN("postgres"))
	asleep := sessionWith(t, server.DSN("postgres"), "BEGIN")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		busy.PgConn().Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 1000000000)").ReadAll() //nolint:errcheck // it is cancelled
	}()
	t.Cleanup(func() { <-ended })
	watch := sessionWith(t, server.DSN("postgres"))
	eventually(t, watch, "it works", "state = 'active' FROM pg_stat_activity WHERE pid = $1", busy.PgConn().PID())
	sessions := repeated(t, env, Sessions, nil)
	if first := processorOf(t, sessions.run(t), busy); !math.IsNaN(first.Num) {
		t.Errorf("at the first look it is %v", first)
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(300 * time.Millisecond) { // a busy machine gives it little
		res := sessions.run(t)
		working, idle := processorOf(t, res, busy), processorOf(t, res, asleep)
		if working.Num > 10 && idle.Num < working.Num {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the busy one has %v, the sleeping one %v", working, idle)
		}
	}
	remote := env
	remote.Root = t.TempDir() // where no process is
	if cell := processorOf(t, run(t, remote, Sessions, nil), busy); cell != none {
		t.Errorf("a process that is not of this host has %v", cell)
	}
	if _, err := watch.Exec(t.Context(), "SELECT pg_cancel_backend($1)", busy.PgConn().PID()); err != nil {
		t.Fatal(err)
	}
}

// processorOf is the cell of a session.
func processorOf(t *testing.T, res checks.Result, conn *pgx.Conn) fact.Value {
	t.Helper()
	table, _ := res.Table("sessions")
	at := slices.IndexFunc(table.Columns, func(c checks.Column) bool { return c.Name == "cpu" })
	for _, row := range table.Rows {
		if row[0].String() == pidOf(conn) && at >= 0 {
			return row[at]
		}
	}
	t.Fatalf("no session %s: %s", pidOf(conn), res.Err)
	return fact.Value{}
}
