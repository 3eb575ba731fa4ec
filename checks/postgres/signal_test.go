package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// allowed is a yard whose site lets opsdeck signal sessions.
func allowed(t *testing.T, statements ...string) *yard {
	y := newYard(t, statements...)
	y.env.Site.Allow.KillSessions = true
	return y
}

// asAllowed lets another role signal.
func (y *yard) asAllowed(t *testing.T, role string) *yard {
	other := y.as(t, role)
	other.env.Site.Allow.KillSessions = true
	return other
}

// named is a session as the parameter names it.
func (y *yard) named(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	var name string
	err := y.watch.QueryRow(t.Context(), "SELECT a.pid || '@' || "+beganSQL+" FROM pg_stat_activity a WHERE pid = $1", int(conn.PgConn().PID())).Scan(&name)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// look previews without expecting a database as the target.
func (y *yard) look(t *testing.T, m *checks.Module, sessions ...string) checks.Result {
	t.Helper()
	res := checks.NewRunner(y.env, nil).Preview(t.Context(), y.check(t, m, forReason(sessions...)), y.own)
	y.own.Before = res.Facts
	return res
}

func forReason(sessions ...string) map[string]any {
	return map[string]any{"sessions": anys(sessions), "reason": "a test", "patience": "3s"}
}

func anys(texts []string) []any {
	var list []any
	for _, t := range texts {
		list = append(list, t)
	}
	return list
}

// busy runs a statement in a session until it is ended; its end is sent.
func busy(t *testing.T, y *yard, conn *pgx.Conn, sql string) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { _, err := conn.Exec(context.Background(), sql); ended <- err }()
	eventually(t, y.watch, "the statement runs", "EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active')", int(conn.PgConn().PID()))
	return ended
}

func codeOf(err error) string {
	var answered *pgconn.PgError
	if errors.As(err, &answered) {
		return answered.Code
	}
	return fmt.Sprint(err)
}

func TestACancelEndsTheStatementAndLeavesTheSession(t *testing.T) {
	t.Parallel()
	y := allowed(t)
	victim := y.db.Connect(t)
	ended := busy(t, y, victim, "SELECT pg_sleep(60)")
	name := y.named(t, victim)

	res := y.look(t, Cancel, name)
	expect(t, res, checks.OK, "")
	if res.Target != pidOf(victim) || len(res.Locks) != 1 || res.Fingerprint == "" {
		t.Errorf("the preview names %q, %v, %q", res.Target, res.Locks, res.Fingerprint)
	}
	contains(t, cells(t, res, "sessions"), "SELECT pg_sleep")
	if probed := y.probe(t, Cancel, forReason(name)); probed.Level != checks.Crit {
		t.Errorf("before it the probe says %v %s", probed.Level, probed.Err)
	}
	res = y.act(t, Cancel, forReason(name))
	expect(t, res, checks.OK, "")
	if num(t, res, "signalled", "") != 1 || num(t, res, "left", "") != 0 {
		t.Errorf("facts: %v", res.Facts)
	}
	if code := codeOf(<-ended); code != "57014" {
		t.Errorf("the statement ended with %s", code)
	}
	if _, err := victim.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("the session is gone: %v", err)
	}
	if probed := y.probe(t, Cancel, forReason(name)); probed.Level != checks.OK {
		t.Errorf("after it the probe says %v %s", probed.Level, probed.Err)
	}
}

func TestACancelThatCameTooLateHitsNoLaterStatement(t *testing.T) {
	t.Parallel()
	y := allowed(t)
	victim := y.db.Connect(t)
	ended := busy(t, y, victim, "SELECT pg_sleep(60)")
	name := y.named(t, victim)
	expect(t, y.look(t, Cancel, name), checks.OK, "")
	y.watch.Exec(t.Context(), "SELECT pg_cancel_backend($1)", int(victim.PgConn().PID())) //nolint:errcheck // its end is awaited
	<-ended
	next := busy(t, y, victim, "SELECT pg_sleep(2)")
	res := y.act(t, Cancel, forReason(name))
	expect(t, res, checks.OK, "")
	if num(t, res, "signalled", "") != 0 || num(t, res, "gone_before", "") != 1 {
		t.Errorf("facts: %v", res.Facts)
	}
	if err := <-next; err != nil {
		t.Errorf("the later statement was hit: %v", err)
	}
}

