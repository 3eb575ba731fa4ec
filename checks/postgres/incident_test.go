package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// polled are the modules that a screen polls while somebody looks at it.
func polled() []*checks.Module {
	var all []*checks.Module
	for _, m := range Family().Modules {
		if m.Effect == checks.ReadOnly && m != Query && m != Host {
			all = append(all, m)
		}
	}
	return all
}

// pollAll runs all of them at once, as the monitor does, and gives the results
// by name.
func pollAll(t *testing.T, env checks.Env) map[string]checks.Result {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	results := map[string]checks.Result{}
	for _, m := range polled() {
		group.Go(func() {
			res := run(t, env, m, nil)
			mu.Lock()
			defer mu.Unlock()
			results[m.Name] = res
		})
	}
	group.Wait()
	return results
}

// An exclusive lock, held by one session and queued for by another: whoever
// waits behind it waits for long, and so does everybody behind them.
func TestEveryPollStaysLiveBehindAnExclusiveLock(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	dsn := server.DSN("postgres")
	watch := sessionWith(t, dsn, "CREATE EXTENSION pg_stat_statements", "CREATE TABLE held (n int PRIMARY KEY)", "CREATE TABLE queued (n int PRIMARY KEY)",
		"INSERT INTO held SELECT generate_series(1, 1000)", "ANALYZE")
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	watched(t, dsn, 1)
	holder := sessionWith(t, dsn, "BEGIN", "LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
	reader := sessionWith(t, dsn, "BEGIN", "SELECT count(*) FROM queued")
	waiting := inBackground(t, watch, dsn, nil, "ALTER TABLE queued ADD COLUMN more int")
	for name, res := range pollAll(t, env) {
		if res.Err != "" && res.Level != checks.Skipped {
			t.Errorf("%s behind an exclusive lock: %s", name, res.Err)
		}
	}
	res := run(t, env, Locks, nil)
	same(t, "the tree", columnOf(t, res, "tree", "pid"), pidOf(reader), pidOf(waiting))
	contains(t, columnOf(t, res, "tree", "mode")[1], "AccessExclusiveLock")
	contains(t, cells(t, run(t, env, Sessions, nil), "sessions"), pidOf(holder), "AccessExclusive on public.held")
}

func TestAFullServerIsSeenFromTheSeatAndThroughTheEmergency(t *testing.T) {
	t.Parallel()
	server := small(t)
	asMonitor, asSuper := server.DSNAs(monitor, "postgres"), server.DSN("postgres")
	seat := envFor(t, asMonitor)
	expect(t, run(t, seat, Ping, nil), checks.OK, "")
	watch := sessionWith(t, asSuper, "ALTER ROLE "+plain+" CONNECTION LIMIT 20", "CREATE ROLE narrow LOGIN CONNECTION LIMIT 1", "GRANT pg_monitor TO narrow")
	narrow := sessionWith(t, server.DSNAs("narrow", "postgres"))

	limited := run(t, envFor(t, server.DSNAs("narrow", "postgres")), Sessions, nil)
	expect(t, limited, checks.Unknown, checks.Refused)
	contains(t, limited.Err, "the role's own CONNECTION LIMIT", "ALTER ROLE")
	around := envFor(t, server.DSNAs("narrow", "postgres"), checks.Connection{Kind: kind, Name: "emergency", DSN: asSuper, Use: "only-when-full"})
	seen := run(t, around, Saturation, nil)
	expect(t, seen, checks.Crit, "") // its one session is all that the role may have
	contains(t, factText(seen, "cause"), "the role's own CONNECTION LIMIT")
	if num(t, seen, "limit_used", "role narrow") != 100 || flag(t, seen, "full") {
		t.Errorf("facts: %v", seen.Facts)
	}
	end(t, narrow)

	watched(t, asSuper, 2) // the seat, and the emergency connection while it looks
	eventually(t, watch, "the other is gone", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'narrow')")
	for range 7 { // with the seat and those who watch the last slot is gone
		sessionWith(t, server.DSNAs(plain, "postgres")+" application_name=flood")
	}
	res := run(t, seat, Saturation, nil)
	expect(t, res, checks.Warn, "") // 9 of 10: the seat, the tenth, is not counted
	same(t, "the users", columnOf(t, res, "by_user", "name"), plain, super)
	contains(t, cells(t, res, "by_user"), plain+" | 7 | 0 | 7 | 0 | 0 | 20 | 35 %")
	contains(t, cells(t, res, "by_app"), "flood | 7 | 0 | 7 | 0 | 0 | - | 70 %")
	contains(t, cells(t, res, "by_state"), "idle | ")
	contains(t, cells(t, res, "by_client"), "local | 9")
	contains(t, cells(t, res, "by_database"), "postgres | 9")

	for _, m := range []*checks.Module{Sessions, Saturation, Locks} {
		if fromSeat := run(t, seat, m, nil); fromSeat.Err != "" {
			t.Errorf("%s from the seat that was taken in time: %s", m.Name, fromSeat.Err)
		}
	}
	late := run(t, envFor(t, asMonitor), Saturation, nil)
	expect(t, late, checks.Crit, "")
	contains(t, factText(late, "cause"), "only slots reserved", "still gets in")
	expect(t, run(t, envFor(t, asMonitor), Sessions, nil), checks.Unknown, checks.Refused)
	emergency := envFor(t, asMonitor, checks.Connection{Kind: kind, Name: "emergency", DSN: asSuper, Use: "only-when-full"})
	for _, m := range []*checks.Module{Sessions, Saturation, Locks} {
		through := run(t, emergency, m, nil)
		if through.Err != "" {
			t.Errorf("%s through the emergency connection: %s", m.Name, through.Err)
		}
		contains(t, strings.Join(through.Detail, "\n"), "looked through the connection emergency, which is used only when full")
	}
	if !flag(t, run(t, emergency, Saturation, nil), "full") {
		t.Error("a full server is not said to be full")
	}
}

func TestACrashOfABackendIsNoticed(t *testing.T) {
	t.Parallel()
	// What is to survive a crash has to be in the log.
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"synchronous_commit": "on", "autovacuum": "off"}})
	dsn := server.DSN("postgres")
	sessionWith(t, dsn, "CREATE EXTENSION pg_stat_statements")
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	watched(t, dsn, 1)
	statements := repeated(t, env, Statements, nil)
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	expect(t, statements.run(t), checks.OK, "")
	victim := sessionWith(t, dsn)
	if err := syscall.Kill(int(victim.PgConn().PID()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var res checks.Result
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until the server has recovered
		serverOf(t, env).wait.succeeded() // the back-off has its own test
		if res = run(t, env, Ping, nil); flag(t, res, "ok") && factText(res, "event") != "" || time.Now().After(until) {
			break
		}
	}
	expect(t, res, checks.Warn, "")
	contains(t, factText(res, "event"), "a server process crashed: the server dropped every session and recovered at ")
	contains(t, res.Note, "a server process crashed")
	for _, f := range statements.run(t).Facts {
		if f.Num < 0 {
			t.Errorf("%s is %v after a crash", f.Name, f.Num)
		}
	}
}

