package postgres

import (
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

const oldAndNew = "INSERT INTO audit_logs (action, created_at) SELECT 'view', now() - interval '1 hour' - g * interval '1 day' FROM generate_series(1, 180) g"

// newAttic has 89 rows on this side of ninety days and 91 on the other.
func newAttic(t *testing.T, more ...string) *yard {
	t.Helper()
	y := newYard(t, append([]string{
		"CREATE TABLE audit_logs (id bigserial PRIMARY KEY, action text NOT NULL, created_at timestamptz NOT NULL)",
		"CREATE TABLE audit_logs_archive (created_at timestamptz NOT NULL, action text, id bigint PRIMARY KEY, note text)",
		"CREATE TABLE notifications (id serial PRIMARY KEY, is_read bool, created_at timestamptz NOT NULL)",
		oldAndNew, "INSERT INTO notifications (is_read, created_at) SELECT (ARRAY[true, false, NULL])[1 + g % 3], now() - g * interval '1 day' FROM generate_series(0, 59) g",
	}, more...)...)
	y.env.Site.Archive = map[string]checks.OldRows{"audit": {Name: "audit", Table: "audit_logs", Into: "audit_logs_archive", Column: "created_at", OlderThan: 90 * 24 * time.Hour}}
	y.env.Site.Purge = map[string]checks.OldRows{"notes": {Name: "notes", Table: "notifications", Column: "created_at", Where: "is_read", OlderThan: 30 * 24 * time.Hour}}
	return y
}

func (y *yard) number(t *testing.T, sql string) (n int) {
	t.Helper()
	if err := y.watch.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const inBoth = "SELECT count(*) FROM audit_logs JOIN audit_logs_archive USING (id)"
const inAny = "SELECT count(*) FROM (SELECT id FROM audit_logs UNION SELECT id FROM audit_logs_archive) x"

func TestArchiveMovesWhatIsOldInBatches(t *testing.T) {
	t.Parallel()
	y := newAttic(t)
	res := y.whole(t, Archive, map[string]any{"batch": 40})
	expect(t, res, checks.OK, "")
	if moved, batches := num(t, res, "moved", ""), num(t, res, "batches", ""); moved != 91 || batches != 3 {
		t.Errorf("moved %v in %v batches", moved, batches)
	}
	if kept, both := y.number(t, "SELECT count(*) FROM audit_logs_archive WHERE action = 'view' AND created_at < now() - interval '90 days'"), y.number(t, inBoth); kept != 91 || both != 0 {
		t.Errorf("%d in the archive, %d in both", kept, both)
	}
}

// The guide's pair asks for the time twice. A row that gets old in between is
// deleted and was never copied.
func TestTheGuidesInsertThenDeleteLosesRowsThatGetOldInBetween(t *testing.T) {
	t.Parallel()
	crossing := "INSERT INTO audit_logs (action, created_at) SELECT 'crosses', now() - interval '90 days' + interval '300 ms' FROM generate_series(1, 50)"
	y := newAttic(t, "DELETE FROM audit_logs", crossing)
	guide := sessionWith(t, y.db.DSN, "INSERT INTO audit_logs_archive (id, action, created_at) SELECT id, action, created_at FROM audit_logs WHERE created_at < NOW() - INTERVAL '90 days'")
	eventually(t, y.watch, "the rows are old", "(SELECT count(*) = 50 FROM audit_logs WHERE created_at < clock_timestamp() - interval '90 days')")
	if _, err := guide.Exec(t.Context(), "DELETE FROM audit_logs WHERE created_at < NOW() - INTERVAL '90 days'"); err != nil {
		t.Fatal(err)
	}
	if n := y.number(t, inAny); n != 0 {
		t.Fatalf("%d rows survived: the scene did not happen", n)
	}

	y.db.Exec(t, crossing)
	expect(t, y.preview(t, Archive, nil), checks.OK, "")
	eventually(t, y.watch, "the rows are old", "(SELECT count(*) = 50 FROM audit_logs WHERE created_at < clock_timestamp() - interval '90 days')")
	y.act(t, Archive, nil)
	if n := y.number(t, inAny); n != 50 {
		t.Errorf("%d of 50 rows are left", n)
	}
}

func TestArchiveKilledInTheMiddleLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	y := newAttic(t, "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.005); RETURN NEW; END'",
		"CREATE TRIGGER slowly BEFORE INSERT ON audit_logs_archive FOR EACH ROW EXECUTE FUNCTION slowly()")
	y.preview(t, Archive, nil)
	ended := make(chan checks.Result, 1)
	go func() { ended <- y.act(t, Archive, map[string]any{"batch": 10}) }()
	eventually(t, y.watch, "some of it is done", "(SELECT count(*) >= 20 FROM audit_logs_archive)")
	eventually(t, y.watch, "the session is killed", "coalesce((SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'), false)", y.own.Token)
	if res := <-ended; res.Level != checks.Unknown {
		t.Errorf("%v: %s", res.Level, said(res))
	}
	if any, both := y.number(t, inAny), y.number(t, inBoth); any != 180 || both != 0 {
		t.Errorf("%d of 180 rows are left, %d of them twice", any, both)
	}
	expect(t, y.probe(t, Archive, nil), checks.Crit, "")
	expect(t, y.act(t, Archive, nil), checks.OK, "")
	if any, both, kept := y.number(t, inAny), y.number(t, inBoth), y.number(t, "SELECT count(*) FROM audit_logs_archive"); any != 180 || both != 0 || kept != 91 {
		t.Errorf("after the second run: %d rows, %d twice, %d archived", any, both, kept)
	}
}

func TestArchiveNeverDeletesWhatTheArchiveDoesNotTake(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"a trigger":   "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT ON audit_logs_archive FOR EACH ROW EXECUTE FUNCTION f()",
		"a duplicate": "INSERT INTO audit_logs_archive SELECT created_at, action, id FROM audit_logs WHERE id = 100",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newAttic(t)
			sessionWith(t, y.db.DSN, more)
			y.preview(t, Archive, nil)
			if res := y.act(t, Archive, nil); res.Level != checks.Unknown {
				t.Errorf("%v: %s", res.Level, said(res))
			}
			if n := y.number(t, "SELECT count(*) FROM audit_logs"); n != 180 {
				t.Errorf("%d of 180 rows are left", n)
			}
		})
	}
}

