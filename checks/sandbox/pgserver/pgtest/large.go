package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// Large is a database of 20,000 tables, each with a primary key and a TOAST
// table, every tenth with a sequence: 82,000 relations, on a server of its own
// that takes 600 connections. It takes half a minute to make.
func Large(tb testing.TB) DB {
	tb.Helper()
	server, err := pgserver.Start(context.Background(), pgserver.Options{Dir: Dir(tb), Settings: map[string]string{
		"max_connections": "600", "shared_buffers": "512MB", "max_locks_per_transaction": "128", "autovacuum": "off",
	}})
	if err != nil {
		Missing(tb, err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Error(err)
		}
	})
	db := DB{Server: server, Name: "postgres", DSN: server.DSN("postgres")}
	db.Exec(tb, "CREATE EXTENSION pg_stat_statements", `DO $$ BEGIN FOR i IN 1..20000 LOOP
		EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY %s, pad text)', i, CASE WHEN i % 10 = 0 THEN 'GENERATED ALWAYS AS IDENTITY' ELSE '' END);
		IF i % 200 = 0 THEN COMMIT; END IF; END LOOP; END $$`,
		"INSERT INTO t1 SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i")
	for _, catalogue := range []string{"pg_class", "pg_index", "pg_attribute", "pg_depend", "pg_sequence", "pg_type", "pg_attrdef", "pg_constraint"} {
		db.Exec(tb, "VACUUM ANALYZE "+catalogue) // as autovacuum would
	}
	return db
}

// Crowd opens n sessions to a large database, as an incident has them: most
// idle, one in twenty in a transaction, ten waiting for a row that one more has
// changed.
func Crowd(tb testing.TB, db DB, n int) {
	tb.Helper()
	open := func(app string, statements ...string) *pgx.Conn {
		conn, err := pgx.Connect(context.Background(), db.DSN+" application_name="+app)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // the server is stopped
		for _, sql := range statements {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				tb.Fatal(err)
			}
		}
		return conn
	}
	open("root", "BEGIN", "UPDATE t1 SET pad = 'y' WHERE id = 1")
	for i := range n {
		app := fmt.Sprint("app-", i%7)
		switch {
		case i < 10:
			conn := open(app)
			go conn.Exec(context.Background(), "UPDATE t1 SET pad = 'z' WHERE id = 1") //nolint:errcheck // waits until the end
		case i%20 == 0:
			open(app, "BEGIN", "SELECT count(*) FROM t1")
		default:
			open(app)
		}
	}
	look, waiting := open("look"), 0
	for until := time.Now().Add(20 * time.Second); waiting != 10; time.Sleep(20 * time.Millisecond) {
		if err := look.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&waiting); err != nil || time.Now().After(until) {
			tb.Fatalf("%d of ten wait: %v", waiting, err)
		}
	}
}

// ProcessorTime is what a process of this host has used; false if there is none.
func ProcessorTime(pid int) (time.Duration, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	ticks := 0
	for _, i := range []int{11, 12} { // utime and stime, behind pid and name
		n, err := strconv.Atoi(string(fields[i]))
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, true // 100 ticks a second on every Linux
}
