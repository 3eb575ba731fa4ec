package postgres

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

func TestPingOfAServerThatServes(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	for _, role := range []string{super, monitor, plain} {
		res := run(t, envFor(t, db.DSNAs(role)), Ping, nil)
		expect(t, res, checks.OK, "")
		if num(t, res, "latency", "") <= 0 || num(t, res, "up", "") <= 0 {
			t.Errorf("facts: %v", res.Facts)
		}
		contains(t, res.Note, "primary", "PostgreSQL ")
		if lock, _ := res.Fact("lock_timeout", ""); lock.Text != "50ms" {
			t.Errorf("lock_timeout was read back as %q", lock.Text)
		}
		if statement, _ := res.Fact("statement_timeout", ""); statement.Text == "" || statement.Text == "0" {
			t.Errorf("statement_timeout was read back as %q", statement.Text)
		}
	}
	res := run(t, envFor(t, db.DSNAs(plain)), Ping, nil)
	contains(t, strings.Join(res.Detail, "\n"), "GRANT pg_monitor TO "+plain)
}

func TestASlowServerIsWarnedOfAndAVerySlowOneFails(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	for delay, want := range map[time.Duration]checks.Level{600 * time.Millisecond: checks.Warn, 2100 * time.Millisecond: checks.Crit} {
		t.Run(want.String(), func(t *testing.T) {
			t.Parallel()
			expect(t, run(t, envFor(t, startPooler(t, db, delay)), Ping, nil), want, "")
		})
	}
}

// answering is a server that says one thing to everybody.
func answering(t *testing.T, code, message string) string {
	t.Helper()
	return serve(t, func(c net.Conn) {
		backend := pgproto3.NewBackend(c, c)
		if _, err := backend.ReceiveStartupMessage(); err == nil {
			refuse(backend, code, message)
		}
	})
}

func TestWhatAServerRefusesIsAFactAndWhatWeLackIsUnknown(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	tests := []struct {
		name, dsn string
		level     checks.Level
		class     checks.Class
		says      string
	}{
		{"no socket", "host=" + t.TempDir(), checks.Crit, "", "no server at the socket"},
		{"nothing listens", "host=127.0.0.1 port=1", checks.Crit, "", "nothing listens at"},
		{"silent", serve(t, func(c net.Conn) { c.Read(make([]byte, 1<<16)); c.Read(make([]byte, 1)) }), checks.Crit, "", "no answer in time"}, //nolint:errcheck // it says nothing
		{"hangs up", serve(t, func(c net.Conn) { c.Read(make([]byte, 1<<16)) }), checks.Crit, "", "closed the connection"},                    //nolint:errcheck // it says nothing
		{"starting", answering(t, "57P03", "the database system is starting up"), checks.Crit, "", "starting up"},
		{"no such database", db.Server.DSN("no_such_database"), checks.Crit, "", "does not exist"},
		{"no such role", db.DSNAs("no_such_role"), checks.Unknown, checks.Auth, "no_such_role"},
		{"no such name", "host=no-such-host.invalid", checks.Unknown, checks.DNS, "no-such-host.invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := envFor(t, tt.dsn)
			check, _ := checks.NewCheck(Ping, "ping", nil, checks.Rules{})
			check.Timeout = 2 * time.Second
			res := checks.NewRunner(env, nil).Run(t.Context(), check)
			expect(t, res, tt.level, tt.class)
			contains(t, res.Note+res.Err, tt.says)
			if tt.level == checks.Crit {
				other := run(t, env, DBSize, nil)
				if other.Level != checks.Unknown || other.Err == "" {
					t.Errorf("pg.dbsize of it is %v: %s", other.Level, other.Err)
				}
			}
		})
	}
}

func TestAServerThatStopsAndStartsIsFollowed(t *testing.T) {
	t.Parallel()
	dir := pgtest.Dir(t)
	start := func() *pgserver.Server {
		server, err := pgserver.Start(t.Context(), pgserver.Options{Dir: dir})
		if err != nil {
			pgtest.Missing(t, err)
		}
		return server
	}
	first := start()
	makeRoles(t, first)
	env := envFor(t, first.DSNAs(monitor, "postgres"))
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	expect(t, run(t, env, Ping, nil), checks.Crit, "")
	expect(t, run(t, env, Locks, nil), checks.Unknown, checks.Refused)
	second := start()
	defer second.Stop() //nolint:errcheck // its directory goes with the test
	serverOf(t, env).wait.succeeded()
	res := run(t, env, Ping, nil)
	expect(t, res, checks.Warn, "") // it serves, and somebody should know
	contains(t, factText(res, "event"), "the server was restarted at ")
}

// small has three slots for ordinary roles and three for superusers.
func small(t *testing.T) *pgserver.Server {
	t.Helper()
	return ownServer(t, pgserver.Options{Preload: []string{"none"}, Settings: map[string]string{
		"max_connections": "13", "superuser_reserved_connections": "3", "max_wal_senders": "0", "autovacuum": "off",
	}})
}

