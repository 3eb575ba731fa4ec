package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func withQuery(env checks.Env, q checks.Query) checks.Env {
	q.Name = "q"
	env.Site.Queries = map[string]checks.Query{"q": q}
	return env
}

const lms = `
CREATE TABLE audit_logs (user_id int, created_at timestamptz);
INSERT INTO audit_logs SELECT g % 7, now() - g * interval '1 minute' FROM generate_series(0, 99) g;
INSERT INTO audit_logs VALUES (NULL, now());
GRANT SELECT ON audit_logs TO ` + monitor

func TestTheSitesQueries(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	sessionWith(t, db.DSN, lms)
	env := envFor(t, db.DSNAs(monitor))
	tests := []struct {
		name, sql string
		args      []string
		raw       map[string]any
		level     checks.Level
		class     checks.Class
		value     float64
		rows      float64
		says      string
	}{
		{name: "one number", sql: "SELECT count(DISTINCT user_id) FROM audit_logs WHERE created_at > now() - $1::interval", args: []string{"1h"}, value: 7, rows: 1, level: checks.OK},
		{name: "its own args", sql: "SELECT count(*) FROM audit_logs WHERE created_at > now() - $1::interval", args: []string{"1h"}, raw: map[string]any{"args": "3m30s"}, value: 5, rows: 1, level: checks.OK},
		{name: "minutes", sql: "SELECT extract(epoch FROM $1::interval)", args: []string{"15m"}, value: 900, rows: 1, level: checks.OK},
		{name: "a numeric", sql: "SELECT 2.50::numeric;", value: 2.5, rows: 1, level: checks.OK},
		{name: "a bool", sql: "SELECT true", value: 1, rows: 1, level: checks.OK},
		{name: "behind comments", sql: "-- who?\n/* a /* nested */ one */ (SELECT 3)", value: 3, rows: 1, level: checks.OK},
		{name: "a list", sql: "SELECT user_id, count(*) AS n, NULL::int AS nothing FROM audit_logs GROUP BY 1 ORDER BY 1", value: 8, rows: 8, level: checks.OK},
		{name: "no rows", sql: "SELECT 1 WHERE false", value: 0, rows: 0, level: checks.OK},
		{name: "no rows for a value", sql: "SELECT 1 WHERE false", raw: map[string]any{"result": "value"}, level: checks.Unknown, class: checks.NoData, says: "no row"},
		{name: "rows for a value", sql: "VALUES (1), (2)", raw: map[string]any{"result": "value"}, level: checks.Unknown, class: checks.Parse, says: "2 rows"},
		{name: "counted", sql: "SELECT 42", raw: map[string]any{"result": "rows"}, value: 1, rows: 1, level: checks.OK},
		{name: "NULL", sql: "SELECT avg(user_id) FROM audit_logs WHERE false", level: checks.Unknown, class: checks.NoData, says: "NULL"},
		{name: "NaN", sql: "SELECT 'NaN'::float8", level: checks.Unknown, class: checks.Parse, says: "NaN"},
		{name: "a setting", sql: "SHOW server_version", value: 1, rows: 1, level: checks.OK},
		{name: "a write", sql: "DELETE FROM audit_logs", level: checks.Unknown, class: checks.Denied, says: `begins with "delete"`},
		{name: "a write inside", sql: "WITH gone AS (DELETE FROM audit_logs RETURNING 1) SELECT count(*) FROM gone", level: checks.Unknown, class: checks.Denied, says: ""},
		{name: "two statements", sql: "SELECT 1; DROP TABLE audit_logs", level: checks.Unknown, class: checks.Parse, says: "multiple commands"},
		{name: "a transaction", sql: "COMMIT", level: checks.Unknown, class: checks.Denied},
		{name: "vacuum", sql: "VACUUM audit_logs", level: checks.Unknown, class: checks.Denied},
		{name: "explain analyze", sql: "EXPLAIN ANALYZE SELECT 1", level: checks.Unknown, class: checks.Denied},
		{name: "nothing", sql: "-- nothing", level: checks.Unknown, class: checks.Denied},
		{name: "too few values", sql: "SELECT $1::int + $2::int", args: []string{"1"}, level: checks.Unknown, class: checks.Parse, says: "takes 2 values, 1 are given"},
		{name: "a value of another type", sql: "SELECT $1::int", args: []string{"many"}, level: checks.Unknown, class: checks.Parse, says: "many"},
		{name: "no such table", sql: "SELECT count(*) FROM no_such", level: checks.Unknown, class: checks.Missing, says: "no_such"},
		{name: "too many rows", sql: "SELECT generate_series(1, 1000000)", level: checks.Unknown, class: checks.Limit, says: "10000 rows"},
		{name: "too large", sql: "SELECT repeat('x', 5000000)", level: checks.Unknown, class: checks.Limit, says: "4 MiB"},
		{name: "far too large", sql: "SELECT repeat('x', 20000000)", level: checks.Unknown, class: checks.Limit, says: "16 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := map[string]any{"query": "q"}
			for name, value := range tt.raw {
				raw[name] = value
			}
			res := run(t, withQuery(env, checks.Query{SQL: tt.sql, Args: tt.args}), Query, raw)
			expect(t, res, tt.level, tt.class)
			contains(t, res.Err, tt.says)
			if tt.level == checks.OK && (num(t, res, "value", "") != tt.value || num(t, res, "rows", "") != tt.rows) {
				t.Errorf("facts: %v", res.Facts)
			}
		})
	}
	if rows := run(t, withQuery(env, checks.Query{SQL: "TABLE audit_logs"}), Query, map[string]any{"query": "q"}); num(t, rows, "rows", "") != 101 {
		t.Errorf("rows were lost: %v", rows.Facts)
	}
}

