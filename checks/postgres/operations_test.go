package postgres

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// atWork runs something that takes its time, until the test ends, and waits
// until the server reports on it.
func atWork(t *testing.T, watch, conn *pgx.Conn, view string, do func(context.Context) error) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	for {
		var there bool
		if err := watch.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM "+view+" WHERE pid = $1)", int32(conn.PgConn().PID())).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if there {
			return pidOf(conn)
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended before the server reported on it: %v", err)
		case <-time.After(5 * time.Millisecond): // between looks at another process
		}
	}
}

func runs(conn *pgx.Conn, sql string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		return err
	}
}

// never is a source of rows that has none yet.
type never struct{ ctx context.Context }

func (n never) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, io.EOF
}

func TestProgressOfEveryKindOfOperation(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"autovacuum": "off", "max_wal_senders": "4", "wal_level": "replica"}})
	dsn := server.DSN("postgres")
	watched(t, dsn, 1)
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	expect(t, run(t, env, Progress, nil), checks.OK, "")
	watch := sessionWith(t, dsn, "CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN n; END'",
		"CREATE TABLE rewritten (n int)", "CREATE INDEX ON rewritten (slow(n))", "INSERT INTO rewritten VALUES (1)",
		"CREATE OR REPLACE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN n; END'")
	for _, name := range []string{"vacuumed", "analyzed", "indexed", "copied"} {
		sessionWith(t, dsn, "CREATE TABLE "+name+" AS SELECT g AS n, repeat('x', 300) AS pad FROM generate_series(1, 6000) g")
	}
	if _, err := watch.Exec(t.Context(), "DELETE FROM vacuumed WHERE n % 2 = 0"); err != nil {
		t.Fatal(err)
	}
	const slowly = "SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1"
	pid := map[string]string{}
	vacuum, analyze, full := sessionWith(t, dsn, slowly), sessionWith(t, dsn, slowly), sessionWith(t, dsn)
	pid["VACUUM"] = atWork(t, watch, vacuum, "pg_stat_progress_vacuum", runs(vacuum, "VACUUM vacuumed"))
	pid["ANALYZE"] = atWork(t, watch, analyze, "pg_stat_progress_analyze", runs(analyze, "ANALYZE analyzed"))
	writer := sessionWith(t, dsn, "BEGIN", "INSERT INTO indexed VALUES (0, '')")
	index := sessionWith(t, dsn)
	pid["CREATE INDEX CONCURRENTLY"] = atWork(t, watch, index, "(SELECT pid FROM pg_stat_progress_create_index WHERE current_locker_pid <> 0) p", runs(index, "CREATE INDEX CONCURRENTLY ON indexed (n)"))
	copying := sessionWith(t, dsn)
	pid["COPY FROM"] = atWork(t, watch, copying, "pg_stat_progress_copy", func(ctx context.Context) error {
		_, err := copying.PgConn().CopyFrom(ctx, io.MultiReader(strings.NewReader("1\tone\n"), never{ctx}), "COPY copied FROM STDIN")
		return err
	})
	backup(t, watch, dsn)
	pid["VACUUM FULL"] = atWork(t, watch, full, "(SELECT pid FROM pg_stat_progress_cluster WHERE phase = 'rebuilding index') p", runs(full, "VACUUM FULL rewritten"))

	res := run(t, env, Progress, nil)
	expect(t, res, checks.OK, "")
	commands, pids := columnOf(t, res, "operations", "command"), columnOf(t, res, "operations", "pid")
	at := func(command, column string) string {
		i := slices.Index(commands, command)
		if i < 0 {
			t.Fatalf("%s is not in the list:\n%s", command, cells(t, res, "operations"))
		}
		if want, ok := pid[command]; ok && pids[i] != want {
			t.Errorf("%s has pid %s, want %s", command, pids[i], want)
		}
		return columnOf(t, res, "operations", column)[i]
	}
	for command, want := range map[string][3]string{ // relation, phase, detail
		"VACUUM":                    {"public.vacuumed", "scanning heap", "index pass 0"},
		"ANALYZE":                   {"public.analyzed", "acquiring sample rows", ""},
		"CREATE INDEX CONCURRENTLY": {"public.indexed", "waiting for writers", "waits for session " + pidOf(writer)},
		"COPY FROM":                 {"public.copied", "pipe", "rows"},
		"VACUUM FULL":               {"public.rewritten", "rebuilding index", "rows written"},
		"BASE BACKUP":               {"", "", "of "},
	} {
		contains(t, at(command, "relation"), want[0])
		contains(t, at(command, "phase"), want[1])
		contains(t, at(command, "detail"), want[2])
	}
	if done := at("COPY FROM", "done"); done != "unknown" {
		t.Errorf("how much of a pipe is done is %q", done)
	}
	if done := at("VACUUM", "done"); done == "unknown" {
		t.Error("how much of the heap is scanned is not known")
	}
	if num(t, res, "operations", "") != 6 || num(t, res, "oldest", "") <= 0 {
		t.Errorf("facts: %v", res.Facts)
	}
}

// backup takes a base backup as slowly as it can be.
func backup(t *testing.T, watch *pgx.Conn, dsn string) {
	t.Helper()
	bin, err := pgserver.Find()
	if err != nil {
		pgtest.Missing(t, err)
	}
	cmd := exec.Command(filepath.Join(bin, "pg_basebackup"), "-d", dsn, "-D", filepath.Join(t.TempDir(), "copy"), "-c", "fast", "-X", "none", "--max-rate=32k")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // gone already, or not
		cmd.Wait()         //nolint:errcheck // killed
	})
	eventually(t, watch, "the backup streams", "EXISTS (SELECT FROM pg_stat_progress_basebackup WHERE backup_total > 0)")
}