func TestConnectionsFromFewToFull(t *testing.T) {
	t.Parallel()
	server := small(t)
	asMonitor, asSuper := server.DSNAs(monitor, "postgres"), server.DSN("postgres")
	fill := func(n int, role string) {
		for range n {
			sessionWith(t, server.DSNAs(role, "postgres"))
		}
	}
	env := envFor(t, asMonitor)
	expect(t, run(t, env, Ping, nil), checks.OK, "") // takes its seat
	fill(6, plain)
	sessionWith(t, server.DSNAs(plain, "postgres"), "SET application_name = E'\\x1b[31m''; DROP TABLE x; --'", "BEGIN", "SELECT 1")
	res := run(t, env, Connections, nil)
	expect(t, res, checks.OK, "") // 7 of 10 are 70 %, and the monitor's own session is not one of them
	if num(t, res, "used", "") != 70 || num(t, res, "usable", "") != 10 || num(t, res, "idle", "") != 6 || num(t, res, "idle_in_tx", "") != 1 {
		t.Errorf("facts: %v", res.Facts)
	}
	if num(t, res, "idle_in_tx_age", "") <= 0 || num(t, res, "oldest_xact", "") < num(t, res, "idle_in_tx_age", "") || num(t, res, "longest_query", "") != 0 {
		t.Errorf("ages: %v", res.Facts)
	}
	contains(t, cells(t, res, "by_state"), "idle | 6", "idle in transaction | 1")
	sessions := cells(t, res, "sessions")
	contains(t, sessions, "DROP TABLE x", "SELECT 1", plain)
	if strings.ContainsRune(sessions, '\x1b') || strings.Contains(sessions, "opsdeck/") {
		t.Errorf("the sessions hold an escape or our own session:\n%s", sessions)
	}

	fill(2, plain) // with the seat all ten ordinary slots are taken
	res = run(t, env, Connections, nil)
	expect(t, res, checks.Warn, "")

	full := run(t, envFor(t, asMonitor), Connections, nil)
	expect(t, full, checks.Crit, "")
	contains(t, strings.Join(full.Detail, "\n"), "only slots reserved", "only-when-full")
	expect(t, run(t, envFor(t, asMonitor), Ping, nil), checks.Crit, "")

	emergency := envFor(t, asMonitor, checks.Connection{Kind: kind, Name: "emergency", DSN: asSuper, Use: "only-when-full"})
	seen := run(t, emergency, Connections, nil)
	expect(t, seen, checks.Crit, "")
	if num(t, seen, "connections", "") != 10 {
		t.Errorf("through the emergency connection: %v", seen.Facts)
	}
	contains(t, strings.Join(seen.Detail, "\n"), "used only when full")
	expect(t, run(t, emergency, Locks, nil), checks.OK, "")

	fill(3, super) // now the reserved ones too
	last := run(t, emergency, Connections, nil)
	expect(t, last, checks.Crit, "")
	contains(t, strings.Join(last.Detail, "\n"), "did not help")
	expect(t, run(t, env, Connections, nil), checks.Crit, "") // the seat that was taken in time still sees
}

func TestTheFourCausesOfTooManyConnectionsAreToldApart(t *testing.T) {
	t.Parallel()
	server := small(t)
	admin := sessionWith(t, server.DSN("postgres"), "CREATE DATABASE narrow CONNECTION LIMIT 1",
		"CREATE ROLE single LOGIN CONNECTION LIMIT 1", "GRANT pg_monitor TO single")
	hold := func(role, database string) { sessionWith(t, server.DSNAs(role, database)) }
	cause := func(role, database string) string {
		res := run(t, envFor(t, server.DSNAs(role, database)), Ping, nil)
		expect(t, res, checks.Crit, "")
		return res.Note + " " + factText(res, "reason")
	}
	hold("single", "postgres")
	contains(t, cause("single", "postgres"), "the role's own CONNECTION LIMIT")
	hold(plain, "narrow")
	contains(t, cause(plain, "narrow"), "the database's own CONNECTION LIMIT")
	for range 7 { // with the administrator's, the two above make ten
		hold(plain, "postgres")
	}
	contains(t, cause(plain, "postgres"), "only slots reserved")
	for range 3 {
		hold(super, "postgres")
	}
	contains(t, cause(super, "postgres"), "every slot of max_connections")
	if _, err := admin.Exec(context.Background(), "SELECT 1"); err != nil {
		t.Error(err)
	}
}

func factText(res checks.Result, name string) string {
	f, _ := res.Fact(name, "")
	return f.Text
}

func TestASilentPermissionOfTheSocketIsUnknown(t *testing.T) {
	t.Parallel()
	_, err := net.Dial("unix", filepath.Join(t.TempDir(), "none"))
	if !isSocketGone(err) {
		t.Errorf("%v is not taken for a missing socket", err)
	}
}

func TestASettingIsReadAsShowPrintsIt(t *testing.T) {
	db := pgtest.Database(t)
	server, err := Open(checks.Connection{Kind: "postgres", Name: "main", DSN: db.DSN})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if got, err := server.Setting(t.Context(), "standard_conforming_strings"); err != nil || got != "on" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := server.Setting(t.Context(), "no.such_setting"); err == nil {
		t.Error("a setting that does not exist has a value")
	}
}
