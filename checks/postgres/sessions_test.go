package postgres

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// columnOf is one column of a table, as text.
func columnOf(t *testing.T, res checks.Result, table, name string) []string {
	t.Helper()
	found, ok := res.Table(table)
	if !ok {
		t.Fatalf("%s has no table %s: %s", res.Module, table, res.Err)
	}
	i := slices.IndexFunc(found.Columns, func(c checks.Column) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("%s has no column %s", table, name)
	}
	var all []string
	for _, row := range found.Rows {
		all = append(all, row[i].String())
	}
	return all
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var sceneServer = pgserver.Options{Settings: map[string]string{"max_prepared_transactions": "5", "autovacuum": "off", "deadlock_timeout": "10s"}}

func TestAChainThreeDeepIsATreeWithItsIdleRootFirst(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	dsn := server.DSN("postgres")
	watched(t, dsn, 1)
	watch := sessionWith(t, dsn, "CREATE TABLE a (n int)", "CREATE TABLE b (n int)", "CREATE TABLE c (n int)", "INSERT INTO a VALUES (1)")
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	quiet := run(t, env, Sessions, nil)
	expect(t, quiet, checks.OK, "")
	if strings.Contains(strings.Join(columnOf(t, quiet, "sessions", "app"), " "), "opsdeck/") {
		t.Error("the session that looks is in its own list")
	}

	if xact := columnOf(t, quiet, "sessions", "xact"); xact[slices.Index(columnOf(t, quiet, "sessions", "pid"), pidOf(watch))] != "" {
		t.Errorf("an idle session is in a transaction: %q", xact)
	}

	root := sessionWith(t, dsn+" application_name=forgetful", "BEGIN ISOLATION LEVEL REPEATABLE READ", "LOCK TABLE a", "SELECT count(*) FROM a")
	w1 := inBackground(t, watch, dsn, []string{"BEGIN", "LOCK TABLE b"}, "LOCK TABLE a")
	w2 := inBackground(t, watch, dsn, []string{"BEGIN", "LOCK TABLE c"}, "LOCK TABLE b")
	w3 := inBackground(t, watch, dsn, nil, "SELECT FROM c")
	beside := inBackground(t, watch, dsn, nil, "SELECT FROM a")

	res := run(t, env, Sessions, nil)
	expect(t, res, checks.OK, "") // nobody has been idle for 30 s yet
	if num(t, res, "waiting", "") != 4 || num(t, res, "idle_in_tx", "") != 1 || num(t, res, "idle_blocker_age", "") <= 0 || num(t, res, "idle_in_tx_age", "") <= 0 {
		t.Errorf("facts: %v", res.Facts)
	}
	if first := columnOf(t, res, "sessions", "pid")[0]; first != pidOf(root) {
		t.Errorf("the first session is %s, want the root %s", first, pidOf(root))
	}
	same(t, "frees", columnOf(t, res, "sessions", "frees")[:3], "4", "3", "1") // the one beside queues behind w1 too
	contains(t, columnOf(t, res, "sessions", "locks")[0], ", AccessExclusive on public.a")
	contains(t, strings.Join(columnOf(t, res, "sessions", "wait"), " "), "Lock:relation")
	contains(t, strings.Join(columnOf(t, res, "sessions", "blocked_by"), " "), pidOf(root), pidOf(w1), pidOf(w2))
	if began := columnOf(t, res, "sessions", "began")[0]; !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(began) {
		t.Errorf("began is %q, without its microseconds", began)
	}

	tree := run(t, env, Locks, nil)
	same(t, "the tree's pids", columnOf(t, tree, "tree", "pid"), pidOf(root), pidOf(w1), pidOf(w2), pidOf(w3), pidOf(beside))
	same(t, "its depths", columnOf(t, tree, "tree", "depth"), "0", "1", "2", "3", "1")
	same(t, "its victims", columnOf(t, tree, "tree", "frees"), "4", "3", "1", "0", "0")
	contains(t, columnOf(t, tree, "tree", "state")[0], "idle in transaction")
	contains(t, columnOf(t, tree, "tree", "mode")[0], "holds AccessExclusive on a")
	contains(t, columnOf(t, tree, "tree", "app")[0], "forgetful")
	same(t, "its tables", columnOf(t, tree, "tree", "relation"), "", "public.a", "public.b", "public.c", "public.a")
}

func TestPreparedTransactionsAndSessionLocksAreRootsOfTheTree(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	dsn := server.DSN("postgres")
	watched(t, dsn, 1)
	watch := sessionWith(t, dsn, "CREATE TABLE a (n int)", "CREATE TABLE b (n int)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)")
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	end(t, sessionWith(t, dsn, "BEGIN", "UPDATE a SET n = 2", "PREPARE TRANSACTION 'one'", "BEGIN", "UPDATE b SET n = 2", "PREPARE TRANSACTION 'two'"))
	v1 := inBackground(t, watch, dsn, nil, "UPDATE a SET n = 3")
	v2 := inBackground(t, watch, dsn, []string{"BEGIN"}, "LOCK TABLE b")
	v3 := inBackground(t, watch, dsn, nil, "SELECT FROM b")
	idle := sessionWith(t, dsn, "SELECT pg_advisory_lock(7)")
	v4 := inBackground(t, watch, dsn, nil, "SELECT pg_advisory_lock(7)")

	res := run(t, env, Locks, nil)
	same(t, "pids", columnOf(t, res, "tree", "pid"), "0", pidOf(v2), pidOf(v3), "0", pidOf(v1), pidOf(idle), pidOf(v4))
	same(t, "depths", columnOf(t, res, "tree", "depth"), "0", "1", "2", "0", "1", "0", "1")
	queries := columnOf(t, res, "tree", "query")
	contains(t, queries[0], "PREPARE TRANSACTION two in postgres")
	contains(t, queries[3], "PREPARE TRANSACTION one in postgres")
	same(t, "states of the roots", []string{columnOf(t, res, "tree", "state")[0], columnOf(t, res, "tree", "state")[5]}, "prepared", "idle, holds a session lock")
	contains(t, factText(res, "root"), "PREPARE TRANSACTION two")
	if num(t, res, "frees", "") != 2 || num(t, res, "roots", "") != 3 {
		t.Errorf("facts: %v", res.Facts)
	}

	sessions := run(t, env, Sessions, nil)
	contains(t, strings.Join(columnOf(t, sessions, "sessions", "blocked_by"), " "), "prepared")
	for range 3 { // transactions make the prepared ones old
		if _, err := watch.Exec(t.Context(), "INSERT INTO a VALUES (9)"); err != nil {
			t.Fatal(err)
		}
	}
	sessions = run(t, env, Sessions, nil)
	contains(t, factText(sessions, "xmin_holder"), "prepared transaction 'one' in postgres")
	if age := num(t, sessions, "xmin_age", ""); age < 3 {
		t.Errorf("the oldest snapshot is %v transactions old", age)
	}
	for _, gid := range []string{"one", "two"} {
		if _, err := watch.Exec(t.Context(), "ROLLBACK PREPARED '"+gid+"'"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALongStatementIsTheClientsNotTheMaintenances(t *testing.T) {
	old := 400.0
	for query, want := range map[string]checks.Level{"SELECT slow()": checks.Crit, "VACUUM t": checks.OK, "copy t TO stdout": checks.OK, "CREATE INDEX ON t (n)": checks.OK} {
		seen := allSessions{rows: []listed{{PID: 1, Kind: "client backend", State: "active", QueryAge: &old, Query: []byte(query)}}}
		if got := checks.Judge(Sessions, Sessions.DefaultRules(), seen.findings().Facts); got.Level != want {
			t.Errorf("400 s of %q are %v, want %v", query, got.Level, want)
		}
	}
}

// What cannot be found out of a table that somebody has locked is said, and
// the rest of the list is there.
func TestALockedCatalogueTakesOneColumnAndNotTheList(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	dsn := server.DSN("postgres")
	watched(t, dsn, 1)
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	expect(t, run(t, env, Sessions, nil), checks.OK, "") // its session is open before
	holder := sessionWith(t, dsn, "BEGIN", "LOCK TABLE pg_namespace IN ACCESS EXCLUSIVE MODE")
	began := time.Now()
	res := run(t, env, Sessions, nil)
	expect(t, res, checks.OK, "")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	contains(t, strings.Join(res.Detail, "\n"), "locks held not known: another session holds a lock")
	if at := slices.Index(columnOf(t, res, "sessions", "pid"), pidOf(holder)); at < 0 || columnOf(t, res, "sessions", "locks")[at] != "?" {
		t.Errorf("the holder is not in the list, or its locks are known:\n%s", cells(t, res, "sessions"))
	}
	end(t, holder)
	res = run(t, env, Sessions, nil)
	if len(res.Detail) != 0 {
		t.Errorf("after it: %q", res.Detail)
	}
}

func TestHostileNamesAndBytesAreShownAndNothingElse(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer) // such bytes in pg_stat_statements are everybody's trouble
	sessionWith(t, server.DSN("postgres"), "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'", "CREATE EXTENSION pg_stat_statements")
	dsnAs := func(role string) string { return server.DSNAs(role, "bytes") }
	conn, err := pgx.Connect(t.Context(), dsnAs(super))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // done with it
	for _, sql := range []string{"SET client_encoding = 'SQL_ASCII'", "SET application_name = E'\\x1b[31m''; DROP TABLE x; --'",
		"CREATE ROLE \"ev\x1b[2Jil\xff\"", "BEGIN", "SET LOCAL ROLE \"ev\x1b[2Jil\xff\"", "SELECT 'caf\xe9 \x1b]0;owned\x07 \xff' AS bytes"} {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%q: %v", sql, err)
		}
	}
	for _, m := range []*checks.Module{Sessions, Saturation} {
		for _, role := range []string{super, monitor} {
			res := run(t, envFor(t, dsnAs(role)), m, nil)
			if res.Err != "" {
				t.Errorf("%s as %s: %s", m.Name, role, res.Err)
			}
			for _, table := range res.Tables {
				if text := cells(t, res, table.Name); strings.ContainsAny(text, "\x1b\x07") {
					t.Errorf("%s lets an escape through:\n%q", table.Name, text)
				}
			}
		}
	}
	res := run(t, envFor(t, dsnAs(monitor)), Sessions, nil)
	contains(t, cells(t, res, "sessions"), "DROP TABLE x", "caf\uFFFD")

	// The server itself cannot give such texts to a database in UTF-8; what the
	// statements cost is known all the same.
	for m, table := range map[*checks.Module]string{Slow: "busiest", Statements: "statements"} {
		res := run(t, envFor(t, server.DSNAs(monitor, "postgres")), m, nil)
		expect(t, res, checks.OK, "")
		contains(t, strings.Join(res.Detail, "\n"), "texts of the statements not known: invalid byte sequence")
		contains(t, cells(t, res, table), "?")
	}
	if _, err := conn.PgConn().Exec(t.Context(), "ROLLBACK; DROP ROLE \"ev\x1b[2Jil\xff\"").ReadAll(); err != nil {
		t.Error(err)
	}
}

func TestTheListIsCutWhereItIsDull(t *testing.T) {
	t.Parallel()
	server := ownServer(t, sceneServer)
	for range 5 {
		sessionWith(t, server.DSN("postgres"))
	}
	worker := sessionWith(t, server.DSN("postgres"), "BEGIN", "SELECT 1")
	res := run(t, envFor(t, server.DSNAs(monitor, "postgres")), Sessions, map[string]any{"limit": 2})
	if got := columnOf(t, res, "sessions", "pid"); len(got) != 2 || got[0] != pidOf(worker) {
		t.Errorf("listed: %q, want %s first of two", got, pidOf(worker))
	}
	contains(t, strings.Join(res.Detail, "\n"), "more sessions are not listed")
	if f, ok := res.Fact("xmin_holder", ""); ok && f.Type != fact.Text {
		t.Errorf("fact: %v", f)
	}
}