func TestQueriesAsEveryRole(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	sessionWith(t, db.DSN, lms)
	q := checks.Query{SQL: "SELECT count(*) FROM audit_logs", Unit: "events"}
	for role, want := range map[string]checks.Level{super: checks.OK, monitor: checks.OK, plain: checks.Unknown} {
		res := run(t, withQuery(envFor(t, db.DSNAs(role)), q), Query, map[string]any{"query": "q"})
		class := checks.Class("")
		if want == checks.Unknown {
			class = checks.Denied
		}
		expect(t, res, want, class)
	}
	res := run(t, withQuery(envFor(t, db.DSN), q), Query, map[string]any{"query": "q"})
	contains(t, res.Note, "q 101 events")
	res = run(t, envFor(t, db.DSN), Query, map[string]any{"query": "absent"})
	expect(t, res, checks.Skipped, checks.Unconfigured)
	contains(t, res.Err, "absent")
}

func TestAQueryLeavesNoTraceInTheSession(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	env := withQuery(envFor(t, db.DSN), checks.Query{SQL: "SELECT set_config('default_transaction_read_only', 'off', false) || set_config('search_path', 'evil', false)"})
	expect(t, run(t, env, Query, map[string]any{"query": "q"}), checks.OK, "")
	env = withQuery(env, checks.Query{SQL: "SELECT current_setting('default_transaction_read_only') = 'on' AND current_setting('search_path') <> 'evil'"})
	if res := run(t, env, Query, map[string]any{"query": "q"}); num(t, res, "value", "") != 1 {
		t.Error("a query changed the session for those after it")
	}
}

func TestAQueryOnAnotherConnection(t *testing.T) {
	t.Parallel()
	db, other := scratch(t), scratch(t)
	env := envFor(t, db.DSN, checks.Connection{Kind: kind, Name: "verify", DSN: other.DSN})
	env = withQuery(env, checks.Query{SQL: "SELECT (current_database() = '" + other.Name + "')::int", Connection: "verify"})
	if res := run(t, env, Query, map[string]any{"query": "q"}); num(t, res, "value", "") != 1 {
		t.Errorf("asked elsewhere: %v", res.Facts)
	}
}

// zeroHistory is a history of the value: samples a minute apart, newest last.
type zeroHistory struct {
	now    time.Time
	values []float64
}

func (h zeroHistory) Series(check, name, _ string, _ time.Time) []checks.Sample {
	if check != "sessions" || name != "value" {
		return nil
	}
	var samples []checks.Sample
	for i, v := range h.values {
		samples = append(samples, checks.Sample{At: h.now.Add(-time.Duration(len(h.values)-i) * time.Minute), Value: v})
	}
	return samples
}

func TestZeroForHalfAnHourInBusinessHoursFails(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	zone := time.FixedZone("site", 2*3600)
	monday := time.Date(2026, 11, 23, 10, 0, 0, 0, zone)
	zeros := make([]float64, 45)
	busy := append(make([]float64, 30), append([]float64{12}, make([]float64, 14)...)...)
	tests := []struct {
		name   string
		now    time.Time
		values []float64
		sql    string
		want   checks.Level
	}{
		{"zero all morning", monday, zeros, "SELECT 0", checks.Crit},
		{"zero at night", monday.Add(-8 * time.Hour), zeros, "SELECT 0", checks.OK},
		{"zero on Sunday", monday.AddDate(0, 0, -1), zeros, "SELECT 0", checks.OK},
		{"zero for a quarter of an hour", monday, busy, "SELECT 0", checks.OK},
		{"zero at first sight", monday, nil, "SELECT 0", checks.OK},
		{"somebody is there", monday, zeros, "SELECT 3", checks.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := withQuery(envFor(t, db.DSN), checks.Query{SQL: tt.sql})
			env.Site.Zone = zone
			env.Now = func() time.Time { return tt.now.UTC() }
			env.History = zeroHistory{tt.now, tt.values}
			check, problems := checks.NewCheck(Query, "sessions", map[string]any{"query": "q"},
				checks.Rules{Fail: checks.Rule{Text: "business_hours == true and zero_for >= 30m", Source: "guide"}})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			expect(t, checks.NewRunner(env, nil).Run(t.Context(), check), tt.want, "")
		})
	}
}

