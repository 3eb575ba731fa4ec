package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// hostEnv is an Env that looks at this very host.
func hostEnv(t *testing.T, dsn, log string) checks.Env {
	t.Helper()
	env := envFor(t, dsn)
	env.Root = "/"
	if log != "" {
		env.Site.Logs = map[string]checks.LogSource{"postgres": {Name: "postgres", Paths: []string{log}}}
	}
	return env
}

func TestAServerIsSeenFromItsHostWithoutSQL(t *testing.T) {
	server := ownServer(t, pgserver.Options{})
	client := sessionWith(t, server.DSN("postgres"), "CREATE TABLE a (n int)", "BEGIN", "LOCK TABLE a")
	inBackground(t, sessionWith(t, server.DSN("postgres")), server.DSN("postgres"), nil, "SELECT * FROM a")
	env := hostEnv(t, server.DSN("postgres"), server.LogFile())

	res := run(t, env, Host, nil)
	if res.Err != "" || num(t, res, "postmaster", "") != 1 || num(t, res, "listening", "") != 1 {
		t.Fatalf("%s %v", res.Err, res.Facts)
	}
	if n := num(t, res, "clients", ""); n != 3 {
		t.Errorf("%v clients of 3:\n%s", n, cells(t, res, "processes"))
	}
	if n := num(t, res, "waiting", ""); n != 1 {
		t.Errorf("%v wait, one does:\n%s", n, cells(t, res, "processes"))
	}
	contains(t, cells(t, res, "processes"), pidOf(client)+" | S", "idle in transaction", "checkpointer", "postmaster: ")
	contains(t, cells(t, res, "log"), "database system is ready")
	var disks int
	for _, f := range res.Facts {
		if f.Name == "free" && f.Num > 0 {
			disks++
		}
	}
	if disks != 2 {
		t.Errorf("%d folders have a disk: %v %v", disks, res.Facts, res.Detail)
	}

	if err := syscall.Kill(server.PID(), syscall.SIGSTOP); err != nil { // it answers nobody now
		t.Fatal(err)
	}
	res = run(t, env, Host, nil)
	if res.Err != "" || num(t, res, "postmaster", "") != 1 {
		t.Errorf("a server that hangs: %s %v", res.Err, res.Facts)
	}
	if err := syscall.Kill(server.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

func TestAServerThatIsGoneIsSeenToBeGone(t *testing.T) {
	server := ownServer(t, pgserver.Options{})
	dsn, log := server.DSN("postgres"), server.LogFile()
	env := hostEnv(t, dsn, log)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	res := run(t, env, Host, nil)
	if num(t, res, "listening", "") != 0 || res.Level != checks.Crit {
		t.Errorf("%v %v", res.Level, res.Facts)
	}
}

func TestWhatCannotBeSeenFromHereIsSaid(t *testing.T) {
	res := run(t, hostEnv(t, "host=db.example.com dbname=lms", ""), Host, nil)
	expect(t, res, checks.Skipped, checks.Unconfigured)
	contains(t, res.Err+res.Note, "another host")

	env := hostEnv(t, "host=127.0.0.1 dbname=lms", "")
	env.Root = t.TempDir()
	if res := run(t, env, Host, nil); res.Level != checks.Unknown {
		t.Errorf("a host without /proc: %v %v", res.Level, res.Facts)
	}
}

// fakeHost has one postgres process and one socket, written by hand: what the
// real host of a test cannot be made to show.
func fakeHost(t *testing.T, cmdline, tcp string) checks.Env {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(root, "proc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("uptime", "1000.00 1000.00\n")
	put("net/tcp", "  sl  local_address rem_address   st\n"+tcp)
	if cmdline != "" {
		put("77/stat", "77 (postgres) D 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 50000 0 10 0\n")
		put("77/cmdline", cmdline)
	}
	env := hostEnv(t, "host=127.0.0.1 port=5432 dbname=lms", "")
	env.Root = root
	return env
}

func TestATunnelIsNoServerOfThisHost(t *testing.T) {
	res := run(t, fakeHost(t, "", "   0: 0100007F:1538 00000000:0000 0A\n"), Host, nil)
	expect(t, res, checks.Skipped, checks.Unconfigured)
	contains(t, res.Err+res.Note, "a tunnel, a proxy or a container")
}

func TestTitlesAreReadAndHostileOnesAreHarmless(t *testing.T) {
	res := run(t, fakeHost(t, "postgres: ev\x1b[2Jil lms 10.0.0.8(5432) idle in transaction\x00\x00", "   0: 0100007F:1538 00000000:0000 0A\n   1: 0100007F:1538 0800000A:C000 01\n   2: 0100007F:1538 0800000A:C001 06\n"), Host, nil)
	if num(t, res, "clients", "") != 1 || num(t, res, "blocked", "") != 1 || num(t, res, "sockets", "established") != 1 || num(t, res, "sockets", "closing") != 1 {
		t.Errorf("%s %v", res.Err, res.Facts)
	}
	if text := cells(t, res, "processes"); strings.Contains(text, "\x1b") {
		t.Errorf("a control character came through: %q", text)
	}
}

// Anybody may put a pipe where a server's lock file is looked for.
func TestAPipeInTheLockFilesPlaceHoldsNobodyUp(t *testing.T) {
	root := t.TempDir()
	pipe := filepath.Join(root, "tmp/.s.PGSQL.5432.lock")
	if err := errors.Join(os.MkdirAll(filepath.Dir(pipe), 0o755), syscall.Mkfifo(pipe, 0o644)); err != nil {
		t.Fatal(err)
	}
	looked := make(chan []serverProcess, 1)
	go func() {
		found, _ := lookout{root: root}.ofServer([]serverProcess{{PID: 7}}, "127.0.0.1", 5432)
		looked <- found
	}()
	select {
	case found := <-looked:
		if len(found) != 1 {
			t.Errorf("a pipe told servers apart: %v", found)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for somebody to write into the pipe")
	}
}

// A log quotes statements and their parameters as they were sent.
func TestTheEndOfTheLogKeepsNoLiteral(t *testing.T) {
	const log = "UTC [1] LOG:  statement: ALTER ROLE lms PASSWORD\n\t'geheim one\n\tgeheim two' VALID UNTIL 'geheim'\n" +
		"UTC [1] DETAIL:  parameters: $1 = 'geheim', $2 = '7'\n" +
		"UTC [2] ERROR:  relation \"a\" does not exist\nUTC [2] STATEMENT:  select set_config('app.key', $x$geheim$x$, true)\n"
	told := strings.Join(logLines(log, false, continuation("a.log")), "\n")
	if strings.Contains(told, "geheim") {
		t.Errorf("a secret came through:\n%s", told)
	}
	contains(t, told, "ALTER ROLE lms PASSWORD", "parameters: $1 = '…', $2 = '…'", `ERROR:  relation "a" does not exist`, "select set_config(")
	if told := logLines("heim one\n\tgeheim two'\nUTC [2] LOG:  done\n", true, continuation("a.log")); len(told) != 1 || told[0] != "UTC [2] LOG:  done" {
		t.Errorf("of a message that was cut off there is %q", told)
	}
}

func TestALookAtTheHostEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (lookout{root: "/"}).processes(ctx); err == nil {
		t.Error("it went on")
	}
}

func TestALiteralOverLinesOfACSVLogIsNotTold(t *testing.T) {
	log := "2026-11-27 03:00:00.000 UTC,\"lms\",\"lms\",1,LOG,00000,\"statement: ALTER ROLE lms PASSWORD 'geheim one\ngeheim two\n  geheim three'\"\n" +
		"2026-11-27 03:00:01.000 UTC,\"lms\",\"lms\",1,LOG,00000,\"checkpoint starting\"\n"
	told := strings.Join(logLines(log, false, continuation("postgresql.csv")), "\n")
	if strings.Contains(told, "geheim") || !strings.Contains(told, "checkpoint starting") {
		t.Errorf("it tells:\n%s", told)
	}
	cut := logLines("heim one\ngeheim two'\"\n"+log, true, continuation("postgresql.csv"))
	if strings.Contains(strings.Join(cut, "\n"), "geheim") {
		t.Errorf("the tail of a message that was cut off is told: %q", cut)
	}
}