// Without the statement of a preview a cancel would hit whatever runs by now.
func TestACancelWithoutItsPreviewHitsNothing(t *testing.T) {
	t.Parallel()
	y := allowed(t)
	victim := y.db.Connect(t)
	ended := busy(t, y, victim, "SELECT pg_sleep(1)")
	res := y.act(t, Cancel, forReason(y.named(t, victim)))
	expect(t, res, checks.Unknown, checks.Internal)
	contains(t, res.Err, "shows no statement of pid "+pidOf(victim))
	if err := <-ended; err != nil {
		t.Errorf("the statement was hit: %v", err)
	}
}

func TestTerminatingARootFreesThoseBehindIt(t *testing.T) {
	t.Parallel()
	y := allowed(t, "CREATE TABLE a (n int)")
	root := sessionWith(t, y.db.DSN, "BEGIN", "LOCK TABLE a")
	inBackground(t, y.watch, y.db.DSN, nil, "SELECT * FROM a")
	inBackground(t, y.watch, y.db.DSN, nil, "SELECT * FROM a")
	name := y.named(t, root)

	expect(t, y.look(t, Cancel, name), checks.Unknown, checks.Refused) // idle: a cancel would do nothing
	res := y.look(t, Terminate, name)
	expect(t, res, checks.OK, "")
	if num(t, res, "frees", "") != 2 {
		t.Errorf("facts: %v", res.Facts)
	}
	contains(t, cells(t, res, "freed"), "public.a")
	contains(t, cells(t, res, "sessions"), "AccessExclusive", "idle in transaction")
	res = y.act(t, Terminate, forReason(name))
	expect(t, res, checks.OK, "")
	if num(t, res, "signalled", "") != 1 || num(t, res, "left", "") != 0 {
		t.Errorf("facts: %v", res.Facts)
	}
	eventually(t, y.watch, "nobody waits", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
	if probed := y.probe(t, Terminate, forReason(name)); probed.Level != checks.OK {
		t.Errorf("after it the probe says %v %s", probed.Level, probed.Err)
	}
}

func TestManyAreSignalledAtOnceAndThoseThatWentAreSaid(t *testing.T) {
	t.Parallel()
	y := allowed(t)
	first, second := y.db.Connect(t), y.db.Connect(t)
	names := []string{y.named(t, first), y.named(t, second), "999999@2026-11-23T02:52:01Z"}
	res := y.look(t, Terminate, names...)
	expect(t, res, checks.OK, "")
	if res.Target != "2 sessions" {
		t.Errorf("the target is %q", res.Target)
	}
	contains(t, strings.Join(res.Detail, "\n"), "left out is pid 999999: it is gone", "is idle: it holds a slot")
	res = y.act(t, Terminate, forReason(names...))
	expect(t, res, checks.OK, "")
	if num(t, res, "signalled", "") != 2 || num(t, res, "gone_before", "") != 1 {
		t.Errorf("facts: %v", res.Facts)
	}
}

// A pid that another session has by now is not signalled, neither in the
// preview nor, had the preview been right, in the statement that signals.
func TestAnotherSessionUnderTheSamePidIsNotSignalled(t *testing.T) {
	t.Parallel()
	y := allowed(t)
	victim := y.db.Connect(t)
	older := pidOf(victim) + "@2020-01-01T00:00:00Z"
	res := y.look(t, Terminate, older)
	expect(t, res, checks.Unknown, checks.Missing)
	contains(t, res.Err, "another session has that number now")

	id, err := parseBackend(older)
	if err != nil {
		t.Fatal(err)
	}
	var v volley
	if err := v.fire(t.Context(), y.watch, []shot{{backendID: id}}, terminating, time.Second); err != nil {
		t.Fatal(err)
	}
	if v.signalled != 0 || v.before != 1 {
		t.Errorf("signalled %d, gone before %d", v.signalled, v.before)
	}
	if _, err := victim.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("the session is gone: %v", err)
	}
}