func TestArchiveRefusesTablesThatDoNotFit(t *testing.T) {
	t.Parallel()
	for sql, says := range map[string]string{
		"ALTER TABLE audit_logs ADD ip inet":                                     "has no column",
		"ALTER TABLE audit_logs_archive ALTER action TYPE varchar(3)":            "character varying(3)",
		"ALTER TABLE audit_logs_archive DROP CONSTRAINT audit_logs_archive_pkey": "no unique key",
		"ALTER TABLE audit_logs_archive ADD must int NOT NULL":                   "needs a value",
		"CREATE TABLE child (id bigint REFERENCES audit_logs ON DELETE CASCADE)": "ON DELETE",
		"DROP TABLE audit_logs_archive":                                          "no table",
		"CREATE TABLE sub () INHERITS (audit_logs)":                              "no plain table",
	} {
		y := newAttic(t, sql)
		res := y.preview(t, Archive, nil)
		if res.Level != checks.Unknown {
			t.Errorf("%s: %v", sql, res.Level)
		}
		contains(t, res.Err, says)
	}
}

func TestArchiveStopsBehindNobodysLock(t *testing.T) {
	t.Parallel()
	y := newAttic(t)
	sessionWith(t, y.db.DSN, "BEGIN", "SELECT FROM audit_logs WHERE id = 100 FOR UPDATE")
	y.preview(t, Archive, nil)
	res := y.act(t, Archive, nil)
	expect(t, res, checks.Warn, "")
	if moved, due := num(t, res, "moved", ""), num(t, res, "due", ""); moved != 90 || due != 1 {
		t.Errorf("moved %v, left %v", moved, due)
	}
	expect(t, y.as(t, plain).preview(t, Archive, nil), checks.Skipped, checks.Unconfigured)
}

func TestPurgeDeletesWhatTheConditionMeansAndSaysForGood(t *testing.T) {
	t.Parallel()
	y := newAttic(t)
	contains(t, said(y.preview(t, Purge, nil)), "for good", "nothing keeps a copy")
	res := y.whole(t, Purge, map[string]any{"batch": 3})
	expect(t, res, checks.OK, "")
	read, other := y.number(t, "SELECT count(*) FROM notifications WHERE is_read"), y.number(t, "SELECT count(*) FROM notifications WHERE is_read IS NOT TRUE")
	if read != 10 && read != 11 || other != 40 {
		t.Errorf("%d read ones and %d others are left", read, other)
	}
}

func TestOldRowsOfARoleWithoutPrivilegesAreDenied(t *testing.T) {
	t.Parallel()
	y := newAttic(t)
	other := y.as(t, plain)
	other.env.Site = y.env.Site
	other.env.Site.Connections = envFor(t, y.db.DSNAs(plain)).Site.Connections
	expect(t, other.preview(t, Archive, nil), checks.Unknown, checks.Denied)
	expect(t, other.preview(t, Purge, nil), checks.Unknown, checks.Denied)
}
