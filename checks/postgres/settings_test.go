package postgres

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// sound are settings of a server that has nothing to lose by them.
var sound = map[string]string{"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}

func TestASettingThatWaitsForARestartIsFound(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: sound})
	conn := sessionWith(t, server.DSN("postgres"))
	for _, role := range []string{super, monitor, plain} {
		expect(t, run(t, envFor(t, server.DSNAs(role, "postgres")), SettingsInForce, nil), checks.OK, "")
	}
	for _, sql := range []string{"ALTER SYSTEM SET max_locks_per_transaction = 99", "ALTER SYSTEM SET work_mem = '5MB'", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, conn, "it is reloaded", "pending_restart FROM pg_settings WHERE name = 'max_locks_per_transaction'")
	res := run(t, envFor(t, server.DSN("postgres")), SettingsInForce, nil)
	expect(t, res, checks.Warn, "")
	contains(t, strings.Join(res.Detail, "\n"), "max_locks_per_transaction is 64 until the next restart, then 99")
	contains(t, at(t, res, "settings", "work_mem", "file").Text, "postgresql.auto.conf:")
	if at(t, res, "settings", "work_mem", "pending").Bool() || !at(t, res, "settings", "max_locks_per_transaction", "pending").Bool() {
		t.Error(cells(t, res, "settings"))
	}
	res = run(t, envFor(t, server.DSNAs(plain, "postgres")), SettingsInForce, nil)
	expect(t, res, checks.Warn, "")
	contains(t, strings.Join(res.Detail, "\n"), "max_locks_per_transaction is 64 until the next restart", "what the configuration files say is not known: permission denied")
	contains(t, at(t, res, "settings", "work_mem", "file").Text, "unknown: needs pg_read_all_settings")
}

func TestALineThatTheServerWouldNotTakeIsFound(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: sound})
	file := filepath.Join(dataDir(server), "postgresql.conf")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "\nwork_mem = 'plenty'\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	res := run(t, envFor(t, server.DSN("postgres")), SettingsInForce, nil)
	expect(t, res, checks.Warn, "")
	contains(t, strings.Join(res.Detail, "\n"), "postgresql.conf:", "work_mem")
}

func TestDangerousSettingsAreNamed(t *testing.T) {
	t.Parallel()
	db := scratch(t) // the shared server has nothing to lose
	for _, role := range []string{super, plain} {
		res := run(t, envFor(t, db.DSNAs(role)), SettingsInForce, nil)
		expect(t, res, checks.Warn, "")
		contains(t, strings.Join(res.Detail, "\n"), "fsync = off: a crash", "autovacuum = off: nothing is vacuumed", "no data checksums")
		contains(t, at(t, res, "settings", "log_lock_waits", "hint").Text, "not in the log")
	}
}

// A damaged page for real: its file is overwritten while the server is down.
func TestADamagedPageIsCritical(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: sound})
	conn := sessionWith(t, server.DSN("postgres"), "CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 100)", "CHECKPOINT")
	var path string
	if err := conn.QueryRow(t.Context(), "SELECT pg_relation_filepath('t')").Scan(&path); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	checksum(t, server)
	page, err := os.OpenFile(filepath.Join(dataDir(server), path), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := page.WriteAt([]byte("damage"), 4000); err != nil {
		t.Fatal(err)
	}
	if err := page.Close(); err != nil {
		t.Fatal(err)
	}
	again := restarted(t, server, sound)
	db := sessionWith(t, again.DSN("postgres"))
	if _, err := db.Exec(t.Context(), "SELECT count(*) FROM t"); err == nil {
		t.Fatal("the server reads a damaged page")
	}
	end(t, db)
	watch := sessionWith(t, again.DSN("postgres"))
	counted(t, watch, "the failure is counted", "sum(checksum_failures) > 0 FROM pg_stat_database")
	for _, role := range []string{super, plain} {
		res := run(t, envFor(t, again.DSNAs(role, "postgres")), SettingsInForce, nil)
		expect(t, res, checks.Crit, "")
		contains(t, strings.Join(res.Detail, "\n"), "the last damaged page was found")
	}
}

func TestPasswordsInSettingsAreNotShown(t *testing.T) {
	shown := settingsTable([]setting{
		{Name: "primary_conninfo", Value: "host=a password=hunter2"}, {Name: "ssl_passphrase_command", Value: "echo passphrase"}, {Name: "archive_command", Value: "cp %p /archive/%f"},
	})
	var values []string
	for _, row := range shown.Rows {
		values = append(values, fact.Value(row[1]).Text)
	}
	if got := strings.Join(values, "|"); got != "[redacted]|[redacted]|cp %p /archive/%f" {
		t.Error(got)
	}
}

// checksum turns data checksums on in a cluster that is down.
func checksum(t *testing.T, server *pgserver.Server) {
	t.Helper()
	bin, err := pgserver.Find()
	if err != nil {
		pgtest.Missing(t, err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_checksums"), "--enable", "--no-sync", "-D", dataDir(server)).CombinedOutput(); err != nil {
		t.Fatalf("pg_checksums: %v: %s", err, out)
	}
}

// restarted starts a stopped server's cluster again.
func restarted(t *testing.T, server *pgserver.Server, settings map[string]string) *pgserver.Server {
	t.Helper()
	again, err := pgserver.Start(context.Background(), pgserver.Options{Dir: filepath.Dir(server.LogFile()), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := again.Stop(); err != nil {
			t.Error(err)
		}
	})
	return again
}

func TestAnExtensionThatAnUpgradeLeftBehindIsFound(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: sound})
	conn := sessionWith(t, server.DSN("postgres"), "CREATE EXTENSION pg_stat_statements VERSION '1.8'")
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	res := run(t, env, SettingsInForce, nil)
	if n := num(t, res, "extensions_behind", ""); n != 1 {
		t.Errorf("%v extensions are behind", n)
	}
	contains(t, strings.Join(res.Detail, "\n"), "extension pg_stat_statements is 1.8, the server has 1.", "ALTER EXTENSION pg_stat_statements UPDATE")
	if _, err := conn.Exec(t.Context(), "ALTER EXTENSION pg_stat_statements UPDATE"); err != nil {
		t.Fatal(err)
	}
	if n := num(t, run(t, env, SettingsInForce, nil), "extensions_behind", ""); n != 0 {
		t.Errorf("%v extensions are behind", n)
	}
}
