package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// slowly makes a table whose index cannot be built while somebody holds the
// advisory lock 42: a rewrite that has copied the table stops there.
var slowly = []string{
	"CREATE FUNCTION gate(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_advisory_lock_shared(42); PERFORM pg_advisory_unlock_shared(42); RETURN n; END'",
	"CREATE TABLE gated AS SELECT i AS id, repeat('x', 200) AS pad FROM generate_series(1, 5000) i",
	"CREATE INDEX gated_idx ON gated (public.gate(id))", "CHECKPOINT",
}

// A backend is killed with SIGKILL in the middle of a VACUUM FULL. The server
// restarts itself, and the copy that was being written is found again.
func TestAnInterruptedVacuumFullIsFoundAgain(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{})
	watch := sessionWith(t, server.DSN("postgres"), slowly...)
	for _, role := range []string{super, monitor} {
		res := run(t, envFor(t, server.DSNAs(role, "postgres")), Leftovers, nil)
		expect(t, res, checks.OK, "")
		contains(t, res.Note, "nothing is left")
	}
	sessionWith(t, server.DSN("postgres"), "SELECT pg_advisory_lock(42)")
	work := inBackground(t, watch, server.DSN("postgres"), nil, "VACUUM FULL gated")

	// At work: seen, and not taken for a leftover.
	for _, role := range []string{super, monitor} {
		res := run(t, envFor(t, server.DSNAs(role, "postgres")), Leftovers, nil)
		expect(t, res, checks.OK, "")
		if num(t, res, "undecided", "") == 0 || num(t, res, "files", "") != 0 {
			t.Errorf("%s, while it runs: %v\n%s", role, res.Facts, cells(t, res, "leftovers"))
		}
	}
	if err := syscall.Kill(int(work.PgConn().PID()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := reconnected(t, server, watch)
	time.Sleep(1100 * time.Millisecond) // a file of the last second may be somebody's work
	var paths []string
	for _, role := range []string{super, monitor} {
		res := run(t, envFor(t, server.DSNAs(role, "postgres")), Leftovers, nil)
		expect(t, res, checks.Warn, "")
		if size := num(t, res, "size", ""); num(t, res, "files", "") < 1 || size < 1<<20 {
			t.Errorf("%s, after the crash: %v", role, res.Facts)
		}
		contains(t, strings.Join(res.Detail, "\n"), "no statement removes it", "pg_filenode_relation(1663, ")
		paths = append(paths, strings.Join(columnOf(t, res, "leftovers", "name"), " "))
	}
	if paths[0] != paths[1] {
		t.Errorf("the server lists %s, its directory %s", paths[0], paths[1])
	}
	for _, path := range strings.Fields(paths[0]) {
		if _, err := os.Stat(filepath.Join(dataDir(server), path)); err != nil {
			t.Error(err)
		}
	}

	// Who may neither list nor read is told so.
	res := run(t, envFor(t, server.DSNAs(plain, "postgres")), Leftovers, nil)
	expect(t, res, checks.Unknown, checks.Denied)
	contains(t, res.Err, "permission denied for function pg_ls_dir", "may not know the data directory")

	// A prepared transaction may have made them; nobody knows since when it was open.
	if _, err := after.Exec(t.Context(), "ALTER SYSTEM SET max_prepared_transactions = 5"); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	again := restarted(t, server, nil)
	end(t, sessionWith(t, again.DSN("postgres"), "BEGIN", "CREATE TABLE pending (n int)", "PREPARE TRANSACTION 'pending'"))
	for _, role := range []string{super, monitor} {
		res = run(t, envFor(t, again.DSNAs(role, "postgres")), Leftovers, nil)
		expect(t, res, checks.OK, "")
		if num(t, res, "undecided", "") == 0 {
			t.Errorf("facts: %v", res.Facts)
		}
	}
	end(t, sessionWith(t, again.DSN("postgres"), "ROLLBACK PREPARED 'pending'"))
	expect(t, run(t, envFor(t, again.DSN("postgres")), Leftovers, nil), checks.Warn, "")
}

// reconnected waits until the server has ended a session because of a crash, and
// has recovered.
func reconnected(t *testing.T, server *pgserver.Server, before *pgx.Conn) *pgx.Conn {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for before.Ping(t.Context()) == nil && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond) // between looks at another process
	}
	for {
		conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
		if err == nil {
			t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // the server may be gone already
			return conn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // between looks at another process
	}
}

// What was dropped, rewritten or rolled back in order leaves nothing, in a
// tablespace of its own as well.
func TestWhatEndedInOrderLeavesNothing(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{})
	space := filepath.Join(filepath.Dir(server.LogFile()), "space")
	if err := os.Mkdir(space, 0o700); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dataDir(server)); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := os.Chown(space, int(owner.Uid), int(owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	watch := sessionWith(t, server.DSN("postgres"), "CREATE TABLESPACE elsewhere LOCATION '"+space+"'")
	for _, sql := range []string{
		"CREATE TABLE a TABLESPACE elsewhere AS SELECT repeat('x', 500) FROM generate_series(1, 1000)", "CREATE TABLE b AS TABLE a", "VACUUM FULL a", "VACUUM FULL b",
		"TRUNCATE b", "DROP TABLE b", "VACUUM FULL pg_class", "REINDEX TABLE a", "CREATE TEMP TABLE c AS TABLE a",
	} {
		if _, err := watch.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for _, role := range []string{super, monitor} {
		res := run(t, envFor(t, server.DSNAs(role, "postgres")), Leftovers, nil)
		expect(t, res, checks.OK, "")
		if num(t, res, "undecided", "") != 0 {
			t.Errorf("%s: %s", role, cells(t, res, "leftovers"))
		}
	}
	// Planted there, it is found there.
	var path string
	if err := watch.QueryRow(t.Context(), "SELECT pg_relation_filepath('a')").Scan(&path); err != nil {
		t.Fatal(err)
	}
	planted := filepath.Join(dataDir(server), filepath.Dir(path), "999999")
	if err := os.WriteFile(planted, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(planted, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{super, monitor} {
		res := run(t, envFor(t, server.DSNAs(role, "postgres")), Leftovers, nil)
		expect(t, res, checks.Warn, "")
		contains(t, cells(t, res, "leftovers"), filepath.Join(filepath.Dir(path), "999999"))
	}
}

func TestLeftoversOfRepackAreFoundUnlessItRuns(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE SCHEMA repack", "CREATE TABLE repack.log_16400 (id int)", "CREATE TABLE t (id int)",
		"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", "CREATE TRIGGER repack_trigger AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()")
	res := run(t, envFor(t, db.DSN), Leftovers, nil)
	expect(t, res, checks.Warn, "")
	contains(t, cells(t, res, "leftovers"), "DROP TRIGGER repack_trigger ON public.t;", "DROP TABLE repack.log_16400;")
	sessionWith(t, db.DSN, "SET application_name = 'pg_repack'")
	expect(t, run(t, envFor(t, db.DSN), Leftovers, nil), checks.OK, "")
}
