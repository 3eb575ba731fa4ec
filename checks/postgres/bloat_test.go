package postgres

import (
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// padded fills a table with rows of which a share is then deleted.
func padded(name, where string) []string {
	return []string{
		"CREATE TABLE " + name + " (id int PRIMARY KEY, pad text)", "INSERT INTO " + name + " SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i",
		"DELETE FROM " + name + " WHERE " + where, "VACUUM ANALYZE " + name,
	}
}

func TestBloatIsEstimatedWithinReason(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, where string
		least, most float64
		level       checks.Level
	}{
		{"a tight table", "false", 0, 8, checks.OK},
		{"some", "id % 5 < 2", 32, 48, checks.Warn},
		{"most", "id % 10 <> 0", 82, 95, checks.Crit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := scratch(t)
			db.Exec(t, padded("users", tt.where)...)
			res := run(t, envFor(t, db.DSN), Bloat, map[string]any{"min_size": "1MiB"})
			expect(t, res, tt.level, "")
			if got := num(t, res, "bloat", "public.users"); got < tt.least || got > tt.most {
				t.Errorf("estimated at %.1f %%", got)
			}
			contains(t, cells(t, res, "tables"), "public.users", "estimate")
		})
	}
}

func TestBloatThatCannotBeEstimatedIsNotZero(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE users (id int, pad text)", "INSERT INTO users SELECT i, 'x' FROM generate_series(1, 1000) i")
	watch := db.Connect(t)
	counted(t, watch, "the rows are counted", "(SELECT n_live_tup = 1000 FROM pg_stat_user_tables)")
	res := run(t, envFor(t, db.DSN), Bloat, nil)
	expect(t, res, checks.Unknown, checks.NoData)
	contains(t, cells(t, res, "tables"), "unknown", "never")
	db.Exec(t, "ANALYZE users")
	for _, role := range []string{plain, monitor} {
		res = run(t, envFor(t, db.DSNAs(role)), Bloat, map[string]any{"min_size": "1KiB"})
		expect(t, res, checks.Unknown, checks.Denied)
	}
	db.Exec(t, "GRANT SELECT ON users TO "+plain)
	expect(t, run(t, envFor(t, db.DSNAs(plain)), Bloat, map[string]any{"min_size": "1KiB"}), checks.OK, "")
}

// A table that is locked against everybody can be estimated: nothing of it is read.
func TestBloatWaitsForNobodysLock(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, padded("users", "false")...)
	sessionWith(t, db.DSN, "BEGIN", "LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
	began := time.Now()
	expect(t, run(t, envFor(t, db.DSN), Bloat, map[string]any{"min_size": "1MiB"}), checks.OK, "")
	t.Log("took", time.Since(began))
}

func TestASmallDatabaseHasNoBloatWorthTheName(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, padded("users", "id % 2 = 0")...)
	res := run(t, envFor(t, db.DSN), Bloat, nil)
	expect(t, res, checks.OK, "")
	contains(t, res.Note, "no table of 100 MiB")
}

// One table is measured when it is named, by a role that may, and waits for
// nobody.
func TestOneTableIsMeasuredExactly(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE TABLE \"Partly Empty\" AS SELECT g AS id, repeat('x', 400) AS pad FROM generate_series(1, 10000) g", "DELETE FROM \"Partly Empty\" WHERE id % 5 < 2")
	exact := map[string]any{"exact": `public."Partly Empty"`}
	res := run(t, envFor(t, db.DSNAs(monitor)), Bloat, exact)
	expect(t, res, checks.Unknown, checks.Missing)
	contains(t, res.Err, "pgstattuple")
	db.Exec(t, "CREATE EXTENSION pgstattuple")
	watched(t, db.DSN, sessionCap) // one of each role
	env := envFor(t, db.DSNAs(monitor))
	res = run(t, env, Bloat, exact)
	expect(t, res, checks.Warn, "")
	if share := num(t, res, "worst_bloat", ""); share < 35 || share > 50 {
		t.Errorf("two in five rows are gone, and %v %% are measured", share)
	}
	contains(t, cells(t, res, "tables"), `public."Partly Empty" | `, " | exact")
	expect(t, run(t, envFor(t, db.DSNAs(plain)), Bloat, exact), checks.Unknown, checks.Denied)
	expect(t, run(t, env, Bloat, map[string]any{"exact": "public.nobody"}), checks.Unknown, checks.NoData)
	sessionWith(t, db.DSN, "BEGIN", "LOCK TABLE \"Partly Empty\"")
	expect(t, run(t, env, Bloat, exact), checks.Unknown, checks.Timeout)
}
