package postgres

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

// atOnce asks for a verdict on unused indexes whatever the age of the counters.
var atOnce = map[string]any{"counted": "0s", "min_size": "64KiB"}

// A rebuild is cancelled for real, before and after the new index takes over.
func TestLeftoversOfARebuildSayWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, began, index, advice string
	}{
		{"before", "BEGIN ISOLATION LEVEL REPEATABLE READ", "t_pkey_ccnew", "DROP INDEX CONCURRENTLY public.t_pkey_ccnew; -- the copy of a rebuild that failed: drop it, then rebuild again"},
		{"after", "BEGIN", "t_pkey_ccold", "DROP INDEX CONCURRENTLY public.t_pkey_ccold; -- the old one of a rebuild that succeeded: drop it, nothing is to be rebuilt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := scratch(t)
			watch := sessionWith(t, db.DSN, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 1000)")
			env := envFor(t, db.DSNAs(monitor))
			watched(t, db.DSN, sessionCap) // one of each role
			expect(t, run(t, env, Indexes, nil), checks.OK, "")
			holder := sessionWith(t, db.DSN, tt.began, "SELECT FROM t")
			work := inBackground(t, watch, db.DSN, nil, "REINDEX INDEX CONCURRENTLY t_pkey")
			roles := map[string]checks.Env{super: envFor(t, db.DSN), monitor: env, plain: envFor(t, db.DSNAs(plain))}
			for role, env := range roles {
				res := run(t, env, Indexes, nil)
				expect(t, res, checks.OK, "")
				if num(t, res, "building", "") == 0 || num(t, res, "invalid", "") != 0 {
					t.Errorf("%s, while it is built: %v", role, res.Facts)
				}
			}
			if _, err := watch.Exec(t.Context(), "SELECT pg_cancel_backend($1)", work.PgConn().PID()); err != nil {
				t.Fatal(err)
			}
			eventually(t, watch, "it is cancelled", "NOT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND locktype = 'relation')", work.PgConn().PID())
			end(t, holder)
			for _, env := range roles {
				res := run(t, env, Indexes, nil)
				expect(t, res, checks.Crit, "") // of a primary key
				contains(t, at(t, res, "indexes", "public."+tt.index, "advice").Text, tt.advice)
				contains(t, strings.Join(res.Detail, "\n"), tt.advice)
			}
			db.Exec(t, "DROP INDEX CONCURRENTLY "+tt.index)
			expect(t, run(t, env, Indexes, nil), checks.OK, "")
		})
	}
}

func TestAnInvalidIndexIsTwiceAsBadIfItWasToBeUnique(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	conn := sessionWith(t, db.DSN, "CREATE TABLE t (n int, m int)", "INSERT INTO t SELECT 1, 0 FROM generate_series(1, 3)")
	if _, err := conn.Exec(t.Context(), "CREATE INDEX CONCURRENTLY plain ON t ((n / m))"); err == nil {
		t.Fatal("it is divided by zero")
	}
	res := run(t, envFor(t, db.DSNAs(monitor)), Indexes, nil)
	expect(t, res, checks.Warn, "")
	contains(t, at(t, res, "indexes", "public.plain", "advice").Text, "REINDEX INDEX CONCURRENTLY public.plain; -- or DROP INDEX CONCURRENTLY it")
	if _, err := conn.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY once ON t (n)"); err == nil {
		t.Fatal("the rows are equal")
	}
	expect(t, run(t, envFor(t, db.DSNAs(monitor)), Indexes, nil), checks.Crit, "")
}

