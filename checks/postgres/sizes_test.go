package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestDatabaseSizes(t *testing.T) {
	t.Parallel()
	db, other := scratch(t), scratch(t)
	db.Exec(t, "CREATE TABLE big AS SELECT repeat('x', 500) FROM generate_series(1, 4000)")
	other.Exec(t, "REVOKE CONNECT ON DATABASE "+other.Name+" FROM PUBLIC")
	for _, role := range []string{super, monitor} {
		res := run(t, envFor(t, db.DSNAs(role)), DBSize, nil)
		expect(t, res, checks.OK, "")
		if size := num(t, res, "size", ""); size < 8<<20 || num(t, res, "total", "") <= size {
			t.Errorf("facts: %v", res.Facts)
		}
		contains(t, cells(t, res, "databases"), db.Name, other.Name)
	}
	res := run(t, envFor(t, db.DSNAs(plain)), DBSize, nil)
	expect(t, res, checks.OK, "")
	if _, ok := res.Fact("total", ""); ok || strings.Contains(cells(t, res, "databases"), other.Name+" |") {
		t.Errorf("a total of databases that could not all be measured: %v", res.Facts)
	}
	contains(t, strings.Join(res.Detail, "\n"), "not measured: "+other.Name)
}

const someTables = `
CREATE SCHEMA "My Schema";
CREATE TABLE "My Schema"."Report Cache" AS SELECT g AS id, repeat(md5(g::text), 20) AS body FROM generate_series(1, 3000) g;
CREATE INDEX ON "My Schema"."Report Cache" (id);
CREATE TABLE logs (at date, body text) PARTITION BY RANGE (at);
CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO logs SELECT '2026-01-10'::date + g % 40, repeat('x', 300) FROM generate_series(1, 12000) g;
CREATE TABLE toasted (body text);
ALTER TABLE toasted ALTER body SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT repeat('y', 100000) FROM generate_series(1, 20);
CREATE TABLE small (n int);
ANALYZE`

func TestTheLargestTablesAreMeasured(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	sessionWith(t, db.DSN, someTables)
	for _, role := range []string{super, monitor, plain} {
		res := run(t, envFor(t, db.DSNAs(role)), Tables, map[string]any{"limit": 3, "rows": 3})
		expect(t, res, checks.OK, "")
		text := cells(t, res, "tables")
		if lines := strings.Count(text, "\n"); lines != 3 {
			t.Errorf("%d tables are listed, want 3:\n%s", lines, text)
		}
		contains(t, text, `"My Schema"."Report Cache"`, "public.logs |", "public.toasted |")
		if strings.Contains(text, "logs_1") || strings.Contains(text, "pg_") {
			t.Errorf("partitions or system tables are listed:\n%s", text)
		}
		if num(t, res, "tables", "") != 4 || num(t, res, "size", "public.logs") < 3<<20 || num(t, res, "estimated", "public.logs") != 0 {
			t.Errorf("facts: %v", res.Facts)
		}
		table, _ := res.Table("tables")
		for _, row := range table.Rows {
			if row[1].Num != row[3].Num+row[4].Num+row[5].Num {
				t.Errorf("%v is not the sum of heap, indexes and TOAST", row)
			}
			if row[0].Text == "public.toasted" && row[5].Num < 1<<20 {
				t.Errorf("the TOAST of %v is missing", row)
			}
		}
	}
	expect(t, run(t, envFor(t, scratch(t).DSN), Tables, nil), checks.OK, "") // no tables at all
}

func TestALockedTableIsEstimatedAndNobodyHangs(t *testing.T) {
	t.Parallel()
	for _, queued := range []bool{false, true} {
		db := scratch(t)
		sessionWith(t, db.DSN, someTables)
		watch := db.Connect(t)
		if queued {
			sessionWith(t, db.DSN, "BEGIN", "LOCK TABLE logs_1 IN ACCESS SHARE MODE")
			inBackground(t, watch, db.DSN, []string{"BEGIN"}, "LOCK TABLE logs_1")
		} else {
			sessionWith(t, db.DSN, "BEGIN", "LOCK TABLE logs_1")
		}
		res := run(t, envFor(t, db.DSNAs(monitor)), Tables, nil)
		expect(t, res, checks.OK, "")
		if num(t, res, "estimated", "public.logs") != 1 || num(t, res, "estimated", "public.toasted") != 0 || num(t, res, "size", "public.logs") < 3<<20 {
			t.Errorf("queued %v: %v", queued, res.Facts)
		}
		contains(t, strings.Join(res.Detail, "\n"), "public.logs is an estimate: ", "another session holds a lock")
	}
}

// aWeekAgo is a history in which every fact was half of what it is now.
type aWeekAgo struct{ size float64 }