// A session that the server closed between two statements is a server that
// does not serve, and no mystery.
func TestASessionThatIsClosedBetweenTwoStatementsIsTheServersDoing(t *testing.T) {
	t.Parallel()
	env := envFor(t, scratch(t).DSNAs(monitor))
	s := serverOf(t, env)
	err := s.readOnly(t.Context(), "a test", func(ctx context.Context, r *reading) error {
		if err := r.conn.Close(ctx); err != nil {
			return err
		}
		_, err := row[pinged](ctx, r, pingSQL)
		return err
	})
	if !isDown(err) || !strings.Contains(err.Error(), "the server closed the connection") {
		t.Errorf("it is %v (%s)", err, checks.ClassOf(err))
	}
}

func TestWhatTheServerBecame(t *testing.T) {
	start := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	memory, later := start, start.Add(time.Hour)
	before := incarnation{Started: start, Memory: &memory, Recovery: true}
	for want, now := range map[string]incarnation{
		"": {Started: start, Memory: &memory, Recovery: true},
		"the server was restarted at 2026-11-23T04:00:00Z":                                                                     {Started: later, Memory: &later, Recovery: true},
		"a server process crashed: the server dropped every session and recovered at 2026-11-23T04:00:00Z":                     {Started: start, Memory: &later, Recovery: true},
		"a failover: what answers here was a standby and is the primary now":                                                   {Started: start, Memory: &memory},
		"the server was restarted at 2026-11-23T04:00:00Z; a failover: what answers here was a standby and is the primary now": {Started: later},
	} {
		if got := before.became(now); got != want {
			t.Errorf("became %q, want %q", got, want)
		}
	}
	if got := (incarnation{Started: start}).became(incarnation{Started: start, Memory: &memory}); got != "" {
		t.Errorf("a role that may see more than before makes it %q", got)
	}
	var l lifeline
	l.notice(before, start)
	if _, changed := l.recent(start); changed {
		t.Error("the first look is an event")
	}
	l.notice(incarnation{Started: later}, start)
	if _, changed := l.recent(start.Add(remarkable)); !changed {
		t.Error("an event is forgotten too soon")
	}
	if _, changed := l.recent(start.Add(remarkable + time.Second)); changed {
		t.Error("an event is told of for ever")
	}
}

func TestWhatThePollingCostsIsTold(t *testing.T) {
	t.Parallel()
	env := envFor(t, scratch(t).DSNAs(monitor))
	ping := repeated(t, env, Ping, nil)
	first := ping.run(t)
	if _, told := first.Fact("own", ""); told {
		t.Errorf("a share of no interval: %v", first.Facts)
	}
	expect(t, run(t, env, Sessions, nil), checks.OK, "")
	second := ping.run(t)
	if own := num(t, second, "own", ""); own <= 0 || own > 100 {
		t.Errorf("the polling cost %v %%", own)
	}
	contains(t, strings.Join(second.Detail, "\n"), "opsdeck's own polling: ", " transactions and at most ", "left out of pg.tps")
}

// In front of the server stands a real PgBouncer: the same answers, without
// start-up parameters, in whatever session the pooler gives.
func TestEveryPollThroughAPooler(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE EXTENSION pg_stat_statements")
	watched(t, db.DSN, 1)
	dsn := fmt.Sprintf("postgres://%s@127.0.0.1:%d/lms?sslmode=disable", monitor, pgtest.Pooler(t, db, monitor))
	env := envFor(t, dsn)
	for name, res := range pollAll(t, env) {
		if res.Err != "" && res.Level != checks.Skipped {
			t.Errorf("%s through a pooler: %s", name, res.Err)
		}
	}
	settings, _ := serverOf(t, env).Settings()
	if !settings.ReadOnly || settings.LockTimeout != "50ms" {
		t.Errorf("through the pooler: %+v", settings)
	}
	if !settings.StartParamsRefused {
		t.Error("the pooler took the start-up parameters: this is no test of the fallback")
	}
}