func TestWhoMayNotBeSignalled(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		b    backend
		sig  signal
		want string
	}{
		{"a replica", backend{Kind: "walsender", State: "active"}, terminating, "sends WAL"},
		{"an autovacuum against wraparound", backend{Kind: "autovacuum worker", Query: []byte("autovacuum: VACUUM public.a (to prevent wraparound)")}, cancelling, "wraparound"},
		{"an ordinary autovacuum may be cancelled", backend{Kind: "autovacuum worker", State: "active", Query: []byte("autovacuum: VACUUM public.a")}, cancelling, ""},
		{"and not terminated", backend{Kind: "autovacuum worker", State: "active"}, terminating, "no client"},
		{"ourselves", backend{Kind: "client backend", App: "opsdeck/devel ada"}, terminating, "opsdeck itself"},
		{"a parallel worker", backend{Kind: "parallel worker", Leader: 7, backendID: backendID{PID: 8}}, terminating, "its leader, pid 7"},
		{"the checkpointer", backend{Kind: "checkpointer"}, terminating, "no client"},
		{"who runs nothing is not cancelled", backend{Kind: "client backend", State: "idle in transaction"}, cancelling, "terminate ends it"},
		{"a client", backend{Kind: "client backend", State: "active"}, cancelling, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.b.never(tt.sig); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestRightsAreToldBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	y := allowed(t)
	of := func(role string) *pgx.Conn { return sessionWith(t, y.db.DSNAs(role)) }
	supers, plains := of(super), of(plain)

	res := y.asAllowed(t, monitor).look(t, Terminate, y.named(t, plains))
	expect(t, res, checks.Unknown, checks.Denied)
	contains(t, res.Err, "GRANT pg_signal_backend TO "+ident(monitor))
	res = y.asAllowed(t, monitor).look(t, Terminate, y.named(t, supers))
	expect(t, res, checks.Unknown, checks.Denied)
	contains(t, res.Err, "superuser")
	expect(t, y.asAllowed(t, plain).look(t, Terminate, y.named(t, plains)), checks.Unknown, checks.Denied) // it cannot see others

	y.env.Site.Allow.KillSessions = false
	res = y.look(t, Terminate, y.named(t, plains))
	expect(t, res, checks.Unknown, checks.Denied)
	contains(t, res.Err, "kill_sessions")
	expect(t, y.act(t, Terminate, forReason(y.named(t, plains))), checks.Unknown, checks.Denied)
}

func TestABuildAndACopyAreSpokenFor(t *testing.T) {
	t.Parallel()
	y := allowed(t, "CREATE TABLE a (n int)", "INSERT INTO a SELECT generate_series(1, 10)")
	holder := sessionWith(t, y.db.DSN, "BEGIN", "INSERT INTO a VALUES (0)")
	builder := y.db.Connect(t)
	ended := busy(t, y, builder, "CREATE INDEX CONCURRENTLY ai ON a (n)")
	eventually(t, y.watch, "the index is being built", "EXISTS (SELECT FROM pg_stat_progress_create_index WHERE pid = $1)", int(builder.PgConn().PID()))
	res := y.look(t, Cancel, y.named(t, builder))
	expect(t, res, checks.OK, "")
	contains(t, strings.Join(res.Detail, "\n"), "builds an index")
	expect(t, y.act(t, Cancel, forReason(y.named(t, builder))), checks.OK, "")
	<-ended
	end(t, holder)
	dump := backend{App: "pg_dump"}
	contains(t, strings.Join(dump.cautions(terminating), "\n"), "perhaps a backup")
}

// On a server without a free slot the connection that is kept for that case
// signals, and only it.
func TestAFullServerIsReachedByTheConnectionKeptForIt(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"max_connections": "6", "superuser_reserved_connections": "2", "max_wal_senders": "0", "autovacuum": "off"}})
	y := &yard{watch: sessionWith(t, server.DSN("postgres"), "GRANT pg_signal_backend TO "+monitor), own: checks.Own{Token: "opsdeck/full", Out: t.Output()}}
	var last *pgx.Conn
	for {
		conn, err := pgx.Connect(t.Context(), server.DSNAs(plain, "postgres"))
		if err != nil {
			break
		}
		defer conn.Close(context.Background()) //nolint:errcheck // the server stops with the test
		last = conn
	}
	y.env = envFor(t, server.DSNAs(monitor, "postgres"), checks.Connection{Kind: kind, Name: "emergency", DSN: server.DSN("postgres"), Use: "only-when-full"})
	y.env.Site.Allow.KillSessions = true
	name := y.named(t, last)
	expect(t, y.look(t, Terminate, name), checks.OK, "")
	expect(t, y.act(t, Terminate, forReason(name)), checks.OK, "")
}

func TestSessionsAreNamedByPidAndBeginning(t *testing.T) {
	for _, text := range []string{"", "4711", "4711@", "4711@yesterday", "0@2026-11-23T02:52:01Z", "-1@2026-11-23T02:52:01Z", "99999999999@2026-11-23T02:52:01Z", "x@2026-11-23T02:52:01Z"} {
		if _, err := parseBackend(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	got, err := parseBackend("4711@2026-11-23T03:52:01.5+01:00")
	if err != nil || got != (backendID{4711, "2026-11-23T02:52:01.500000Z"}) {
		t.Errorf("%+v %v", got, err)
	}
	if err := checkBackends(make([]string, 0)); err == nil {
		t.Error("nobody was taken for somebody")
	}
}
