package postgres

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// standbyOf makes a streaming standby of a server, stopped when the test ends.
func standbyOf(t *testing.T, primary *pgserver.Server, settings map[string]string) *pgserver.Server {
	t.Helper()
	bin, err := pgserver.Find()
	if err != nil {
		pgtest.Missing(t, err)
	}
	dir := pgtest.Dir(t)
	if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_basebackup"), "-d", primary.DSN("postgres"), "-D", filepath.Join(dir, "data"),
		"-R", "-X", "stream", "-c", "fast").CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	copied, err := pgserver.Start(context.Background(), pgserver.Options{Dir: dir, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := copied.Stop(); err != nil {
			t.Error(err)
		}
	})
	return copied
}

// noneNegative holds all facts and cells of results to it: a counter that was
// set to zero makes no negative rate.
func noneNegative(t *testing.T, results map[string]checks.Result) {
	t.Helper()
	for name, res := range results {
		for _, f := range res.Facts {
			if f.Type.Numeric() && f.Num < 0 && !strings.HasSuffix(f.Name, "_growth") {
				t.Errorf("%s: %s is %v", name, f.Name, f.Num)
			}
		}
		for _, table := range res.Tables {
			for _, row := range table.Rows {
				for i, cell := range row {
					if cell.Type.Numeric() && cell.Type != fact.Time && cell.Num < 0 && table.Columns[i].Name != "growth" {
						t.Errorf("%s: %s of %s is %v", name, table.Columns[i].Name, table.Name, cell.Num)
					}
				}
			}
		}
	}
}

// wellPolled polls everything, and wants an answer from every module that has
// something to look at.
func wellPolled(t *testing.T, what string, env checks.Env) map[string]checks.Result {
	t.Helper()
	results := pollAll(t, env)
	for name, res := range results {
		if res.Err != "" && res.Level != checks.Skipped {
			t.Errorf("%s, %s: %s", name, what, res.Err)
		}
	}
	return results
}

// A standby is polled like a primary, and is noticed when it has become one.
func TestAPromotionIsNoticed(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"max_wal_senders": "4"}
	primary := ownServer(t, pgserver.Options{Settings: settings})
	sessionWith(t, primary.DSN("postgres"), "CREATE EXTENSION pg_stat_statements", "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 1000)")
	copied := standbyOf(t, primary, settings)
	dsn := copied.DSN("postgres")
	watched(t, dsn, 1)
	env := envFor(t, copied.DSNAs(monitor, "postgres"))
	wellPolled(t, "on a standby", env)
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	watch := sessionWith(t, dsn, "SELECT pg_promote()")
	eventually(t, watch, "it is promoted", "NOT pg_is_in_recovery()")
	res := run(t, env, Ping, nil)
	expect(t, res, checks.Warn, "")
	contains(t, factText(res, "event"), "a failover: what answers here was a standby and is the primary now")
	noneNegative(t, wellPolled(t, "after its promotion", env))
}

// Somebody resets every statistic while the pane is open.
func TestAResetOfEverythingSpoilsNoFrame(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	dsn := server.DSN("postgres")
	work := sessionWith(t, dsn, "CREATE EXTENSION pg_stat_statements", "CREATE TABLE t (id int PRIMARY KEY, pad text)", "GRANT SELECT ON t TO "+monitor, "ANALYZE")
	busy := func() {
		t.Helper()
		if _, err := work.PgConn().Exec(t.Context(), "INSERT INTO t SELECT g, 'x' FROM generate_series((SELECT count(*) FROM t) + 1, (SELECT count(*) FROM t) + 2000) g; CHECKPOINT; ANALYZE t; SELECT count(*) FROM t").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	watched(t, dsn, 1)
	busy()
	wellPolled(t, "before", env)
	statements := repeated(t, env, Statements, nil)
	statements.run(t)
	busy()
	if _, err := work.PgConn().Exec(t.Context(), "SELECT pg_stat_reset(); SELECT pg_stat_reset_shared('bgwriter'); SELECT pg_stat_reset_shared('wal'); SELECT pg_stat_statements_reset()").ReadAll(); err != nil {
		t.Fatal(err)
	}
	if res := statements.run(t); !flag(t, res, "reset") {
		t.Errorf("the reset is not told: %v", res.Facts)
	}
	noneNegative(t, wellPolled(t, "after the reset", env))
	busy()
	noneNegative(t, wellPolled(t, "later", env))
}

// A session with bytes of no encoding and escapes in all that it may name is
// in every view, and harms none.
func TestEveryPollWithHostileBytes(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	sessionWith(t, server.DSN("postgres"), "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'", "CREATE EXTENSION pg_stat_statements")
	dsn := server.DSN("bytes")
	watched(t, dsn, 1)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // done with it
	for _, sql := range []string{"SET client_encoding = 'SQL_ASCII'", "SET application_name = E'\\x1b[31m''; DROP TABLE x; --'", "CREATE EXTENSION pg_stat_statements",
		"CREATE TABLE \"ta\x1b[2Jble\xff\" (id int PRIMARY KEY, pad text)", "INSERT INTO \"ta\x1b[2Jble\xff\" SELECT g, 'x' FROM generate_series(1, 1000) g", "CREATE INDEX \"in\x1b]0;x\x07dex\xfe\" ON \"ta\x1b[2Jble\xff\" (id)",
		"CREATE SEQUENCE \"se\x1bq\xff\"", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + monitor, "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO " + monitor, "ANALYZE", "BEGIN", "LOCK TABLE \"ta\x1b[2Jble\xff\" IN ACCESS EXCLUSIVE MODE", "SELECT 'caf\xe9 \x1b]0;owned\x07 \xff' AS bytes"} {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%q: %v", sql, err)
		}
	}
	results := wellPolled(t, "with hostile bytes", envFor(t, server.DSNAs(monitor, "bytes")))
	for name, res := range results {
		all := res.Note + strings.Join(res.Detail, "")
		for _, table := range res.Tables {
			all += cells(t, res, table.Name)
		}
		if strings.ContainsAny(all, "\x1b\x07") || strings.ToValidUTF8(all, "!") != all {
			t.Errorf("%s lets a byte through:\n%q", name, all)
		}
	}
	contains(t, cells(t, results["pg.sessions"], "sessions"), "DROP TABLE x", "caf\uFFFD")
}

// largeEnv makes the tests run that take a minute to build their scene.
const largeEnv = "OPSDECK_LARGE"

// TestEveryPollOfTwentyThousandTables: nothing is cut short by a deadline, and
// nobody's lock is waited for.
func TestEveryPollOfTwentyThousandTables(t *testing.T) {
	if os.Getenv(largeEnv) == "" {
		t.Skip(largeEnv + " is not set")
	}
	db := pgtest.Large(t)
	makeRoles(t, db.Server)
	db.Exec(t, "GRANT pg_read_all_data TO "+monitor, "ANALYZE t1")
	sessionWith(t, db.DSN, "BEGIN", "LOCK TABLE t1, t2, t3 IN ACCESS EXCLUSIVE MODE")
	watched(t, db.DSN, 1)
	env := envFor(t, db.DSNAs(monitor))
	wellPolled(t, "of 20,000 tables", env)
	res := run(t, env, Tables, nil)
	if n := num(t, res, "tables", ""); n != 20000 {
		t.Errorf("%v tables", n)
	}
	if num(t, res, "estimated", "public.t1") != 1 {
		t.Error("a locked table is measured")
	}
}
