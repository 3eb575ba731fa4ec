package postgres

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

func TestStatementsAreComparedWithTheLastLook(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"track_io_timing": "on", "pg_stat_statements.max": "100", "work_mem": "64kB"}})
	dsn := server.DSN("postgres")
	watched(t, dsn, 1)
	env := envFor(t, server.DSNAs(monitor, "postgres"))
	expect(t, run(t, env, Statements, nil), checks.Unknown, checks.Missing)
	sessionWith(t, dsn, "CREATE EXTENSION pg_stat_statements", "CREATE DATABASE other", "CREATE TABLE t AS SELECT g AS n, repeat('x', 200) AS pad FROM generate_series(1, 20000) g")
	end(t, sessionWith(t, dsn, "SELECT 'long ago' AS before"))

	top := repeated(t, env, Statements, nil)
	first := top.run(t)
	expect(t, first, checks.OK, "")
	if num(t, first, "delta", "") != 0 || num(t, first, "reset", "") != 0 || num(t, first, "max", "") != 100 {
		t.Errorf("facts of the first look: %v", first.Facts)
	}
	contains(t, cells(t, first, "statements"), "AS before")

	end(t, sessionWith(t, server.DSN("other"), "SELECT pg_sleep(0.2) /* report */", "SELECT pg_sleep(0.1) /* report */"))
	end(t, sessionWith(t, dsn, "SELECT count(*) FROM (SELECT n FROM t ORDER BY pad, n OFFSET 0) s", "INSERT INTO t SELECT g FROM generate_series(1, 1000) g"))
	second := top.run(t)
	expect(t, second, checks.OK, "")
	if num(t, second, "delta", "") != 1 || num(t, second, "interval", "") <= 0 || num(t, second, "busy", "") <= 0 {
		t.Errorf("facts of the second look: %v", second.Facts)
	}
	if strings.Contains(cells(t, second, "statements"), "AS before") {
		t.Error("what was before the first look is in the second")
	}
	slept := statementRow(t, second, "pg_sleep")
	if slept["database"] != "other" || slept["user"] != super || slept["calls"] != "2" || slept["toplevel"] != "true" || slept["rows"] != "2" {
		t.Errorf("the report is %v", slept)
	}
	if mean, stddev := measured(t, second, "pg_sleep", "mean"), measured(t, second, "pg_sleep", "stddev"); mean < 140 || mean > 400 || stddev < 30 || stddev > 200 {
		t.Errorf("100 and 200 ms have a mean of %v ms and a deviation of %v ms", mean, stddev)
	}
	if temp := measured(t, second, "ORDER BY pad", "temp"); temp < 1<<20 {
		t.Errorf("the sort wrote %v bytes of temporary files", temp)
	}
	if wal := measured(t, second, "INSERT INTO t", "wal"); wal < 20000 {
		t.Errorf("the insert wrote %v bytes of WAL", wal)
	}

	end(t, sessionWith(t, dsn, "SELECT pg_stat_statements_reset()", "SELECT 'after' AS reset"))
	after := top.run(t)
	expect(t, after, checks.OK, "")
	if num(t, after, "reset", "") != 1 || num(t, after, "delta", "") != 0 {
		t.Errorf("facts after a reset: %v", after.Facts)
	}
	contains(t, strings.Join(after.Detail, "\n"), "the statistics were reset since the last look")
	for _, f := range append(first.Facts, after.Facts...) {
		if f.Num < 0 {
			t.Errorf("%s is %v", f.Name, f.Num)
		}
	}

	var many []string
	for i := range 150 {
		many = append(many, "SELECT "+strings.Repeat("1, ", i)+"1")
	}
	end(t, sessionWith(t, dsn, many...))
	crowded := top.run(t)
	if num(t, crowded, "deallocations", "") < 1 || num(t, crowded, "tracked", "") > 100 || num(t, crowded, "reset", "") != 0 {
		t.Errorf("facts after 150 statements for 100 places: %v", crowded.Facts)
	}
	contains(t, strings.Join(crowded.Detail, "\n"), "forgot the least used statements", "pg_stat_statements.max is 100")
}

