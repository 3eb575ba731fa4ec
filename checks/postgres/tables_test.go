package postgres

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// at is the value in a column of the row whose first text is name.
func at(t *testing.T, res checks.Result, table, name, column string) fact.Value {
	t.Helper()
	found, ok := res.Table(table)
	if !ok {
		t.Fatalf("%s has no table %s: %s", res.Module, table, res.Err)
	}
	col := -1
	for i, c := range found.Columns {
		if c.Name == column {
			col = i
		}
	}
	for _, row := range found.Rows {
		for i, v := range row {
			if found.Columns[i].Type == fact.Text && v.Text == name && col >= 0 {
				return row[col]
			}
		}
	}
	t.Fatalf("%s.%s has no row %s or column %s:\n%s", res.Module, table, name, column, cells(t, res, table))
	return fact.Value{}
}

func isNear(t *testing.T, what string, got fact.Value, want, slack float64) {
	t.Helper()
	if math.IsNaN(got.Num) || math.Abs(got.Num-want) > slack {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func isUnknown(t *testing.T, what string, got fact.Value) {
	t.Helper()
	if got.String() != "unknown" {
		t.Errorf("%s is %v, want unknown", what, got)
	}
}

func TestTablesTellOfDeadRowsScansAndBloat(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	end(t, sessionWith(t, db.DSN,
		"CREATE TABLE used (id int PRIMARY KEY, pad text) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 0)",
		"INSERT INTO used SELECT i, repeat('x', 100) FROM generate_series(1, 10000) i"))
	end(t, sessionWith(t, db.DSN, "VACUUM ANALYZE used"))
	end(t, sessionWith(t, db.DSN, "SET enable_seqscan = off", "SELECT FROM used WHERE id = 7", "SELECT FROM used WHERE id = 8", "SET enable_seqscan = on",
		"SET enable_indexscan = off", "SET enable_bitmapscan = off", "SET enable_indexonlyscan = off", "DELETE FROM used WHERE id <= 2500"))
	counted(t, db.Connect(t), "the scans are counted", "n_dead_tup = 2500 AND idx_scan = 2 FROM pg_stat_user_tables WHERE relname = 'used'")
	db.Exec(t, "GRANT SELECT ON used TO "+plain)
	for _, role := range []string{super, plain} {
		res := run(t, envFor(t, db.DSNAs(role)), Tables, nil)
		expect(t, res, checks.OK, "")
		isNear(t, "dead", at(t, res, "tables", "public.used", "dead"), 2500, 0)
		isNear(t, "live", at(t, res, "tables", "public.used", "live"), 7500, 0)
		isNear(t, "trigger", at(t, res, "tables", "public.used", "trigger"), 1000, 0)
		isNear(t, "times", at(t, res, "tables", "public.used", "times"), 2.5, 0)
		isNear(t, "bloat", at(t, res, "tables", "public.used", "bloat"), 0, 64<<10)
		if by := at(t, res, "tables", "public.used", "bloat_by"); by.Text != "estimate" {
			t.Errorf("the bloat is by %v", by)
		}
		if share := at(t, res, "tables", "public.used", "seq_share").Num; share <= 0 || share >= 100 {
			t.Errorf("%v %% of the scans are sequential", share)
		}
		if age := at(t, res, "tables", "public.used", "vacuumed").Dur(); age < 0 || age > time.Minute {
			t.Errorf("vacuumed %v ago", age)
		}
		if at(t, res, "tables", "public.used", "autovacuum").Bool() { // off on the shared server
			t.Error("autovacuum is said to be on")
		}
	}
	res := run(t, envFor(t, db.DSNAs(monitor)), Tables, nil)
	isUnknown(t, "the bloat of a table whose statistics may not be read", at(t, res, "tables", "public.used", "bloat"))
}

// A table that nobody wrote or vacuumed since the statistics began has ages and
// shares that nobody knows, and raises nothing.
func TestAnUnwrittenTableAndAResetAreNoAlarm(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE fresh (id int PRIMARY KEY)", "INSERT INTO fresh SELECT generate_series(1, 1000)", "ANALYZE fresh")
	counted(t, db.Connect(t), "the rows are counted", "n_tup_ins = 1000 FROM pg_stat_user_tables WHERE relname = 'fresh'")
	db.Exec(t, "SELECT pg_stat_reset()")
	counted(t, db.Connect(t), "the counters are reset", "n_tup_ins = 0 FROM pg_stat_user_tables WHERE relname = 'fresh'")
	for _, m := range []*checks.Module{Tables, DeadTuples} {
		expect(t, run(t, envFor(t, db.DSNAs(monitor)), m, nil), checks.OK, "")
	}
	res := run(t, envFor(t, db.DSNAs(monitor)), Tables, nil)
	for _, column := range []string{"vacuumed", "seq_share", "growth", "grown_over"} {
		isUnknown(t, column, at(t, res, "tables", "public.fresh", column))
	}
}

// Partitions are summed under their parent, which itself is never vacuumed.
func TestAPartitionParentShowsItsWorstPartition(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	end(t, sessionWith(t, db.DSN, "CREATE TABLE logs (n int, pad text) PARTITION BY RANGE (n)",
		"CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10000)", "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM (10000) TO (20000)",
		"CREATE TABLE logs_3 PARTITION OF logs FOR VALUES FROM (20000) TO (30000)",
		"INSERT INTO logs SELECT i, repeat('x', 50) FROM generate_series(1, 19999) i"))
	end(t, sessionWith(t, db.DSN, "VACUUM ANALYZE logs"))
	end(t, sessionWith(t, db.DSN, "DELETE FROM logs WHERE n > 15000"))
	counted(t, db.Connect(t), "the dead rows are counted", "n_dead_tup = 4999 FROM pg_stat_user_tables WHERE relname = 'logs_2'")
	res := run(t, envFor(t, db.DSN), Tables, nil)
	expect(t, res, checks.OK, "")
	isNear(t, "dead", at(t, res, "tables", "public.logs", "dead"), 4999, 0)
	isNear(t, "trigger", at(t, res, "tables", "public.logs", "trigger"), 2050, 0)
	isNear(t, "times", at(t, res, "tables", "public.logs", "times"), 4999.0/2050, 0.01)
	if age := at(t, res, "tables", "public.logs", "vacuumed").Dur(); age <= 0 || age > time.Minute {
		t.Errorf("vacuumed %v ago; its empty partition counts", age)
	}
	if bloat := at(t, res, "tables", "public.logs", "bloat"); math.IsNaN(bloat.Num) {
		t.Error("the bloat of partitions is not known, because one is empty")
	}
}

func TestWithoutCountersTheActivityIsUnknownAndTheSizesAreNot(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n", "ANALYZE t", "ALTER DATABASE "+db.Name+" SET track_counts = off")
	res := run(t, envFor(t, db.DSN), Tables, nil)
	expect(t, res, checks.OK, "")
	for _, column := range []string{"dead", "live", "trigger", "times", "vacuumed", "seq_share"} {
		isUnknown(t, column, at(t, res, "tables", "public.t", column))
	}
	contains(t, strings.Join(res.Detail, "\n"), "the activity of tables is not known: track_counts is off")
	if at(t, res, "tables", "public.t", "size_by").Text != "exact" {
		t.Error("the size is not exact")
	}
}

// Growth is since the first look of this process where no history is kept, and
// an estimate is not compared with a measure.
func TestGrowthIsSinceTheFirstLook(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE grown AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)", "ANALYZE")
	check, problems := checks.NewCheck(Tables, "tables", nil, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	runner := checks.NewRunner(envFor(t, db.DSN), nil)
	isUnknown(t, "the first growth", at(t, checktest.RunCheck(t, runner, check), "tables", "public.grown", "growth"))
	db.Exec(t, "INSERT INTO grown SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
	res := checktest.RunCheck(t, runner, check)
	isNear(t, "growth", at(t, res, "tables", "public.grown", "growth"), 100, 15)
	if over := at(t, res, "tables", "public.grown", "grown_over").Dur(); over <= 0 || over > time.Minute {
		t.Errorf("grown over %v", over)
	}
	sessionWith(t, db.DSN, "BEGIN", "LOCK TABLE grown")
	isUnknown(t, "the growth of an estimate", at(t, checktest.RunCheck(t, runner, check), "tables", "public.grown", "growth"))
}

// Ten locked tables are ten estimates at once, not ten waits.
func TestManyLockedTablesCostNoWait(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	holder := sessionWith(t, db.DSN, "CREATE TABLE parent (n int, pad text)")
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		sessionWith(t, db.DSN, "CREATE TABLE "+name+" AS SELECT repeat('x', 500) AS pad FROM generate_series(1, 200)", "CREATE INDEX ON "+name+" (pad)", "ANALYZE "+name)
	}
	for _, sql := range []string{"BEGIN", "LOCK TABLE a, b, c, d, e, f, g, h", "REINDEX INDEX i_pad_idx", "DROP INDEX j_pad_idx"} {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	env := envFor(t, db.DSNAs(monitor))
	res := run(t, env, Tables, map[string]any{"limit": 20})
	expect(t, res, checks.OK, "")
	for _, name := range []string{"a", "h", "i", "j"} {
		if num(t, res, "estimated", "public."+name) != 1 {
			t.Errorf("public.%s is measured under a lock", name)
		}
	}
	if num(t, res, "estimated", "public.parent") != 0 {
		t.Error("public.parent is not measured")
	}
	detail := strings.Join(res.Detail, "\n")
	contains(t, detail, "public.a is an estimate: another session holds a lock")
	if strings.Contains(detail, "gave up after") {
		t.Errorf("something waited for a lock that was known:\n%s", detail)
	}
}
