package postgres

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// aMinuteAgo moves the first look at the log back: a rate of a minute without
// the minute.
func aMinuteAgo(s *Server) {
	s.wal.mu.Lock()
	defer s.wal.mu.Unlock()
	s.wal.looks[0].At = s.wal.looks[0].At.Add(-time.Minute)
}

func TestAnArchiverThatFailsAndRecovers(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"archive_mode": "on", "wal_level": "replica", "autovacuum": "off"}})
	dsn := server.DSN("postgres")
	watched(t, dsn, 1)
	there := pgtest.DB{DSN: dsn}
	watch := there.Connect(t)
	there.Exec(t, "ALTER SYSTEM SET archive_command = 'true'", "SELECT pg_reload_conf()", "CREATE TABLE t (n int)", "SELECT pg_switch_wal()")
	eventually(t, watch, "a file is archived", "archived_count > 0 FROM pg_stat_archiver")
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	look := repeated(t, env, WAL, map[string]any{"sample": "600ms"})
	res := look.run(t)
	expect(t, res, checks.OK, "")
	if !flag(t, res, "archiving") || !flag(t, res, "archiver_ok") || num(t, res, "failing_since", "") != 0 || num(t, res, "wal_size", "") < 1<<20 || num(t, res, "disk_free", "") <= 0 {
		t.Errorf("facts: %v", res.Facts)
	}
	if _, said := res.Fact("hours_left", ""); said {
		t.Error("nobody keeps WAL, and the disk is said to fill")
	}

	there.Exec(t, "ALTER SYSTEM SET archive_command = 'false'", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.6)", "INSERT INTO t SELECT generate_series(1, 50000)", "SELECT pg_switch_wal()")
	eventually(t, watch, "archiving fails", "failed_count > 0 AND last_failed_time > last_archived_time FROM pg_stat_archiver")
	res = look.run(t)
	expect(t, res, checks.Warn, "")
	if flag(t, res, "archiver_ok") || num(t, res, "failing_since", "") <= 0 || num(t, res, "ready", "") < 1 || num(t, res, "failed", "") < 1 {
		t.Errorf("facts: %v", res.Facts)
	}
	if _, said := res.Fact("hours_left", ""); said || num(t, res, "wal_rate", "") <= 0 {
		t.Errorf("50000 rows have no rate, or a burst of a second fills the disk: %v", res.Facts)
	}
	contains(t, res.Detail[0], "archiving of 0000000", "has failed for")
	contains(t, cells(t, res, "archiver"), "last failed | 0000", "oldest waits for")

	aMinuteAgo(serverOf(t, env))
	res = look.run(t)
	expect(t, res, checks.Warn, "")
	if left := num(t, res, "hours_left", ""); left <= 0 {
		t.Errorf("the disk has no end: %v", res.Facts)
	}

	there.Exec(t, "ALTER SYSTEM SET archive_command = 'true'", "SELECT pg_reload_conf()", "SELECT pg_switch_wal()")
	eventually(t, watch, "archiving works again", "last_archived_time > last_failed_time FROM pg_stat_archiver")
	res = look.run(t)
	expect(t, res, checks.OK, "")
	if num(t, res, "failing_since", "") != 0 {
		t.Errorf("facts: %v", res.Facts)
	}
}

func TestWhatARoleMayNotKnowOfTheLogIsSaid(t *testing.T) {
	t.Parallel()
	res := run(t, envFor(t, scratch(t).DSNAs(plain)), WAL, map[string]any{"sample": "600ms"})
	expect(t, res, checks.OK, "")
	for _, name := range []string{"wal_size", "disk_free", "archiver_ok"} {
		if f, there := res.Fact(name, ""); there {
			t.Errorf("%v is known", f)
		}
	}
	contains(t, strings.Join(res.Detail, "\n"), "size of pg_wal not known: permission denied", "disk of pg_wal not known", "archives nothing")
}

func TestTheRateOfTheLog(t *testing.T) {
	start := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	var w walRate
	at := func(after time.Duration, position float64, more func(*walState)) (float64, bool) {
		now := walState{At: start.Add(after), Position: position, Started: start}
		if more != nil {
			more(&now)
		}
		rate, _, known := w.since(now)
		return rate, known
	}
	promoted := func(s *walState) { s.Recovery = true }
	for i, tt := range []struct {
		after    time.Duration
		position float64
		more     func(*walState)
		want     float64 // NaN: not known
	}{
		{0, 1000, nil, math.NaN()},
		{100 * time.Millisecond, 1000, nil, math.NaN()},
		{10 * time.Second, 2000, nil, 100},
		{20 * time.Second, 2000, nil, 50},
		{30 * time.Second, 500, nil, math.NaN()}, // another server, or one restored
		{40 * time.Second, 1500, nil, 100},
		{50 * time.Second, 1500, promoted, math.NaN()},
		{60 * time.Second, 1500, promoted, 0},
		{20 * time.Minute, 1500 + 6e5, promoted, 6e5 / (19 * 60)},
		{30 * time.Minute, 1500 + 6e5, promoted, 0}, // the look of the first minute is too old
	} {
		rate, known := at(tt.after, tt.position, tt.more)
		if known == math.IsNaN(tt.want) || known && math.Abs(rate-tt.want) > 0.01 {
			t.Errorf("look %d: %v, known %v; want %v", i, rate, known, tt.want)
		}
	}
	if got := untilFull(3600, 1); got != time.Hour {
		t.Errorf("3600 bytes at one a second last %s", got)
	}
	if got := untilFull(1e15, 1); got != longestLeft {
		t.Errorf("no end in sight is %s", got)
	}
}

