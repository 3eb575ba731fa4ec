package postgres

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

func TestAServerWithoutReplicasIsSkipped(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	expect(t, run(t, y.env, Replication, nil), checks.Skipped, checks.Unconfigured)
	res := run(t, y.env, Replication, map[string]any{"expected": 1})
	expect(t, res, checks.Crit, "")
}

func TestARealReplicaIsMeasuredFromBothEnds(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"wal_level": "replica", "max_wal_senders": "4"}
	primary := ownServer(t, pgserver.Options{Settings: settings})
	bin, err := pgserver.Find()
	if err != nil {
		pgtest.Missing(t, err)
	}
	dir := pgtest.Dir(t)
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_basebackup"), "-d", primary.DSN("postgres"), "-D", filepath.Join(dir, "data"),
		"-R", "-X", "stream", "-c", "fast", "-C", "-S", "replica1").CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	copied, err := pgserver.Start(context.Background(), pgserver.Options{Dir: dir, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := copied.Stop(); err != nil {
			t.Error(err)
		}
	}
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	watch := pgtest.Connect(t, primary.DSN("postgres"))
	there := pgtest.DB{DSN: primary.DSN("postgres")}
	there.Exec(t, "CREATE TABLE t (id int)")
	eventually(t, watch, "the replica has it all", "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = pg_current_wal_insert_lsn())")
	env := envFor(t, primary.DSN("postgres"))
	res := run(t, env, Replication, map[string]any{"expected": 1})
	expect(t, res, checks.OK, "")
	contains(t, cells(t, res, "replicas"), "streaming", "async")
	if n := num(t, res, "replicas", ""); n != 1 {
		t.Errorf("%v replicas", n)
	}
	same(t, "the slot", columnOf(t, res, "slots", "slot"), "replica1")
	same(t, "its kind", columnOf(t, res, "slots", "kind"), "physical")
	same(t, "its reader", columnOf(t, res, "slots", "active"), "true")
	same(t, "its lag", columnOf(t, res, "replicas", "lag"), "0 s")
	replicaEnv := envFor(t, copied.DSN("postgres"))
	if mine := run(t, replicaEnv, Replication, nil); mine.Level != checks.OK {
		t.Errorf("the replica itself: %v %s", mine.Level, mine.Err)
	}
	for _, m := range []*checks.Module{Sessions, Saturation, Progress, Checkpoints, WAL, Locks} {
		if onReplica := run(t, replicaEnv, m, nil); onReplica.Err != "" {
			t.Errorf("%s on a replica: %s", m.Name, onReplica.Err)
		}
	}
	contains(t, run(t, replicaEnv, Ping, nil).Note, "standby")
	expect(t, run(t, envFor(t, primary.DSNAs(plain, "postgres")), Replication, nil), checks.Unknown, checks.Denied)

	pgtest.DB{DSN: copied.DSN("postgres")}.Exec(t, "SELECT pg_promote()")
	promoted := run(t, replicaEnv, Ping, nil)
	expect(t, promoted, checks.Warn, "")
	contains(t, factText(promoted, "event"), "was a standby and is the primary now")
	contains(t, promoted.Note, ", primary, ")

	stop()
	stopped = true
	eventually(t, watch, "the replica is gone", "NOT EXISTS (SELECT FROM pg_stat_replication)")
	look := repeated(t, env, Replication, nil)
	res = look.run(t)
	expect(t, res, checks.Warn, "")
	contains(t, said(res), "replica1 has no reader")
	there.Exec(t, "INSERT INTO t SELECT generate_series(1, 50000)", "SELECT pg_sleep(0.6)")
	aMinuteAgo(serverOf(t, env))
	res = look.run(t)
	if left := num(t, res, "hours_left", "replica1"); left <= 0 || num(t, res, "retained", "replica1") < 1<<20 {
		t.Errorf("facts: %v", res.Facts)
	}
	if flag(t, res, "idle") {
		t.Error("a primary that wrote is said to be idle")
	}
}
