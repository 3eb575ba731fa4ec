package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMain lets this binary be a janitor, and the demo that a test kills.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "janitor":
		if err := Clean(os.Args[2], os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	case os.Getenv("SANDBOX_TEST_DEMO") != "":
		s, err := Start(context.Background(), Options{Janitor: []string{os.Args[0], "janitor"}})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.Dir)
		select {}
	}
	os.Exit(m.Run())
}

func started(t *testing.T) *Sandbox {
	t.Helper()
	s, err := Start(t.Context(), Options{Progress: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if len(s.Missing) > 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(s.Missing)
		}
		t.Skip(s.Missing)
	}
	return s
}

func TestTheSandboxIsAWholeSite(t *testing.T) {
	s := started(t)
	site, err := os.ReadFile(s.Site)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"postgres:", "redis:", "tls.expiry", "backups:", "active_users", "certbot:"} {
		if !strings.Contains(string(site), part) {
			t.Errorf("the site file has no %s:\n%s", part, site)
		}
	}
	base := between(string(site), "  web: ", "\n")
	for path, want := range map[string]int{"/health": 200, "/api/health": 200, "/search/health": 200, "/payments/health": 503} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s answers %d, want %d", path, res.StatusCode, want)
		}
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "maintenance.flag"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/health": 503, "/api/health": 200} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("while the site is closed %s answers %d, want %d", path, res.StatusCode, want)
		}
	}
	conn, err := pgx.Connect(t.Context(), s.postgres.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var tables, dead int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil || tables <= 30 {
		t.Errorf("%d tables, %v; the guide wants more than 30", tables, err)
	}
	if err := conn.QueryRow(t.Context(), "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'view_counters'").Scan(&dead); err != nil || dead < 1000 {
		t.Errorf("%d dead tuples, %v; want over 1000", dead, err)
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}

func TestClosingLeavesNothingBehind(t *testing.T) {
	s := started(t)
	postmaster := s.postgres.PID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if alive(postmaster) {
		t.Error("the database is still running")
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
}

// TestKillLeavesNothingBehind: kill -9 of the parent, which can do nothing
// about it itself.
func TestKillLeavesNothingBehind(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SANDBOX_TEST_DEMO=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || strings.HasPrefix(lines.Text(), "error:") {
		t.Fatalf("the demo said %q", lines.Text())
	}
	dir := lines.Text()
	children := childrenOf(cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	for gone := time.Now().Add(30 * time.Second); time.Now().Before(gone); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && !anyAlive(children) {
			return
		}
	}
	t.Errorf("after kill -9: %s still there or one of %v still running", dir, children)
}

func childrenOf(pid int) []int {
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var child, parent int
		var state string
		after := string(raw[strings.LastIndexByte(string(raw), ')')+1:])
		if _, err := fmt.Sscan(after, &state, &parent); err != nil || parent != pid {
			continue
		}
		if _, err := fmt.Sscan(string(raw), &child); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func anyAlive(pids []int) bool {
	for _, pid := range pids {
		if alive(pid) {
			return true
		}
	}
	return false
}

func TestOnlyASandboxIsRemoved(t *testing.T) {
	dir := t.TempDir()
	if err := remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error("a directory without the marker was removed")
	}
	if err := os.WriteFile(filepath.Join(dir, marker), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := remove(dir); err == nil {
		t.Error("a directory of another name was removed")
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := Start(b.Context(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}