func TestSlotsByWhatTheyKeepAndForHowLong(t *testing.T) {
	safe := 1800.0
	a := allSlots{known: true, took: time.Minute, rate: 1, disk: disk{free: 7200}, all: []slot{
		{Name: "unread", Status: "extended", Retained: 5}, {Name: "bounded", Status: "unreserved", Safe: &safe},
		{Name: "read", Active: true, Status: "reserved"}, {Name: "gone", Status: "lost", Why: "wal_removed"},
	}}
	f := checks.Findings{}
	a.describe(&f)
	res := checks.Result{Facts: f.Facts}
	for name, want := range map[string]time.Duration{"unread": 2 * time.Hour, "bounded": 30 * time.Minute} {
		if got, _ := res.Fact("hours_left", name); got.Dur() != want {
			t.Errorf("%s lasts %s, want %s", name, got.Dur(), want)
		}
	}
	for _, name := range []string{"read", "gone"} {
		if got, there := res.Fact("hours_left", name); there {
			t.Errorf("%s has %v", name, got)
		}
	}
	if n, _ := res.Fact("lost_slots", ""); n.Num != 1 {
		t.Errorf("%v slots are lost", n.Num)
	}
	contains(t, strings.Join(f.Detail, "\n"), "slot gone is lost", "wal_removed", "slot unread has no reader and keeps 5 B (extended)")
	if got := checks.Judge(Replication, Replication.DefaultRules(), append(f.Facts, fact.Number("missing", 0))); got.Level != checks.Crit {
		t.Errorf("a lost slot is %v", got.Level)
	}
}

func TestCheckpointsByTheClockAndByDemand(t *testing.T) {
	t.Parallel()
	for _, version := range []int{15, 18} {
		t.Run(map[int]string{15: "before 16", 18: "since 17"}[version], func(t *testing.T) {
			t.Parallel()
			bin, err := pgserver.Major(version)
			if err != nil {
				pgtest.Missing(t, err)
			}
			server := ownServer(t, pgserver.Options{Bin: bin, Settings: map[string]string{"autovacuum": "off", "track_io_timing": "on"}})
			dsn := server.DSN("postgres")
			watched(t, dsn, 1)
			there := pgtest.DB{DSN: dsn}
			look := repeated(t, envFor(t, server.DSNAs(monitor, "postgres")), Checkpoints, nil)
			first := look.run(t)
			if flag(t, first, "delta") || flag(t, first, "reset") {
				t.Errorf("facts of the first look: %v", first.Facts)
			}
			counter := map[int]string{15: "checkpoints_req FROM pg_stat_bgwriter", 18: "num_requested FROM pg_stat_checkpointer"}[version]
			watch := there.Connect(t)
			var before int64
			if err := watch.QueryRow(t.Context(), "SELECT "+counter).Scan(&before); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				there.Exec(t, "CREATE TABLE IF NOT EXISTS t (n int)", "INSERT INTO t SELECT generate_series(1, 20000)", "CHECKPOINT")
			}
			eventually(t, watch, "the checkpoints are counted", "$1 + 3 <= "+counter, before)
			res := look.run(t)
			expect(t, res, checks.Warn, "")
			if num(t, res, "requested", "") < 3 || num(t, res, "requested_share", "") <= 50 || num(t, res, "by_checkpointer", "") <= 0 || num(t, res, "interval", "") <= 0 {
				t.Errorf("facts: %v", res.Facts)
			}
			io := cells(t, res, "io")
			contains(t, io, "checkpointer | relation | normal")
			if version >= 16 {
				contains(t, io, "client backend | relation | normal", "unknown")
			}
			there.Exec(t, map[int]string{15: "SELECT pg_stat_reset_shared('bgwriter')", 18: "SELECT pg_stat_reset_shared()"}[version])
			after := look.run(t)
			if !flag(t, after, "reset") || flag(t, after, "delta") {
				t.Errorf("facts after a reset: %v", after.Facts)
			}
			for _, f := range after.Facts {
				if f.Num < 0 {
					t.Errorf("%s is %v after a reset", f.Name, f.Num)
				}
			}
		})
	}
}
