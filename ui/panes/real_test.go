package panes

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/postgres"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// absentHere are modules that give no table on the scratch server, and why.
var absentHere = map[string]string{
	"pg.log":        "the scene names no log",
	"pg.statements": "pg_stat_statements is not loaded",

	"pg.replication": "the scratch server has neither a replica nor a slot",
}

// notYet are modules that a view shows and that this build may lack, or have
// without a table: the view says so then.
var notYet = []string{}

// The views name modules, tables and columns by words; a server says whether
// they are the right ones.
func TestTheViewsShowWhatTheModulesFindOut(t *testing.T) {
	p, results := realDatabase(t)
	for _, v := range views {
		for _, f := range v.facets {
			res, ok := results[f.check]
			if absentHere[f.check] != "" || slices.Contains(notYet, f.check) {
				continue
			}
			if !ok {
				t.Errorf("%s %s: there is no module %s", v.name, f.name, f.check)
				continue
			}
			checkColumns(t, v, f, res)
		}
	}
	choose(t, p, "b")
	holds(t, drawn(p, 160, 30), "root pid", "idle in transaction", "its end frees 2", "+-", "UPDATE rows SET n = n + 1")
	choose(t, p, "s")
	holds(t, drawn(p, 160, 30), "waiting 2", "idle in transaction 1", "statement_timeout", "lock_timeout 50ms")
	got, _ := propose(t, p, "c", "a test")
	if list := got.With["sessions"].([]string); len(list) != 1 || !strings.Contains(list[0], "@20") {
		t.Errorf("a session is proposed as %v", list)
	}
}

// checkColumns holds the columns, the keys and the facts of a facet against
// what the module gave and declares.
func checkColumns(t *testing.T, v view, f facet, res checks.Result) {
	t.Helper()
	table, ok := res.Table(f.table)
	if !ok {
		t.Errorf("%s %s: %s gave no table %s: %s %s", v.name, f.name, f.check, f.table, res.Err, res.Note)
		return
	}
	names := slices.Clone(f.key)
	for _, c := range f.columns {
		names = append(names, c.name)
	}
	for _, name := range names {
		if !slices.ContainsFunc(table.Columns, func(c checks.Column) bool { return c.Name == name }) {
			t.Errorf("%s %s: table %s of %s has no column %s", v.name, f.name, f.table, f.check, name)
		}
	}
}

// realDatabase is the pane over a real server on which one session, idle in
// its transaction, holds up two.
func realDatabase(t *testing.T) (pane.Pane, map[string]checks.Result) {
	t.Helper()
	db := pgtest.Database(t)
	blockTwo(t, db.DSN)
	conn := checks.Connection{Kind: "postgres", Name: "main", DSN: db.DSN}
	family := postgres.Family()
	handle, err := family.Open(conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
	})
	runner := checks.NewRunner(checks.Env{
		Root: "/", Now: time.Now, Site: checks.SiteFacts{Connections: []checks.Connection{conn}},
		Handle: func(string, string) (checks.Handle, error) { return handle, nil },
	}, clean.NewRedactor())
	var cs []checks.Check
	var list []checks.Result
	results := map[string]checks.Result{}
	for _, m := range family.Modules {
		if !shownByAView(m.Name) {
			continue
		}
		c, problems := checks.NewCheck(m, m.Name, nil, checks.Rules{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		res := runner.Run(t.Context(), c)
		cs, list, results[m.Name] = append(cs, c), append(list, res), res
	}
	return showing(Database(nil), watch.Once(time.Now(), cs, list)), results
}

func shownByAView(module string) bool {
	if module == "pg.ping" {
		return true
	}
	return slices.ContainsFunc(views, func(v view) bool {
		return slices.ContainsFunc(v.facets, func(f facet) bool { return f.check == module })
	})
}

// blockTwo has two sessions wait for a row that a third, idle in its
// transaction, has changed.
func blockTwo(t *testing.T, dsn string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	session := func() *pgx.Conn {
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) }) //nolint:errcheck // the test is over
		return c
	}
	do := func(c *pgx.Conn, sql string) {
		if _, err := c.Exec(ctx, sql); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	root := session()
	do(root, "SELECT pg_create_physical_replication_slot('nobody')")
	t.Cleanup(func() {
		c, err := pgx.Connect(context.Background(), dsn)
		if err == nil {
			_, err = c.Exec(context.Background(), "SELECT pg_drop_replication_slot('nobody')")
			err = errors.Join(err, c.Close(context.Background()))
		}
		if err != nil {
			t.Error(err)
		}
	})
	do(root, "CREATE TABLE rows (id int PRIMARY KEY, n int); INSERT INTO rows VALUES (1, 0)")
	do(root, "BEGIN")
	do(root, "UPDATE rows SET n = n + 1 WHERE id = 1")
	waiters := make(chan struct{}, 2)
	for range 2 {
		c := session()
		go func() {
			defer func() { waiters <- struct{}{} }()
			c.Exec(ctx, "UPDATE rows SET n = n + 1 WHERE id = 1") //nolint:errcheck // it waits until the test is over
		}()
	}
	t.Cleanup(func() { cancel(); <-waiters; <-waiters })
	look := session()
	for range 200 {
		var n int
		if err := look.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the two sessions do not wait")
}
