package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
	"github.com/advanced-lms/opsdeck/ui/screen"
)

// measured is for how long a screen is left alone while it is measured, after
// it has come to rest.
const (
	measured = 20 * time.Second
	resting  = 6 * time.Second
)

// shownViews are the views of the pane by their letters.
var shownViews = []struct{ name, letter string }{
	{"overview", "o"}, {"sessions", "s"}, {"blocking", "b"}, {"saturation", "u"}, {"statements", "m"}, {"tables", "t"}, {"vacuum", "v"},
	{"indexes", "i"}, {"sequences", "n"}, {"progress", "p"}, {"wraparound", "x"},
}

// BenchmarkServersCostOfAScreen measures what a screen that somebody looks at
// costs the server, with 20,000 tables and 500 connections: the processor time
// of its sessions there, over the time, as a share of one core. The deck with
// all its standing checks and one view, and the peers that the machine has, on
// the same server in one run:
//
//	go test ./ui/cli -run xxx -bench ServersCost -benchtime 1x -timeout 30m
func BenchmarkServersCostOfAScreen(b *testing.B) {
	bin, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	db := pgtest.Large(b)
	db.Exec(b, "CREATE ROLE watcher LOGIN", "GRANT pg_monitor TO watcher")
	pgtest.Crowd(b, db, 500)
	dir := b.TempDir()
	site := filepath.Join(dir, "opsdeck.yaml")
	if err := os.WriteFile(site, fmt.Appendf(nil, "schema: 1\nsite: large\nconnections:\n  postgres:\n    main: {dsn: %q}\n", db.DSNAs("watcher")), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, v := range shownViews {
		b.Run("opsdeck/"+v.name, func(b *testing.B) {
			costs(b, db, "opsdeck/%", func() *screen.Terminal {
				term := screen.Start(b, 160, 45, []string{"LC_ALL=C.UTF-8"}, bin, "--site", site, "--state", filepath.Join(dir, "state"))
				term.WaitFor("DATABASE")
				for _, key := range "3zw" + v.letter {
					term.Send(string(key))
					time.Sleep(200 * time.Millisecond) // between two keys of a person
				}
				return term
			})
		})
	}
	for _, args := range [][]string{nil, {"--no-db-size"}} {
		b.Run(strings.Join(append([]string{"pg_activity"}, args...), " "), func(b *testing.B) {
			path, err := exec.LookPath("pg_activity")
			if err != nil {
				b.Skip(err)
			}
			costs(b, db, "pg_activity", func() *screen.Terminal {
				return screen.Start(b, 160, 45, []string{"LC_ALL=C.UTF-8"}, append([]string{path, "-h", db.Server.SocketDir(), "-U", "watcher", "-d", db.Name}, args...)...)
			})
		})
	}
}

// costs reports what the sessions of an application use while its screen is
// left alone.
func costs(b *testing.B, db pgtest.DB, app string, start func() *screen.Terminal) {
	term := start()
	defer func() {
		term.Process().Kill()
		term.Wait()
	}()
	time.Sleep(resting) // until the views have been filled
	for b.Loop() {
		before, began := used(b, db, app), time.Now()
		time.Sleep(measured)
		after, took := used(b, db, app), time.Since(began)
		var spent time.Duration
		for pid, cpu := range after {
			spent += cpu - before[pid]
		}
		if len(after) == 0 {
			b.Fatalf("%s has no session:\n%s", app, term.Screen())
		}
		b.ReportMetric(100*spent.Seconds()/took.Seconds(), "core-%")
		b.ReportMetric(float64(len(after)), "sessions")
		b.ReportMetric(0, "ns/op") // it is time that passes
	}
}

// used is the processor time of the sessions of an application, by pid.
func used(b *testing.B, db pgtest.DB, app string) map[int]time.Duration {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), db.DSN)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context()) //nolint:errcheck // the answer is there
	found, err := conn.Query(b.Context(), "SELECT pid FROM pg_stat_activity WHERE application_name LIKE $1", app)
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(found, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	all := map[int]time.Duration{}
	for _, pid := range pids {
		if cpu, ok := pgtest.ProcessorTime(pid); ok {
			all[pid] = cpu
		}
	}
	return all
}
