package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func TestVacuumFullGivesRoomBack(t *testing.T) {
	t.Parallel()
	y := newYard(t, append(padded("users", "id % 10 <> 0"), padded("tight", "false")...)...)
	raw := map[string]any{"tables": "auto", "min_size": "1MiB"}
	preview := y.preview(t, VacuumFull, raw)
	expect(t, preview, checks.OK, "")
	contains(t, cells(t, preview, "tables"), "public.users")
	if n := num(t, preview, "tables", ""); n != 1 {
		t.Errorf("auto takes %v tables", n)
	}
	if expected, needed := num(t, preview, "expected", ""), num(t, preview, "needed", ""); expected < 1<<20 || needed < num(t, preview, "size", "") {
		t.Errorf("expected %v, needed %v", expected, needed)
	}
	var out bytes.Buffer
	y.own.Out = &out
	res := y.whole(t, VacuumFull, raw)
	expect(t, res, checks.OK, "")
	if got := num(t, res, "reclaimed", ""); got < 1<<20 {
		t.Errorf("reclaimed %v bytes", got)
	}
	contains(t, out.String(), "client_connection_check_interval = 0", "lock_timeout = 5s", "statement_timeout = ")
	var visible, analysed bool
	if err := y.watch.QueryRow(t.Context(), "SELECT relallvisible > 0, reltuples = 2000 FROM pg_class WHERE relname = 'users'").Scan(&visible, &analysed); err != nil || !visible || !analysed {
		t.Errorf("visibility map %v, statistics %v: %v", visible, analysed, err)
	}
	// The same again finds nothing to do, and rebuilding the indexes neither.
	expect(t, y.preview(t, VacuumFull, raw), checks.Skipped, checks.Unconfigured)
	expect(t, y.preview(t, Reindex, map[string]any{"min_size": "8KiB"}), checks.Skipped, checks.Unconfigured)
	named := y.preview(t, Reindex, map[string]any{"tables": []string{"users"}})
	contains(t, said(named), "users_pkey", "gains nothing, as after VACUUM FULL")
}

func TestVacuumFullNeedsRoomForTheCopy(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)")
	u, err := survey(t.Context(), y.env, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := u.diskOf("")
	if os.Geteuid() == 0 && d.free <= 0 {
		t.Errorf("the disk of the server of this host cannot be told: %s", d.why)
	}
	if d.free > 0 {
		if err := u.room("", "the copy", d.free+1<<40); checks.ClassOf(err) != checks.Limit {
			t.Errorf("a copy larger than the disk: %v", err)
		}
	}
	u.database.Started = u.database.Started.Add(-time.Hour)
	if d := u.diskOf(""); d.free >= 0 {
		t.Error("another server's directory was believed")
	}
	u.server.config.Host = "db1.example"
	if err := u.room("", "the copy", 1<<50); err != nil || len(u.cautions) == 0 {
		t.Errorf("a disk of another host: %v %v", err, u.cautions)
	}
}

func TestTwoActionsAtOneDatabaseAreRefusedFromAnyHost(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int PRIMARY KEY)")
	raw := map[string]any{"tables": []string{"users"}}
	expect(t, y.preview(t, VacuumFull, raw), checks.OK, "")
	sessionWith(t, y.db.DSN, "SET application_name = 'opsdeck/first'", fmt.Sprintf("SELECT pg_advisory_lock(%d, (SELECT oid FROM pg_database WHERE datname = current_database())::int)", claimSpace))
	for _, m := range []*checks.Module{VacuumFull, Reindex, Vacuum, Analyze} {
		res := y.preview(t, m, raw)
		expect(t, res, checks.Unknown, checks.Refused)
		contains(t, res.Err, "opsdeck/first")
		expect(t, y.act(t, m, raw), checks.Unknown, checks.Refused)
	}
}

// deedEnv makes this test binary act as the process of an action.
const deedEnv = "OPSDECK_TEST_VACUUM_FULL"

// TestProcessOfAnAction is no test but the process that the next one kills.
func TestProcessOfAnAction(t *testing.T) {
	dsn := os.Getenv(deedEnv)
	if dsn == "" {
		t.Skip("only started by TestKilledInTheMiddleTheServerFinishes")
	}
	y := &yard{env: envFor(t, dsn), own: checks.Own{Token: "opsdeck/killed"}}
	y.act(t, VacuumFull, map[string]any{"tables": []string{"a", "b"}, "lock_timeout": "1m"})
}

