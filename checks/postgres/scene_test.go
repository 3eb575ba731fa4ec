package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// The three roles that every query is run as.
const (
	super   = "postgres"
	monitor = "opsdeck_monitor" // has pg_monitor
	plain   = "opsdeck_plain"   // has nothing
)

var roles sync.Map // DSN of a server -> func() that makes its roles once

// makeRoles makes the roles on a server.
func makeRoles(t testing.TB, server *pgserver.Server) {
	t.Helper()
	once, _ := roles.LoadOrStore(server.DSN("postgres"), sync.OnceFunc(func() {
		pgtest.DB{DSN: server.DSN("postgres")}.Exec(t,
			"CREATE ROLE "+monitor+" LOGIN", "GRANT pg_monitor TO "+monitor, "CREATE ROLE "+plain+" LOGIN")
	}))
	once.(func())()
}

// scratch is a database of the test's own on the shared server.
func scratch(t testing.TB, clauses ...string) pgtest.DB {
	t.Helper()
	db := pgtest.Database(t, clauses...)
	makeRoles(t, db.Server)
	return db
}

// ownServer is a server of the test's own, for what the shared one must not suffer.
func ownServer(t testing.TB, opts pgserver.Options) *pgserver.Server {
	t.Helper()
	opts.Dir = pgtest.Dir(t)
	server, err := pgserver.Start(context.Background(), opts)
	if err != nil {
		pgtest.Missing(t, err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	makeRoles(t, server)
	return server
}

// envFor is an Env whose connection main has this DSN; others follow.
func envFor(t testing.TB, dsn string, others ...checks.Connection) checks.Env {
	t.Helper()
	all := append([]checks.Connection{{Kind: kind, Name: "main", DSN: dsn}}, others...)
	handles := map[string]*Server{}
	for _, c := range all {
		s, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		handles[c.Name] = s
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return checks.Env{
		Site: checks.SiteFacts{Connections: all},
		Handle: func(_, name string) (checks.Handle, error) {
			if s, ok := handles[name]; ok {
				return s, nil
			}
			return nil, errors.New("not configured")
		},
	}
}

func serverOf(t testing.TB, env checks.Env) *Server {
	t.Helper()
	s, err := server(env)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a module with its default rules and holds it to its declaration.
func run(t *testing.T, env checks.Env, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	return checktest.Run(t, env, m, raw)
}

// expect asserts the verdict, and the class where it is unknown.
func expect(t *testing.T, res checks.Result, level checks.Level, class checks.Class) {
	t.Helper()
	if res.Level != level || res.Class != class {
		t.Errorf("%s: %v (%s), want %v (%s)\nnote: %s\nerror: %s\nfacts: %v", res.Module, res.Level, res.Class, level, class, res.Note, res.Err, res.Facts)
	}
}

func num(t *testing.T, res checks.Result, name, label string) float64 {
	t.Helper()
	f, ok := res.Fact(name, label)
	if !ok {
		t.Fatalf("%s found no %s %s: %s %v", res.Module, name, label, res.Err, res.Facts)
	}
	return f.Num
}

// cells is a table as text, one line a row.
func cells(t *testing.T, res checks.Result, name string) string {
	t.Helper()
	table, ok := res.Table(name)
	if !ok {
		t.Fatalf("%s has no table %s: %s", res.Module, name, res.Err)
	}
	var out strings.Builder
	for _, row := range table.Rows {
		if len(row) != len(table.Columns) {
			t.Errorf("a row of %s has %d cells for %d columns", name, len(row), len(table.Columns))
		}
		for i, v := range row {
			if v.Type != table.Columns[i].Type && v != none {
				t.Errorf("%s.%s is %v, declared %v", name, table.Columns[i].Name, v.Type, table.Columns[i].Type)
			}
			fmt.Fprint(&out, v, " | ")
		}
		out.WriteString("\n")
	}
	return out.String()
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// eventually waits for a state of the server that nothing announces.
func eventually(t testing.TB, conn *pgx.Conn, what, condition string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for {
		var ok bool
		if err := conn.QueryRow(ctx, "SELECT "+condition, args...).Scan(&ok); err != nil {
			t.Fatalf("waiting until %s: %v", what, err)
		}
		if ok {
			return
		}
		time.Sleep(5 * time.Millisecond) // between looks at another process
	}
}

// counted is eventually for the server's counters. Before version 15 they come
// from a file that may be half a second old for the next reader.
func counted(t testing.TB, conn *pgx.Conn, what, condition string, args ...any) {
	t.Helper()
	eventually(t, conn, what, condition, args...)
	if v := conn.PgConn().ParameterStatus("server_version"); strings.HasPrefix(v, "13.") || strings.HasPrefix(v, "14.") {
		time.Sleep(700 * time.Millisecond)
	}
}

// sessionWith opens a session and runs statements in it.
func sessionWith(t testing.TB, dsn string, statements ...string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, dsn)
	for _, sql := range statements {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	return conn
}

// inBackground runs a statement that will not end by itself, and waits until
// the server says that it waits for a lock.
func inBackground(t testing.TB, watch *pgx.Conn, dsn string, before []string, sql string) *pgx.Conn {
	t.Helper()
	conn := sessionWith(t, dsn, before...)
	pid := int32(conn.PgConn().PID())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		conn.Close(context.Background()) //nolint:errcheck // cut off already, or done
		<-conn.PgConn().CleanupDone()
	})
	for {
		var waiting bool
		if err := watch.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock')", pid).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting {
			return conn
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %v", sql, err)
		case <-time.After(5 * time.Millisecond): // between looks at another process
		}
	}
}

func dataDir(s *pgserver.Server) string { return filepath.Join(filepath.Dir(s.LogFile()), "data") }

func TestModulesConform(t *testing.T) { checktest.Family(t, Family()) }

func sessionFacts(idle, blocker, query time.Duration) []fact.Fact {
	return []fact.Fact{fact.Dur("idle_in_tx_age", idle), fact.Dur("idle_blocker_age", blocker), fact.Dur("longest_query", query)}
}

// Thresholds that take minutes to reach for real: the default rules are asked
// directly, on both sides of each.
func TestDefaultRulesTurnAtTheirThresholds(t *testing.T) {
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	tests := []struct {
		module *checks.Module
		facts  []fact.Fact
		want   checks.Level
	}{
		{Connections, []fact.Fact{fact.Pct("used", 70), fact.Flag("full", false), fact.Dur("idle_in_tx_age", minutes(5))}, checks.OK},
		{Connections, []fact.Fact{fact.Pct("used", 70.1), fact.Flag("full", false), fact.Dur("idle_in_tx_age", 0)}, checks.Warn},
		{Connections, []fact.Fact{fact.Pct("used", 10), fact.Flag("full", false), fact.Dur("idle_in_tx_age", minutes(5.1))}, checks.Warn},
		{Connections, []fact.Fact{fact.Pct("used", 90.1), fact.Flag("full", false), fact.Dur("idle_in_tx_age", 0)}, checks.Crit},
		{Connections, []fact.Fact{fact.Pct("used", 100), fact.Flag("full", true)}, checks.Crit},
		{Locks, []fact.Fact{fact.Dur("longest_wait", 10*time.Second), fact.Number("depth", 3)}, checks.OK},
		{Locks, []fact.Fact{fact.Dur("longest_wait", 10001*time.Millisecond), fact.Number("depth", 1)}, checks.Warn},
		{Locks, []fact.Fact{fact.Dur("longest_wait", minutes(1.01)), fact.Number("depth", 1)}, checks.Crit},
		{Locks, []fact.Fact{fact.Dur("longest_wait", 0), fact.Number("depth", 4)}, checks.Crit},
		{Locks, nil, checks.Unknown},
		{Sessions, sessionFacts(minutes(5), 30*time.Second, minutes(1)), checks.OK},
		{Sessions, sessionFacts(minutes(5.1), 0, 0), checks.Warn},
		{Sessions, sessionFacts(0, 31*time.Second, 0), checks.Warn},
		{Sessions, sessionFacts(0, 0, minutes(1.1)), checks.Warn},
		{Sessions, sessionFacts(minutes(15.1), 0, 0), checks.Crit},
		{Sessions, sessionFacts(0, 0, minutes(5.1)), checks.Crit},
		{Saturation, []fact.Fact{fact.Pct("used", 80), fact.Flag("full", false), fact.Pct("limit_used", 80).On("role x")}, checks.OK},
		{Saturation, []fact.Fact{fact.Pct("used", 80.1), fact.Flag("full", false)}, checks.Warn},
		{Saturation, []fact.Fact{fact.Pct("used", 10), fact.Flag("full", false), fact.Dur("time_to_full", minutes(9))}, checks.Warn},
		{Saturation, []fact.Fact{fact.Pct("used", 10), fact.Flag("full", false), fact.Pct("limit_used", 100).On("role x")}, checks.Crit},
		{Saturation, []fact.Fact{fact.Pct("used", 90.1), fact.Flag("full", false)}, checks.Crit},
		{DBSize, []fact.Fact{fact.Size("size", 2<<30), fact.Pct("size_growth", 21)}, checks.Warn},
		{DBSize, []fact.Fact{fact.Size("size", 1<<20), fact.Pct("size_growth", 300)}, checks.OK},
		{DBSize, []fact.Fact{fact.Size("size", 2<<30)}, checks.OK},
		{Tables, []fact.Fact{fact.Size("size", 1<<30).On("a"), fact.Pct("size_growth", 21).On("a"), fact.Size("size", 1<<30).On("b")}, checks.Warn},
		{Ping, []fact.Fact{fact.Flag("ok", true), fact.Dur("latency", 500*time.Millisecond)}, checks.OK},
		{Ping, []fact.Fact{fact.Flag("ok", false)}, checks.Crit},
	}
	for _, tt := range tests {
		if got := checks.Judge(tt.module, tt.module.DefaultRules(), tt.facts); got.Level != tt.want {
			t.Errorf("%s with %v is %v, want %v", tt.module.Name, tt.facts, got.Level, tt.want)
		}
	}
}
