package pgserver_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// orphan is set in the test binary that is started to be killed.
const orphan = "PGSERVER_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphan); dir != "" {
		server, err := pgserver.Start(context.Background(), pgserver.Options{Dir: dir})
		if err != nil {
			println("failed:", err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString(strconv.Itoa(server.PID()) + "\n")
		select {}
	}
	os.Exit(pgtest.Main(m))
}

func start(t *testing.T, opts pgserver.Options) *pgserver.Server {
	t.Helper()
	server, err := pgserver.Start(t.Context(), opts)
	if err != nil {
		pgtest.Missing(t, err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var answer string
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestAStoppedClusterKeepsItsDataForTheNextStart(t *testing.T) {
	t.Parallel()
	opts := pgserver.Options{Dir: pgtest.Dir(t), Settings: map[string]string{"max_connections": "17"}}
	server := start(t, opts)
	if got := query(t, server.DSN("postgres"), "SHOW max_connections"); got != "17" {
		t.Errorf("max_connections is %s, want 17", got)
	}
	if got := query(t, server.DSN("postgres"), "SHOW shared_preload_libraries"); !strings.Contains(got, "pg_stat_statements") {
		t.Errorf("preloaded is %q", got)
	}
	pgtest.DB{DSN: server.DSN("postgres")}.Exec(t, "CREATE TABLE kept AS SELECT 42 AS n")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	<-server.Done()
	if err := server.Stop(); err != nil {
		t.Errorf("a second stop: %v", err)
	}
	if got := query(t, start(t, opts).DSN("postgres"), "SELECT n::text FROM kept"); got != "42" {
		t.Errorf("the table holds %s, want 42", got)
	}
}

func TestALongDirectoryStillGetsASocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(filepath.Dir(pgtest.Dir(t)), strings.Repeat("long ", 20)+"it's")
	server := start(t, pgserver.Options{Dir: dir, Preload: []string{"no_such_library"}})
	if got := query(t, server.DSN("postgres"), "SHOW shared_preload_libraries"); got != "" {
		t.Errorf("preloaded is %q, though there is no such library", got)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(server.SocketDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's directory is left behind: %v", err)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := pgserver.Start(t.Context(), pgserver.Options{Dir: pgtest.Dir(t), Settings: map[string]string{"work_mem": "never"}})
	if errors.Is(err, pgserver.ErrNotFound) {
		pgtest.Missing(t, err)
	}
	if err == nil || !strings.Contains(err.Error(), "work_mem") {
		t.Errorf("the error is %v, want one that names work_mem", err)
	}
}

func TestTheServerDiesWithAKilledParent(t *testing.T) {
	t.Parallel()
	if _, err := pgserver.Find(); err != nil {
		pgtest.Missing(t, err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphan+"="+pgtest.Dir(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the parent did not start a server: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // it was killed
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for alive(pid) {
		if ctx.Err() != nil {
			t.Fatalf("the server %d outlived its parent", pid)
		}
		time.Sleep(5 * time.Millisecond) // between looks at another process
	}
}

// alive is false for a zombie too: where nobody reaps orphans it stays one.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestADirectoryThatTheServersUserCannotEnterIsNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("only root starts the server as somebody else")
		}
		t.Skip("only root starts the server as somebody else")
	}
	dir := t.TempDir()
	_, err := pgserver.Start(t.Context(), pgserver.Options{Dir: filepath.Join(dir, "pg")})
	if errors.Is(err, pgserver.ErrNotFound) {
		pgtest.Missing(t, err)
	}
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+filepath.Dir(dir)) {
		t.Errorf("the error is %v, want one that names %s", err, filepath.Dir(dir))
	}
}

func TestAFetchThatCannotReachItsSourceSaysWhatToDo(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var told []string
	_, err := pgserver.Fetch(ctx, func(line string) { told = append(told, line) })
	if err == nil {
		t.Skip("fetched before")
	}
	if !errors.Is(err, pgserver.ErrNotFound) || !strings.Contains(err.Error(), "apt install postgresql") || len(told) != 1 {
		t.Errorf("error %v, told %q", err, told)
	}
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	a, b := pgtest.Database(t), pgtest.Database(t)
	a.Exec(t, "CREATE TABLE mine ()")
	if got := query(t, b.DSN, "SELECT count(*)::text FROM pg_class WHERE relname = 'mine'"); got != "0" {
		t.Errorf("%s sees the table of %s", b.Name, a.Name)
	}
}