func TestZerosAreRememberedBetweenRuns(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	env := checks.Env{Memory: &checks.Memory{}}
	steps := []struct {
		after time.Duration
		value float64
		want  time.Duration
	}{
		{0, 0, 0},
		{5 * time.Minute, 0, 5 * time.Minute},
		{5 * time.Minute, 0, 10 * time.Minute},
		{5 * time.Minute, 4, 0},
		{5 * time.Minute, 0, 0},
		{5 * time.Minute, 0, 5 * time.Minute},
		{time.Hour, 0, 0}, // nobody looked for an hour
	}
	for i, s := range steps {
		now = now.Add(s.after)
		if got := zeroFor(env, s.value, now); got != s.want {
			t.Errorf("step %d: zero for %s, want %s", i, got, s.want)
		}
	}
}

func TestBusinessHours(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, tt := range []struct {
		hours, when string
		want        bool
	}{
		{"Mon-Fri 08:00-18:00", "2026-11-23 08:00", true},
		{"Mon-Fri 08:00-18:00", "2026-11-23 07:59", false},
		{"Mon-Fri 08:00-18:00", "2026-11-23 18:00", false},
		{"Mon-Fri 08:00-18:00", "2026-11-22 12:00", false},
		{"Sat-Mon 00:00-24:00", "2026-11-22 23:59", true},
		{"Sat-Mon 00:00-24:00", "2026-11-24 00:00", false},
		{"sun 10:00-12:00", "2026-11-22 11:00", true},
	} {
		if got := within(tt.hours, at(tt.when), time.UTC); got != tt.want {
			t.Errorf("%s is within %s: %v", tt.when, tt.hours, got)
		}
	}
	for _, wrong := range []string{"", "Mon", "Mon-Fri", "Mon-Fri 8-18", "Mon-Fri 18:00-08:00", "Foo-Fri 08:00-18:00", "Mon-Fri 08:00-25:00"} {
		if checkHours(wrong) == nil {
			t.Errorf("%q was accepted", wrong)
		}
	}
}

func FuzzParseHours(f *testing.F) {
	f.Add("Mon-Fri 08:00-18:00")
	f.Add("sat 00:00-24:00")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHours(text)
		if err == nil && (h.end <= h.start || h.end > 24*time.Hour) {
			t.Errorf("%q gives %+v", text, h)
		}
	})
}

func TestLiteralsOfUtilityStatementsAreRedacted(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT * FROM users WHERE name = $1":                             "SELECT * FROM users WHERE name = $1",
		"SELECT 'kept' FROM t":                                            "SELECT 'kept' FROM t",
		"ALTER USER bob PASSWORD 'hunter2'":                               "ALTER USER bob PASSWORD '…'",
		"/* deploy */ alter role bob with password 'hun''ter2' ;":         "/* deploy */ alter role bob with password '…' ;",
		`CREATE USER bob PASSWORD E'hun\'ter2' VALID UNTIL '2027'`:        "CREATE USER bob PASSWORD '…' VALID UNTIL '…'",
		"SELECT 1; ALTER USER bob PASSWORD 'hunter2'":                     "SELECT 1; ALTER USER bob PASSWORD '…'",
		"DO $x$ BEGIN EXECUTE 'hunter2'; END $x$":                         "DO '…'",
		"ALTER USER bob PASSWORD $$hunter2$$, CREATEDB":                   "ALTER USER bob PASSWORD '…', CREATEDB",
		"ALTER USER bob PASSWORD 'hunter2 and it was cut of":              "ALTER USER bob PASSWORD '…'",
		"ALTER USER bob PASSWORD $tag$hunter2 and it was cut":             "ALTER USER bob PASSWORD '…'",
		`COPY t FROM PROGRAM 'curl -u bob:hunter2 http://x' (FORMAT csv)`: "COPY t FROM PROGRAM '…' (FORMAT csv)",
	} {
		if got := redactLiterals(sql); got != want {
			t.Errorf("%s\nreads  %s\nwanted %s", sql, got, want)
		}
	}
}

func FuzzRedactLiterals(f *testing.F) {
	for _, seed := range []string{"ALTER USER x PASSWORD 'a'", "DO $$ x $$", "/* /* */ SELECT", "E'\\", "--"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		sql = strings.ToValidUTF8(sql, "")
		got := redactLiterals("ALTER USER u PASSWORD 'S3CRET" + strings.ReplaceAll(sql, "'", "''") + "'")
		if strings.Contains(got, "S3CRET") {
			t.Errorf("%q keeps a literal: %s", sql, got)
		}
		if word := firstKeyword(sql); word != strings.ToLower(word) {
			t.Errorf("the keyword %q is not in lower case", word)
		}
	})
}

func ExampleFamily() {
	for _, m := range Family().Modules {
		if m.Effect == checks.ReadOnly {
			fmt.Println(m.Name)
		}
	}
	// Unordered output:
	// pg.ping
	// pg.connections
	// pg.locks
	// pg.tps
	// pg.slow
	// pg.dbsize
	// pg.tables
	// pg.deadtuples
	// pg.bloat
	// pg.host
	// pg.log
	// pg.replication
	// pg.sessions
	// pg.saturation
	// pg.sequences
	// pg.indexes
	// pg.leftovers
	// pg.settings
	// pg.wraparound
	// pg.statements
	// pg.wal
	// pg.checkpoints
	// pg.progress
	// pg.query
}
