package postgres

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// again runs a check a second time with the memory of the first.
type again struct {
	runner *checks.Runner
	check  checks.Check
}

func repeated(t *testing.T, env checks.Env, m *checks.Module, raw map[string]any) again {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return again{checks.NewRunner(env, nil), check}
}

func (a again) run(t *testing.T) checks.Result {
	t.Helper()
	return checktest.RunCheck(t, a.runner, a.check)
}

// transact commits and rolls back in a session that then ends, so that the
// server's counters have it.
func transact(t *testing.T, db pgtest.DB, commits, rollbacks int) {
	t.Helper()
	watch := db.Connect(t)
	var before float64
	total := "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database WHERE datname = current_database()"
	if err := watch.QueryRow(t.Context(), total).Scan(&before); err != nil {
		t.Fatal(err)
	}
	s := sessionWith(t, db.DSN)
	for range commits {
		s.PgConn().Exec(t.Context(), "BEGIN; SELECT 1; COMMIT").ReadAll() //nolint:errcheck // counted below
	}
	for range rollbacks {
		s.PgConn().Exec(t.Context(), "BEGIN; SELECT 1; ROLLBACK").ReadAll() //nolint:errcheck // counted below
	}
	end(t, s)
	counted(t, watch, "the transactions are counted",
		"xact_commit + xact_rollback >= $1 FROM pg_stat_database WHERE datname = current_database()", int64(before)+int64(commits+rollbacks))
}

func TestTransactionsAreRatedBetweenTwoLooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		role               string
		commits, rollbacks int
		want               checks.Level
	}{{super, 1000, 0, checks.OK}, {monitor, 1000, 150, checks.Warn}, {plain, 500, 500, checks.Crit}} {
		t.Run(tt.want.String(), func(t *testing.T) {
			t.Parallel()
			db := scratch(t)
			transact(t, db, 1, 0) // before 15 the first one resets the counters
			tps := repeated(t, envFor(t, db.DSNAs(tt.role)), TPS, map[string]any{"sample": "100ms"})
			first := tps.run(t)
			expect(t, first, checks.OK, "")
			if _, ok := first.Fact("rollbacks_share", ""); ok {
				t.Errorf("a share of next to nothing: %v", first.Facts)
			}
			transact(t, db, tt.commits, tt.rollbacks)
			res := tps.run(t)
			expect(t, res, tt.want, "")
			per := num(t, res, "measured", "") / 1000
			if n := num(t, res, "tps", "") * per; math.Abs(n-float64(tt.commits+tt.rollbacks)) > 20 {
				t.Errorf("%v transactions are rated, want %d: %v", n, tt.commits+tt.rollbacks, res.Facts)
			}
			share := 100 * float64(tt.rollbacks) / float64(tt.commits+tt.rollbacks)
			if got := num(t, res, "rollbacks_share", ""); math.Abs(got-share) > 2 {
				t.Errorf("%v %% rolled back, want %v", got, share)
			}
		})
	}
}

func TestAResetOfTheStatisticsGivesNoNegativeRates(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	watched(t, db.DSN, 1)
	transact(t, db, 200, 0)
	tps := repeated(t, envFor(t, db.DSNAs(monitor)), TPS, map[string]any{"sample": "100ms"})
	tps.run(t)
	db.Exec(t, "SELECT pg_stat_reset()")
	counted(t, db.Connect(t), "the reset is seen", "stats_reset IS NOT NULL FROM pg_stat_database WHERE datname = current_database()")
	res := tps.run(t)
	expect(t, res, checks.OK, "")
	contains(t, strings.Join(res.Detail, "\n"), "were reset")
	for _, f := range res.Facts {
		if f.Num < 0 {
			t.Errorf("%s is %v", f.Name, f.Num)
		}
	}
}

