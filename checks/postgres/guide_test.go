package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// guide runs lines of the guide with the server's own programs, and gives what
// they print and the exit code.
func guide(t *testing.T, server *pgserver.Server, script string) (string, int) {
	t.Helper()
	bin, err := pgserver.Find()
	if err != nil {
		pgtest.Missing(t, err)
	}
	if _, err := os.Stat(filepath.Join(bin, "psql")); err != nil {
		pgtest.Missing(t, fmt.Errorf("%w: %w", pgserver.ErrNotFound, err))
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PGHOST="+server.SocketDir(), fmt.Sprint("PGPORT=", server.Port()), "PGUSER="+super)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// TestTheGuidesRestoreOverwritesProduction: a dump made with --create says
// itself which database it goes to, and psql -d is only where it begins.
func TestTheGuidesRestoreOverwritesProduction(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	content, err := os.ReadFile(d.dump(t, "full.sql", "--create", "--clean"))
	if err != nil {
		t.Fatal(err)
	}
	path := d.write(t, "full.sql.gz", gzipped(t, content))
	users := func() (n int) {
		conn := d.db.Connect(t)
		defer conn.Close(context.Background()) //nolint:errcheck // a look
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	d.db.Exec(t, "INSERT INTO users (name) VALUES ('registered after the backup')")
	out, code := guide(t, d.db.Server, fmt.Sprintf("createdb %[1]s_test; gunzip -c %[2]s | psql -d %[1]s_test; dropdb %[1]s_test", d.db.Name, path))
	if n := users(); n != 500 || code != 0 {
		t.Fatalf("production has %d users after the guide's test (exit %d): this scene proves nothing any more\n%s", n, code, out)
	}
	d.db.Exec(t, "INSERT INTO users (name) VALUES ('registered after the backup')")
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, "DROP DATABASE")
	expectText(t, d.act(t, path, fewTables), checks.Unknown, checks.Denied, "DROP DATABASE")
	if n := users(); n != 501 {
		t.Errorf("production has %d users, it had 501", n)
	}
	d.nothingLeft(t)
}

// guideVerify is the guide's script, with the backup and the database as
// variables and the role of the server that runs here.
const guideVerify = `
createdb $TEST_DB
gunzip -c $LATEST_BACKUP | psql -d $TEST_DB
TABLE_COUNT=$(psql -d $TEST_DB -t -c "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public';")
USER_COUNT=$(psql -d $TEST_DB -t -c "SELECT COUNT(*) FROM users;")
dropdb $TEST_DB
if [ $TABLE_COUNT -gt 30 ] && [ $USER_COUNT -gt 0 ]; then echo "Backup verification PASSED"; exit 0
else echo "Backup verification FAILED"; exit 1; fi
`

// TestTheGuidesVerificationPassesOnWhatTheLastOneLeft: a run that was broken
// off leaves its database, createdb fails, nobody looks, and the tables that
// are counted are last month's.
func TestTheGuidesVerificationPassesOnWhatTheLastOneLeft(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 33)
	content, err := os.ReadFile(d.dump(t, "plain.sql"))
	if err != nil {
		t.Fatal(err)
	}
	good, broken := d.write(t, "good.sql.gz", gzipped(t, content)), d.write(t, "broken.sql.gz", gzipped(t, content)[:200])
	db := d.db.Name + "_verify"
	if out, _ := guide(t, d.db.Server, "createdb "+db+"; gunzip -c "+good+" | psql -q -d "+db); strings.Contains(out, "ERROR") {
		t.Fatalf("leaving a database: %s", out)
	}
	out, code := guide(t, d.db.Server, "TEST_DB="+db+"; LATEST_BACKUP="+broken+guideVerify)
	if code != 0 || !strings.Contains(out, "PASSED") {
		t.Fatalf("the guide's script finds it by now (exit %d): this scene proves nothing any more\n%s", code, out)
	}
	expectText(t, d.act(t, broken, nil), checks.Crit, "", "cut short")
	d.nothingLeft(t)
}

// TestTheGuidesVacuumFullQueuesEverybodyBehindIt: it waits for the oldest
// reader, and every later one waits for it. Ours gives up, and nobody waits.
func TestTheGuidesVacuumFullQueuesEverybodyBehindIt(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE a (n int)", "INSERT INTO a SELECT generate_series(1, 1000)", "DELETE FROM a")
	sessionWith(t, y.db.DSN, "BEGIN", "SELECT * FROM a")
	reader := sessionWith(t, y.db.DSN, "SET lock_timeout = '300ms'")
	reads := func() error {
		_, err := reader.Exec(t.Context(), "SELECT * FROM a", pgx.QueryExecModeSimpleProtocol)
		return err
	}

	guides := inBackground(t, y.watch, y.db.DSN, nil, "VACUUM FULL")
	if code := codeOf(reads()); code != lockNotAvailable {
		t.Fatalf("a reader gets %q behind the guide's line: this scene proves nothing any more", code)
	}
	y.watch.Exec(t.Context(), "SELECT pg_cancel_backend($1)", int(guides.PgConn().PID())) //nolint:errcheck // its end is awaited
	eventually(t, y.watch, "it is cancelled", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active')", int(guides.PgConn().PID()))

	with := map[string]any{"tables": []any{"a"}, "lock_timeout": "200ms"}
	y.preview(t, VacuumFull, with)
	if res := y.act(t, VacuumFull, with); res.Level == checks.OK {
		t.Errorf("it was done over a reader's head: %s", res.Note)
	}
	if err := reads(); err != nil {
		t.Errorf("a reader waits after ours gave up: %v", err)
	}
}

// TestTheGuidesBackupBeforeClosingLosesWhatIsWrittenUntilThen: the guide backs
// up first and closes the site second. Who registers in between is in no backup,
// and is gone when the window ends with putting it back.
func TestTheGuidesBackupBeforeClosingLosesWhatIsWrittenUntilThen(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	backup := d.dump(t, "before.sql")
	d.db.Exec(t, "INSERT INTO users (name) VALUES ('registered before the site was closed')")
	copied := d.db.Name + "_back"
	out, code := guide(t, d.db.Server, "createdb "+copied+" && psql -q -v ON_ERROR_STOP=1 -d "+copied+" -f "+backup+" >/dev/null && psql -At -d "+copied+" -c \"SELECT count(*) FROM users WHERE name LIKE 'registered%'\"; dropdb "+copied)
	if code != 0 || strings.TrimSpace(out) != "0" {
		t.Errorf("the guide's order lost nobody (exit %d): this scene proves nothing any more\n%s", code, out)
	}
}
