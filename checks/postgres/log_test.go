package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// loggedBy is an Env whose log source is these files.
func loggedBy(t *testing.T, dsn string, paths ...string) checks.Env {
	t.Helper()
	env := envFor(t, dsn)
	env.Site.Logs = map[string]checks.LogSource{"postgres": {Name: "postgres", Paths: paths, Zone: time.UTC}}
	return env
}

// misdeeds makes a server write what an incident is told by.
func misdeeds(t *testing.T, server *pgserver.Server) {
	t.Helper()
	dsn := server.DSN("postgres")
	conn := sessionWith(t, dsn, "CREATE TABLE held (id int PRIMARY KEY)", "INSERT INTO held VALUES (1)")
	for _, sql := range []string{"SELECT * FROM nowhere_1", "SELECT * FROM nowhere_2", "INSERT INTO held VALUES (1)", "SELECT 1/0", "SELECT 'it''s \"quoted\", so'::int"} {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err == nil {
			t.Fatalf("%s did not fail", sql)
		}
	}
	sessionWith(t, dsn, "SET log_min_duration_statement = 1", "SELECT pg_sleep(0.02)")
	root := sessionWith(t, dsn, "BEGIN", "LOCK TABLE held")
	inBackground(t, conn, dsn, []string{"BEGIN"}, "LOCK TABLE held")
	defer end(t, root)
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) { // deadlock_timeout
		if logged(t, server, "still waiting for") {
			break
		}
	}
	for { // until it is full
		c, err := pgx.Connect(t.Context(), server.DSNAs(plain, "postgres"))
		if err != nil {
			break
		}
		t.Cleanup(func() { c.Close(context.Background()) }) //nolint:errcheck // the test is over
	}
	for until := time.Now().Add(10 * time.Second); !logged(t, server, "connection slots") && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond) // the collector writes when it can
	}
}

// logged reports whether any of a server's logs has a text.
func logged(t *testing.T, server *pgserver.Server, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dataDir(server), "log", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, server.LogFile()) {
		if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), text) {
			return true
		}
	}
	return false
}

func TestTheServersLogIsSummedUpInEachOfItsForms(t *testing.T) {
	t.Parallel()
	for form, settings := range map[string]map[string]string{
		"stderr without a code": {},
		"stderr with a code":    {"log_line_prefix": "%m [%p] %q%u@%d %e "},
		"csvlog":                {"logging_collector": "on", "log_destination": "csvlog"},
		"jsonlog":               {"logging_collector": "on", "log_destination": "jsonlog"},
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			all := map[string]string{
				"max_connections": "13", "superuser_reserved_connections": "3", "max_wal_senders": "0", "autovacuum": "off",
				"log_lock_waits": "on", "deadlock_timeout": "50ms", "log_timezone": "UTC", "log_line_prefix": "%m [%p] ",
			}
			for name, value := range settings {
				all[name] = value
			}
			server := ownServer(t, pgserver.Options{Preload: []string{"none"}, Settings: all})
			path := server.LogFile()
			if ext, collected := map[string]string{"csvlog": "csv", "jsonlog": "json"}[form]; collected {
				path = filepath.Join(dataDir(server), "log", "*."+ext)
			}
			env := loggedBy(t, server.DSN("postgres"), path)
			watched(t, server.DSN("postgres"), 1)
			misdeeds(t, server)
			res := run(t, env, ServerLog, nil)
			expect(t, res, checks.Crit, "")
			for name, want := range map[string]float64{"panics": 0, "errors": 5, "refused": 1, "damaged": 0, "crashes": 0, "lock_waits": 1} {
				if got := num(t, res, name, ""); got != want {
					t.Errorf("%s: %v, want %v\n%s", name, got, want, cells(t, res, "messages"))
				}
			}
			if slow := num(t, res, "slow", ""); slow < 1 {
				t.Errorf("slow: %v", slow)
			}
			table := cells(t, res, "messages")
			contains(t, table, "1 | FATAL | 53 out of resources", "2 | ERROR | 42 syntax, access | ", "ERROR | 23 constraint", "ERROR | 22 data", "LOG | wait for a lock", "still waiting for", "LOG | slow statement")
			if strings.Contains(table, "nowhere_1") || strings.Contains(table, "quoted") {
				t.Errorf("a value is in a message:\n%s", table)
			}
			contains(t, res.Note, "5 ERROR", "1 FATAL")
		})
	}
}

func TestALogThatSaysNothingBadIsWell(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"log_timezone": "UTC", "log_lock_waits": "off"}})
	path := filepath.Join(t.TempDir(), "quiet.log")
	line := time.Now().UTC().Format("2006-01-02 15:04:05.000 UTC") + " [811] "
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(line+strings.Join(lines, "\n"+line)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := loggedBy(t, server.DSN("postgres"), path)
	write("LOG:  checkpoint starting: time", "LOG:  checkpoint complete: wrote 3 buffers")
	res := run(t, env, ServerLog, nil)
	expect(t, res, checks.OK, "")
	contains(t, res.Note, "nothing remarkable in 30 m")
	if _, known := res.Fact("lock_waits", ""); known {
		t.Error("waits that nobody logs are counted as none")
	}
	contains(t, strings.Join(res.Detail, "\n"), "log_lock_waits is off")

	write("FATAL:  password authentication failed for user \"eve\"", "DETAIL:  Role \"eve\" does not exist.")
	res = run(t, env, ServerLog, nil)
	expect(t, res, checks.Warn, "")
	contains(t, cells(t, res, "messages"), "1 | FATAL | 28 authorisation")

	write("ERROR:  invalid page in block 7 of relation base/5/16384")
	expect(t, run(t, env, ServerLog, nil), checks.Crit, "")
	write("PANIC:  could not write to file \"pg_wal/xlogtemp.811\": No space left on device")
	expect(t, run(t, env, ServerLog, nil), checks.Crit, "")
	write("LOG:  server process (PID 4411) was terminated by signal 9: Killed")
	expect(t, run(t, env, ServerLog, nil), checks.Crit, "")
}

// What cannot be read is not silence; a server that is away does not keep its
// log from being read.
func TestALogThatCannotBeReadIsUnknown(t *testing.T) {
	t.Parallel()
	away := "host=/nowhere dbname=lms user=" + monitor
	path := filepath.Join(t.TempDir(), "other.log")
	env := loggedBy(t, away, path)
	if res := run(t, env, ServerLog, nil); res.Level != checks.Unknown {
		t.Errorf("a log that is not there is %v", res.Level)
	}
	stamp := time.Now().UTC().Format("2006-01-02 15:04:05 UTC")
	for text, class := range map[string]checks.Class{
		"nothing with a date\n": checks.Parse,
		stamp + " started\n":    checks.Parse,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, run(t, env, ServerLog, nil), checks.Unknown, class)
	}
	if err := os.WriteFile(path, []byte(stamp+" [1] LOG:  database system is shut down\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	res := run(t, env, ServerLog, nil)
	expect(t, res, checks.OK, "")
	contains(t, cells(t, res, "messages"), "start or stop")
	contains(t, strings.Join(res.Detail, "\n"), "is not known: ")
	env.Site.Logs = nil
	expect(t, run(t, env, ServerLog, nil), checks.Skipped, checks.Unconfigured)
}