func (h aWeekAgo) Series(_, _, _ string, _ time.Time) []checks.Sample {
	return []checks.Sample{{At: time.Now().AddDate(0, 0, -7), Value: h.size}}
}

func TestATableThatGrewIsWarnedOf(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE grown AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)", "ANALYZE")
	env := envFor(t, db.DSNAs(monitor))
	env.History = aWeekAgo{500_000}
	check, problems := checks.NewCheck(Tables, "tables", nil, checks.Rules{Warn: checks.Rule{Text: "size_growth > 20%", Source: "test"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	expect(t, checktest.RunCheck(t, checks.NewRunner(env, nil), check), checks.Warn, "")
	env.History = aWeekAgo{100_000_000}
	expect(t, checktest.RunCheck(t, checks.NewRunner(env, nil), check), checks.OK, "")
}

func TestDeadTuplesAgainstTheTablesOwnTrigger(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		table string // its options
		dead  string // of 10,000 rows
		want  checks.Level
		says  string
	}{
		{"few", "", "1000", checks.OK, "no table with more than 1000"},
		{"an eighth of the table", "", "1250", checks.Warn, "12.5 %"},
		{"a third of the table", "", "3333", checks.Crit, "33.3 %"},
		{"its own trigger, ten times", "WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 105)", "1050", checks.Crit, "10 x its trigger"},
		{"its own trigger, three times", "WITH (autovacuum_vacuum_scale_factor = 0.03, autovacuum_vacuum_threshold = 50)", "1001", checks.Warn, "2.86 x its trigger"},
		{"switched off", "WITH (autovacuum_enabled = off)", "1250", checks.Warn, "12.5 %"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := scratch(t)
			// Each session reports its statistics at its end, in this order.
			end(t, sessionWith(t, db.DSN, "CREATE TABLE parent (n int) PARTITION BY RANGE (n)",
				`CREATE TABLE "Dead" (n int) `+tt.table, `INSERT INTO "Dead" SELECT g FROM generate_series(1, 10000) g`))
			counted(t, db.Connect(t), "the rows are counted", `n_live_tup = 10000 FROM pg_stat_user_tables WHERE relname = 'Dead'`)
			end(t, sessionWith(t, db.DSN, "ANALYZE", `DELETE FROM "Dead" WHERE n <= `+tt.dead))
			counted(t, db.Connect(t), "the dead rows are counted", "n_dead_tup = "+tt.dead+` FROM pg_stat_user_tables WHERE relname = 'Dead'`)
			for _, role := range []string{super, monitor, plain} {
				res := run(t, envFor(t, db.DSNAs(role)), DeadTuples, nil)
				expect(t, res, tt.want, "")
				contains(t, res.Note, tt.says)
				if tt.want == checks.OK {
					continue
				}
				contains(t, cells(t, res, "tables"), `public."Dead" | `+tt.dead, "never")
				if off := num(t, res, "autovacuum_off", ""); off != 1 { // the shared server has it off altogether
					t.Errorf("autovacuum_off is %v", off)
				}
			}
		})
	}
}

func TestWithoutCountersDeadTuplesAreUnknown(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "ALTER DATABASE "+db.Name+" SET track_counts = off")
	expect(t, run(t, envFor(t, db.DSN), DeadTuples, nil), checks.Unknown, checks.Missing)
	db.Exec(t, "ALTER DATABASE "+db.Name+" SET track_activities = off")
	expect(t, run(t, envFor(t, db.DSN), Connections, nil), checks.Unknown, checks.Missing)
}

func TestADatabaseThatGrewIsWarnedOf(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	env := envFor(t, db.DSNAs(monitor))
	env.History = aWeekAgo{1 << 20}
	check, problems := checks.NewCheck(DBSize, "size", nil, checks.Rules{Warn: checks.Rule{Text: "size_growth > 20% and size > 1MiB", Source: "test"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	expect(t, checktest.RunCheck(t, checks.NewRunner(env, nil), check), checks.Warn, "")
	env.History = aWeekAgo{1 << 40}
	expect(t, checktest.RunCheck(t, checks.NewRunner(env, nil), check), checks.OK, "")
}

func TestADatabaseOfVeryManyRelationsIsEstimated(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE large AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)", "ANALYZE", "VACUUM pg_class")
	env := envFor(t, db.DSNAs(monitor))
	exact := run(t, env, DBSize, nil)
	estimate := run(t, env, DBSize, map[string]any{"exact_below": 10})
	if num(t, exact, "estimated", "") != 0 || num(t, estimate, "estimated", "") != 1 {
		t.Fatalf("%v\n%v", exact.Facts, estimate.Facts)
	}
	if share := num(t, estimate, "size", "") / num(t, exact, "size", ""); share < 0.8 || share > 1.05 {
		t.Errorf("the estimate is %.2f of the size", share)
	}
	contains(t, estimate.Note, "estimated")
}