func TestDuplicateIndexes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, indexes string
		duplicate     string // "" for none
		advice        string
	}{
		{"the same twice", "CREATE INDEX x ON t (a); CREATE INDEX y ON t (a)", "public.y", "public.x has the same columns"},
		{"the primary key again", "CREATE UNIQUE INDEX a_first ON t (id)", "public.a_first", "public.t_pkey has the same columns"},
		{"a beginning of another", "CREATE INDEX x ON t (a); CREATE INDEX y ON t (a, b)", "public.x", "public.y begins with its columns"},
		{"a unique beginning holds rows unique", "CREATE UNIQUE INDEX x ON t (a); CREATE INDEX y ON t (a, b)", "", ""},
		{"another order", "CREATE INDEX x ON t (a, b); CREATE INDEX y ON t (b, a)", "", ""},
		{"another direction", "CREATE INDEX x ON t (a); CREATE INDEX y ON t (a DESC NULLS LAST)", "", ""},
		{"another method", "CREATE INDEX x ON t (a); CREATE INDEX y ON t USING hash (a)", "", ""},
		{"only some rows", "CREATE INDEX x ON t (a); CREATE INDEX y ON t (a) WHERE b > 0", "", ""},
		{"the same some rows", "CREATE INDEX x ON t (a) WHERE b > 0; CREATE INDEX y ON t (a) WHERE b>0", "public.y", "public.x has the same columns"},
		{"other expressions", "CREATE INDEX x ON t ((a + 1)); CREATE INDEX y ON t ((a + 2))", "", ""},
		{"the same expression", "CREATE INDEX x ON t ((a + 1)); CREATE INDEX y ON t ((a+1))", "public.y", "public.x has the same columns"},
		{"more in its leaves", "CREATE INDEX x ON t (a); CREATE INDEX y ON t (a) INCLUDE (b)", "public.x", "public.y begins with its columns"},
		{"less in its leaves", "CREATE INDEX x ON t (a) INCLUDE (b); CREATE INDEX y ON t (a, b)", "", ""},
		{"column 1 is not column 10", "ALTER TABLE t ADD e int, ADD f int, ADD g int, ADD h int, ADD i int, ADD j int, ADD k int; CREATE INDEX x ON t (a); CREATE INDEX y ON t (k, b)", "", ""},
		{"another opclass", "CREATE INDEX x ON t (c); CREATE INDEX y ON t (c text_pattern_ops)", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := scratch(t)
			end(t, sessionWith(t, db.DSN, "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text)", tt.indexes))
			res := run(t, envFor(t, db.DSNAs(plain)), Indexes, nil)
			if tt.duplicate == "" {
				expect(t, res, checks.OK, "")
				return
			}
			expect(t, res, checks.Warn, "")
			if num(t, res, "duplicate", "") != 1 {
				t.Errorf("facts: %v\n%s", res.Facts, cells(t, res, "indexes"))
			}
			contains(t, at(t, res, "indexes", tt.duplicate, "advice").Text, "DROP INDEX CONCURRENTLY "+tt.duplicate+"; -- "+tt.advice)
		})
	}
}

func TestUnusedAndMissingIndexes(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	end(t, sessionWith(t, db.DSN, "CREATE TABLE other (id int PRIMARY KEY)", "INSERT INTO other VALUES (1)",
		"CREATE TABLE t (id int PRIMARY KEY, never int, often int, once int UNIQUE, fk int REFERENCES other)", "CREATE TABLE small (id int)",
		"INSERT INTO t SELECT i, i, i, i, 1 FROM generate_series(1, 20000) i", "INSERT INTO small VALUES (1)",
		"CREATE INDEX never ON t (never)", "CREATE INDEX often ON t (often)", "CREATE INDEX fk ON t (fk)", "ANALYZE"))
	end(t, sessionWith(t, db.DSN, "SET enable_seqscan = off", "SELECT FROM t WHERE often = 7"))
	statements := []string{"SET enable_indexscan = off", "SET enable_indexonlyscan = off", "SET enable_bitmapscan = off"}
	for range 12 {
		statements = append(statements, "SELECT FROM t WHERE never = 7", "SELECT FROM small")
	}
	end(t, sessionWith(t, db.DSN, statements...))
	watch := db.Connect(t)
	counted(t, watch, "the scans are counted", "(SELECT seq_scan >= 12 FROM pg_stat_user_tables WHERE relname = 't') AND (SELECT idx_scan = 1 FROM pg_stat_user_indexes WHERE indexrelname = 'often')")
	for _, role := range []string{super, plain} {
		res := run(t, envFor(t, db.DSNAs(role)), Indexes, atOnce)
		expect(t, res, checks.Warn, "")
		if num(t, res, "unused", "") != 1 || num(t, res, "missing", "") != 1 {
			t.Errorf("facts: %v\n%s", res.Facts, cells(t, res, "indexes"))
		}
		contains(t, at(t, res, "indexes", "public.never", "advice").Text, "DROP INDEX CONCURRENTLY public.never")
		contains(t, cells(t, res, "indexes"), "missing |  | public.t | ")
	}
	// Counters that are young say nothing.
	db.Exec(t, "SELECT pg_stat_reset()")
	res := run(t, envFor(t, db.DSNAs(monitor)), Indexes, nil)
	expect(t, res, checks.OK, "")
	if _, judged := res.Fact("unused", ""); judged {
		t.Errorf("facts: %v", res.Facts)
	}
	contains(t, strings.Join(res.Detail, "\n"), "which indexes are unused or missing is not known: scans have been counted for", "30 d are needed")
	db.Exec(t, "ALTER DATABASE "+db.Name+" SET track_counts = off")
	res = run(t, envFor(t, db.DSNAs(monitor)), Indexes, atOnce)
	expect(t, res, checks.OK, "")
	contains(t, strings.Join(res.Detail, "\n"), "track_counts is off")
}

// An index of a locked table is judged by the catalogue, which nobody locks.
func TestIndexesWaitForNobodysLock(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	sessionWith(t, db.DSN, "CREATE TABLE t (a int)", "CREATE INDEX x ON t (a)", "CREATE INDEX y ON t (a)", "BEGIN", "LOCK TABLE t")
	expect(t, run(t, envFor(t, db.DSNAs(monitor)), Indexes, atOnce), checks.Warn, "")
}