func TestCacheHitsNeedReads(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE wide AS SELECT repeat('x', 1000) FROM generate_series(1, 10000)")
	transact(t, db, 1, 0)
	tps := repeated(t, envFor(t, db.DSNAs(monitor)), TPS, map[string]any{"sample": "100ms"})
	tps.run(t)
	watch := db.Connect(t)
	var before int64
	blocks := "blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
	if err := watch.QueryRow(t.Context(), "SELECT "+blocks).Scan(&before); err != nil {
		t.Fatal(err)
	}
	end(t, sessionWith(t, db.DSN, "SELECT count(*) FROM wide"))
	counted(t, watch, "the reads are counted", "$1 + 1400 < "+blocks, before)
	res := tps.run(t)
	if hit := num(t, res, "cache_hit", ""); hit < 0 || hit > 100 {
		t.Errorf("cache hit %v", hit)
	}
}

func TestADeadlockIsCountedOnce(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE a ()", "CREATE TABLE b ()")
	transact(t, db, 1, 0)
	tps := repeated(t, envFor(t, db.DSNAs(monitor)), TPS, map[string]any{"sample": "100ms"})
	expect(t, tps.run(t), checks.OK, "")
	first := sessionWith(t, db.DSN, "SET deadlock_timeout = '100s'", "BEGIN", "LOCK TABLE a")
	inBackground(t, db.Connect(t), db.DSN, []string{"SET deadlock_timeout = '100s'", "BEGIN", "LOCK TABLE b"}, "LOCK TABLE a")
	if _, err := first.Exec(t.Context(), "SET LOCAL deadlock_timeout = '10ms'"); err != nil {
		t.Fatal(err)
	}
	if _, err := first.PgConn().Exec(t.Context(), "LOCK TABLE b").ReadAll(); !hasCode(err, "40P01") {
		t.Fatalf("no deadlock: %v", err)
	}
	end(t, first)
	counted(t, db.Connect(t), "the deadlock is counted", "deadlocks = 1 FROM pg_stat_database WHERE datname = current_database()")
	res := tps.run(t)
	expect(t, res, checks.Warn, "")
	if num(t, res, "deadlocks", "") != 1 || num(t, tps.run(t), "deadlocks", "") != 0 {
		t.Errorf("facts: %v", res.Facts)
	}
}

func TestSlowStatements(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	env := envFor(t, db.DSNAs(monitor))
	expect(t, run(t, env, Slow, nil), checks.Unknown, checks.Missing)
	db.Exec(t, "CREATE SCHEMA stats", "CREATE EXTENSION pg_stat_statements SCHEMA stats")
	expect(t, run(t, env, Slow, nil), checks.Unknown, checks.Denied) // pg_monitor does not open schemas
	db.Exec(t, "GRANT USAGE ON SCHEMA stats TO PUBLIC")
	for _, role := range []string{super, monitor} {
		expect(t, run(t, envFor(t, db.DSNAs(role)), Slow, nil), checks.OK, "")
	}
	res := run(t, envFor(t, db.DSNAs(plain)), Slow, nil)
	expect(t, res, checks.Unknown, checks.Denied)
	contains(t, res.Err, "GRANT pg_monitor TO "+plain)

	slow := repeated(t, env, Slow, map[string]any{"min_calls": 2})
	if num(t, slow.run(t), "delta", "") != 0 {
		t.Error("the first run compared with something")
	}
	work := sessionWith(t, db.DSN, "SELECT pg_sleep(0.11) /* report */", "SELECT pg_sleep(0.12) /* report */",
		"ALTER ROLE "+plain+" PASSWORD 'hunter2'", "ALTER ROLE "+plain+" PASSWORD 'hunter2'")
	res = slow.run(t)
	expect(t, res, checks.Warn, "")
	if num(t, res, "slow", "") != 1 || num(t, res, "heavy", "") != 0 || num(t, res, "worst_mean", "") < 100 || num(t, res, "delta", "") != 1 || num(t, res, "worst_share", "") < 50 {
		t.Errorf("facts: %v", res.Facts)
	}
	contains(t, cells(t, res, "statements"), "pg_sleep($1)")
	busiest := cells(t, res, "busiest")
	if strings.Contains(busiest, "hunter2") {
		t.Errorf("a password is in the evidence:\n%s", busiest)
	}

	fresh := repeated(t, env, Slow, map[string]any{"min_calls": 2, "mean": "50ms"})
	contains(t, strings.Join(fresh.run(t).Detail, "\n"), "since the statistics were ")
	expect(t, fresh.run(t), checks.OK, "") // what was slow before is not slow now

	heavy := repeated(t, env, Slow, map[string]any{"min_calls": 1})
	heavy.run(t)
	if _, err := work.PgConn().Exec(t.Context(), "SELECT pg_sleep(1.05) /* other */ AS again").ReadAll(); err != nil {
		t.Fatal(err)
	}
	expect(t, heavy.run(t), checks.Crit, "")
}