// statementRow is the row whose query holds the text.
func statementRow(t *testing.T, res checks.Result, text string) map[string]string {
	t.Helper()
	table, i := findStatement(t, res, text)
	row := map[string]string{}
	for c, column := range table.Columns {
		row[column.Name] = table.Rows[i][c].String()
	}
	return row
}

func measured(t *testing.T, res checks.Result, text, column string) float64 {
	t.Helper()
	table, i := findStatement(t, res, text)
	c := slices.IndexFunc(table.Columns, func(c checks.Column) bool { return c.Name == column })
	return table.Rows[i][c].Num
}

func findStatement(t *testing.T, res checks.Result, text string) (checks.Table, int) {
	t.Helper()
	table, _ := res.Table("statements")
	i := slices.IndexFunc(columnOf(t, res, "statements", "query"), func(q string) bool { return strings.Contains(q, text) })
	if i < 0 {
		t.Fatalf("%q is not in the list:\n%s", text, cells(t, res, "statements"))
	}
	return table, i
}

// The extension's version decides, not the server's: an upgraded server keeps
// the old one until somebody runs ALTER EXTENSION.
func TestEveryVersionOfTheStatementsExtension(t *testing.T) {
	t.Parallel()
	for server, versions := range map[int][]string{13: {"1.7", "1.8"}, 18: {"1.8", "1.9", "1.10", "1.11", "1.12"}} {
		t.Run(fmt.Sprint(server), func(t *testing.T) {
			t.Parallel()
			bin, err := pgserver.Major(server)
			if err != nil {
				pgtest.Missing(t, err)
			}
			major := ownServer(t, pgserver.Options{Bin: bin, Settings: map[string]string{"track_io_timing": "on"}})
			for i, version := range versions {
				name := fmt.Sprintf("v%d", i)
				sessionWith(t, major.DSN("postgres"), "CREATE DATABASE "+name)
				end(t, sessionWith(t, major.DSN(name), "CREATE EXTENSION pg_stat_statements VERSION '"+version+"'", "SELECT 'once' AS "+name))
				for _, role := range []string{super, monitor} {
					env := envFor(t, major.DSNAs(role, name))
					for _, m := range []*checks.Module{Statements, Slow} {
						look := repeated(t, env, m, nil)
						expect(t, look.run(t), checks.OK, "")
						res := look.run(t)
						expect(t, res, checks.OK, "")
						if num(t, res, "delta", "") != 1 {
							t.Errorf("%s of version %s does not compare: %v", m.Name, version, res.Facts)
						}
					}
				}
				res := run(t, envFor(t, major.DSNAs(monitor, name)), Statements, map[string]any{"limit": 200})
				row := statementRow(t, res, "AS "+name)
				if wal := version != "1.7"; (row["wal"] != "unknown") != wal || (row["plans"] != "unknown") != wal {
					t.Errorf("version %s: %v", version, row)
				}
				if _, known := res.Fact("deallocations", ""); known != (version != "1.7" && version != "1.8") {
					t.Errorf("version %s: deallocations known: %v", version, known)
				}
			}
		})
	}
}

func TestAResetIsNoticedWhereNobodySaysWhen(t *testing.T) {
	key := func(id int64) spendingKey { return spendingKey{ID: id} }
	now := time.Now()
	look := func(after int, calls ...float64) spending {
		s := spending{resetInfo: resetInfo{At: now.Add(time.Duration(after) * time.Second)}, max: math.NaN(), entries: map[spendingKey]counts{}}
		for i, n := range calls {
			s.entries[key(int64(i))] = counts{Calls: n, Total: n}
		}
		return s
	}
	base := look(0, 10, 20, 30)
	for _, tt := range []struct {
		what string
		now  spending
		want bool
	}{
		{"goes on", look(1, 11, 20, 31), true},
		{"one was forgotten and came back", look(1, 11, 20, 1), true},
		{"all begin anew", look(1, 1, 2), false},
		{"nothing is left", look(1), false},
		{"the clock stood still", look(0, 11, 20, 31), false},
	} {
		if got := tt.now.follows(base); got != tt.want {
			t.Errorf("%s: follows is %v", tt.what, got)
		}
	}
	o := spent(look(1, 11, 20, 1), base, true)
	if len(o.entries) != 2 || o.calls != 2 || !math.IsNaN(o.dealloc) {
		t.Errorf("spent %+v", o)
	}
}
