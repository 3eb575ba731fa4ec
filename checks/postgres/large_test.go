package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// twentyThousand is a database of 20,000 tables, each with a primary key and a
// TOAST table, every tenth with a sequence: 82,000 relations, on a server of
// its own that takes 600 connections.
func twentyThousand(tb testing.TB) pgtest.DB {
	tb.Helper()
	server := ownServer(tb, pgserver.Options{Settings: map[string]string{"max_connections": "600", "shared_buffers": "512MB", "max_locks_per_transaction": "128", "autovacuum": "off"}})
	db := pgtest.DB{Server: server, Name: "postgres", DSN: server.DSN("postgres")}
	db.Exec(tb, "CREATE EXTENSION pg_stat_statements", `DO $$ BEGIN FOR i IN 1..20000 LOOP
		EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY %s, pad text)', i, CASE WHEN i % 10 = 0 THEN 'GENERATED ALWAYS AS IDENTITY' ELSE '' END);
		IF i % 200 = 0 THEN COMMIT; END IF; END LOOP; END $$`,
		"INSERT INTO t1 SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i")
	for _, catalogue := range []string{"pg_class", "pg_index", "pg_attribute", "pg_depend", "pg_sequence", "pg_type", "pg_attrdef"} {
		db.Exec(tb, "VACUUM ANALYZE "+catalogue) // as autovacuum would
	}
	return db
}

// connected opens sessions that idle, some of them in a transaction and one of
// those in the way of ten others, as an incident has them.
func connected(tb testing.TB, db pgtest.DB, n int) {
	tb.Helper()
	root := sessionWith(tb, db.DSN, "BEGIN", "UPDATE t1 SET pad = 'y' WHERE id = 1")
	tb.Cleanup(func() { root.Close(context.Background()) }) //nolint:errcheck // the server is stopped
	for i := range n {
		conn, err := pgx.Connect(tb.Context(), db.DSN+fmt.Sprintf(" application_name=app-%d", i%7))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // the server is stopped
		switch {
		case i < 10:
			go conn.Exec(context.Background(), "UPDATE t1 SET pad = 'z' WHERE id = 1") //nolint:errcheck // waits until the end
		case i%20 == 0:
			if _, err := conn.Exec(tb.Context(), "BEGIN; SELECT count(*) FROM t1"); err != nil {
				tb.Fatal(err)
			}
		}
	}
	eventually(tb, sessionWith(tb, db.DSN), "ten wait", "count(*) = 10 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
}

// BenchmarkPolling polls each module against 20,000 tables and 500
// connections. "server-ms/op" is the processor time of the session for one
// poll, of all its statements: what it costs the server, and steadier than the
// clock, which is ns/op. "core-%" is that time over the interval at which the
// pane polls: the share of one core.
func BenchmarkPolling(b *testing.B) {
	db := twentyThousand(b)
	connected(b, db, 500)
	env := envFor(b, db.DSNAs(monitor))
	for _, m := range polled() {
		check, problems := checks.NewCheck(m, m.Name, nil, checks.Rules{})
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		runner := checks.NewRunner(env, nil)
		warm := runner.Run(b.Context(), check)
		if warm.Err != "" && warm.Level != checks.Skipped && warm.Class != checks.NoData && warm.Class != checks.Denied {
			b.Fatalf("%s: %s", m.Name, warm.Err)
		}
		settings, _ := serverOf(b, env).Settings()
		b.Run(m.Name, func(b *testing.B) {
			before := processorTime(b, settings.PID)
			for b.Loop() {
				runner.Run(b.Context(), check)
			}
			each := float64(processorTime(b, settings.PID)-before) / float64(b.N)
			b.ReportMetric(each, "server-ms/op")
			b.ReportMetric(100*each/float64(check.Interval()/time.Millisecond), "core-%")
		})
	}
}

// processorTime is what a process has used, in milliseconds.
func processorTime(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip(err) // of another host
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	ticks := 0
	for _, i := range []int{11, 12} { // utime and stime, behind pid and name
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return ticks * 10 // 100 ticks a second on every Linux
}