func TestStatementsThatAreInstalledButNotLoadedAreUnknown(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Preload: []string{"none"}})
	sessionWith(t, server.DSN("postgres"), "CREATE EXTENSION pg_stat_statements")
	res := run(t, envFor(t, server.DSNAs(monitor, "postgres")), Slow, nil)
	expect(t, res, checks.Unknown, checks.Missing)
	contains(t, res.Err, "shared_preload_libraries")
}

func TestTheIntervalOfAStatement(t *testing.T) {
	// Five calls of 10, 12, 14, 40, 50 ms; the first three were known before.
	before := statement{ID: 1, Calls: 3, Total: 36, Mean: 12, Stddev: math.Sqrt(8.0 / 3), Rows: 3}
	now := statement{ID: 1, Calls: 5, Total: 126, Mean: 25.2, Stddev: math.Sqrt(272.96), Rows: 5}
	want := statement{ID: 1, Calls: 2, Total: 90, Mean: 45, Stddev: 5, Rows: 2}
	if diff := cmp.Diff(want, minus(now, before), cmpopts.EquateApprox(0, 0.02)); diff != "" {
		t.Errorf("the interval (-want +got):\n%s", diff)
	}
	if got := minus(before, now); got != before {
		t.Errorf("an entry that was dropped and came back counts %+v", got)
	}
	if got := minus(now, now); got.Calls != 0 {
		t.Errorf("an entry that stood still counts %+v", got)
	}
}

func TestTheBaselineIsBetweenOneAndTwoWindowsOld(t *testing.T) {
	start := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	at := func(minutes int) snapshot {
		return snapshot{resetInfo: resetInfo{At: start.Add(time.Duration(minutes) * time.Minute)}}
	}
	kept := baselines{}.rotated(at(0), false, 10*time.Minute)
	for minute := 1; minute < 100; minute++ {
		age := at(minute).At.Sub(kept.base.At)
		if age > 21*time.Minute || minute > 20 && age < 10*time.Minute {
			t.Errorf("in minute %d the baseline is %s old", minute, age)
		}
		kept = kept.rotated(at(minute), true, 10*time.Minute)
	}
	reset := start.Add(90 * time.Minute)
	after := at(101)
	after.Reset = &reset
	if got := kept.rotated(after, true, 10*time.Minute); !got.base.At.Equal(after.At) {
		t.Error("a reset leaves the old baseline")
	}
}

func TestABadEncodingNeverFailsACheck(t *testing.T) {
	t.Parallel()
	db := scratch(t, "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
	db.Exec(t, "CREATE EXTENSION pg_stat_statements")
	bad := sessionWith(t, db.DSN, "SET client_encoding = 'SQL_ASCII'", "BEGIN", "SELECT 'caf\xe9 \xff\xfe' AS bytes")
	utf8 := scratch(t)
	for _, env := range []checks.Env{envFor(t, db.DSNAs(monitor)), envFor(t, utf8.DSNAs(monitor))} {
		res := run(t, env, Connections, nil)
		if res.Err != "" {
			t.Errorf("%s", res.Err)
		}
		contains(t, cells(t, res, "sessions"), "SELECT 'caf\uFFFD")
	}
	if _, err := bad.PgConn().Exec(context.Background(), "COMMIT").ReadAll(); err != nil {
		t.Fatal(err)
	}
	expect(t, run(t, envFor(t, db.DSNAs(monitor)), Slow, nil), checks.OK, "")
	env := withQuery(envFor(t, db.DSN), checks.Query{SQL: "SELECT E'\\xff' || 'x' AS word"})
	contains(t, cells(t, run(t, env, Query, map[string]any{"query": "q"}), "rows"), "\uFFFDx")
}