// The process is killed while the server waits for the first table's lock. The
// server goes on with what it was told; the second table is not begun.
func TestKilledInTheMiddleTheServerFinishes(t *testing.T) {
	t.Parallel()
	y := newYard(t, append(padded("a", "id % 2 = 0"), padded("b", "id % 2 = 0")...)...)
	y.own.Token = "opsdeck/killed"
	watched(t, y.db.DSN, sessionCap) // of two processes: each polls, one acts
	raw := map[string]any{"tables": []string{"a", "b"}}
	expect(t, y.preview(t, VacuumFull, raw), checks.OK, "")
	sitting := sessionWith(t, y.db.DSN, "BEGIN", "LOCK TABLE a IN ACCESS SHARE MODE")
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcessOfAnAction$")
	cmd.Env = append(os.Environ(), deedEnv+"="+y.db.DSN)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, y.watch, "it waits for the lock", "EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'opsdeck/killed' AND wait_event_type = 'Lock')")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // it was killed
	seen := cells(t, run(t, y.env, Sessions, nil), "sessions")
	contains(t, seen, "opsdeck/killed", "VACUUM")
	contains(t, strings.Join(columnOf(t, run(t, y.env, Locks, nil), "tree", "app"), " "), "opsdeck/killed")
	res := y.probe(t, VacuumFull, raw)
	expect(t, res, checks.Crit, "")
	if !flag(t, res, "running") || flag(t, res, "done") {
		t.Errorf("while the server is at work the probe says %v", res.Facts)
	}
	again := *y
	again.own.Token = "opsdeck/again"
	refused := again.preview(t, Reindex, raw)
	expect(t, refused, checks.Unknown, checks.Refused)
	contains(t, refused.Err, "opsdeck/killed")
	if _, err := sitting.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	eventually(t, y.watch, "it is finished", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'opsdeck/killed')")
	res = y.probe(t, VacuumFull, raw)
	expect(t, res, checks.Crit, "")
	if flag(t, res, "running") || num(t, res, "remaining", "") != 1 {
		t.Errorf("afterwards the probe says %v", res.Facts)
	}
	contains(t, said(res), "not done to public.b")
}

func TestCancelledVacuumFullLeavesTheTableAsItWas(t *testing.T) {
	t.Parallel()
	y := newYard(t, padded("users", "false")...)
	raw := map[string]any{"tables": []string{"users"}, "lock_timeout": "1m"}
	expect(t, y.preview(t, VacuumFull, raw), checks.OK, "")
	sessionWith(t, y.db.DSN, "BEGIN", "LOCK TABLE users IN ACCESS SHARE MODE")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan checks.Result, 1)
	go func() { ended <- y.actIn(ctx, t, VacuumFull, raw) }()
	eventually(t, y.watch, "it waits for the lock", "EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock')", y.own.Token)
	cancel()
	res := <-ended
	if res.Level != checks.Unknown {
		t.Errorf("cancelled it is %v", res.Level)
	}
	contains(t, res.Err, "cancelled", "after 0 of 1")
	probed := y.probe(t, VacuumFull, raw)
	if flag(t, probed, "done") || flag(t, probed, "running") {
		t.Errorf("the probe says %v", probed.Facts)
	}
}

// What the preview did not show is not touched.
func TestOnlyWhatWasConfirmedIsDone(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)", "CREATE TABLE gone (id int)")
	shown := y.preview(t, Vacuum, nil)
	y.db.Exec(t, "CREATE TABLE late (id int)", "DROP TABLE gone")
	res := y.act(t, Vacuum, nil)
	if done, skipped := num(t, res, "tables", ""), num(t, res, "skipped", ""); done != 1 || skipped != 1 {
		t.Errorf("done to %v tables, skipped %v", done, skipped)
	}
	contains(t, said(res), "public.gone")
	if now := y.preview(t, Vacuum, nil); now.Fingerprint == shown.Fingerprint {
		t.Error("another set of targets has the same fingerprint")
	}
}

func TestTheDeadlineEndsAnActionAtTheServer(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE a (id int)", "CREATE TABLE b (id int)")
	raw := map[string]any{"tables": []string{"a", "b"}, "lock_timeout": "1m", "deadline": "300ms"}
	expect(t, y.preview(t, VacuumFull, raw), checks.OK, "")
	sessionWith(t, y.db.DSN, "BEGIN", "LOCK TABLE a IN ACCESS SHARE MODE")
	res := y.act(t, VacuumFull, raw)
	expect(t, res, checks.Unknown, checks.Timeout)
	if f, ok := res.Fact("skipped", ""); !ok || f.Value != fact.NumberValue(1) {
		t.Errorf("skipped is %v", f)
	}
}
