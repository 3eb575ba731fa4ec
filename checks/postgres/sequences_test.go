package postgres

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestASequenceIsMeasuredByItsColumn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		make  []string
		seq   string
		used  float64
		left  float64
		col   string
		level checks.Level
	}{
		{"new", []string{"CREATE TABLE t (id serial)"}, "public.t_id_seq", 0, 2147483647, "public.t.id", checks.OK},
		{"an integer column of a bigint sequence", []string{"CREATE SEQUENCE s", "CREATE TABLE t (id int DEFAULT nextval('s'))", "SELECT setval('s', 1717986918)"}, "public.s", 80, 429496729, "public.t.id", checks.Warn},
		{"nearly out", []string{"CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)", "SELECT setval('t_id_seq', 2040109465)"}, "public.t_id_seq", 95, 107374182, "public.t.id", checks.Crit},
		{"a bigint has room for ever", []string{"CREATE TABLE t (id bigserial)", "SELECT setval('t_id_seq', 2040109465)"}, "public.t_id_seq", 0, 9223372034814666342, "public.t.id", checks.OK},
		{"a small one", []string{"CREATE TABLE t (id smallserial)", "SELECT setval('t_id_seq', 32767)"}, "public.t_id_seq", 100, 0, "public.t.id", checks.Crit},
		{"downwards", []string{"CREATE SEQUENCE s INCREMENT -1 MINVALUE -100 START -1", "SELECT setval('s', -96)"}, "public.s", 96, 4, "", checks.Crit},
		{"in steps", []string{"CREATE SEQUENCE s INCREMENT 10 MAXVALUE 1000 START 10", "SELECT setval('s', 800)"}, "public.s", 80, 20, "", checks.Warn},
		{"one that starts over", []string{"CREATE SEQUENCE s MAXVALUE 10 CYCLE", "SELECT setval('s', 10)"}, "public.s", 100, 0, "", checks.OK},
		{"one whose column ends before it starts over", []string{"CREATE SEQUENCE s CYCLE", "CREATE TABLE t (id int2 DEFAULT nextval('s'))", "SELECT setval('s', 32000)"}, "public.s", 97.7, 767, "public.t.id", checks.Crit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := scratch(t)
			db.Exec(t, tt.make...)
			db.Exec(t, "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO "+plain)
			for _, role := range []string{super, plain} {
				res := run(t, envFor(t, db.DSNAs(role)), Sequences, nil)
				expect(t, res, tt.level, "")
				isNear(t, "used", at(t, res, "sequences", tt.seq, "used"), tt.used, 0.1)
				isNear(t, "left", at(t, res, "sequences", tt.seq, "left"), tt.left, tt.left/1e9)
				if col := at(t, res, "sequences", tt.seq, "column").Text; col != tt.col {
					t.Errorf("it fills %q, want %q", col, tt.col)
				}
			}
		})
	}
	expect(t, run(t, envFor(t, scratch(t).DSNAs(plain)), Sequences, nil), checks.OK, "") // none at all
}

func TestASequenceThatCannotBeReadIsNotEmpty(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE SEQUENCE s", "CREATE SEQUENCE open", "SELECT setval('s', 9e18::int8)")
	res := run(t, envFor(t, db.DSNAs(plain)), Sequences, nil)
	expect(t, res, checks.Unknown, checks.Denied)
	isUnknown(t, "used", at(t, res, "sequences", "public.s", "used"))
	db.Exec(t, "GRANT SELECT ON open TO "+plain)
	res = run(t, envFor(t, db.DSNAs(plain)), Sequences, nil)
	expect(t, res, checks.OK, "")
	contains(t, strings.Join(res.Detail, "\n"), "1 sequences are not known")
	if num(t, res, "unknown", "") != 1 {
		t.Errorf("facts: %v", res.Facts)
	}
	// Locked, or with a lock queued before it.
	sessionWith(t, db.DSN, "BEGIN", "ALTER SEQUENCE s INCREMENT 2")
	res = run(t, envFor(t, db.DSN), Sequences, nil)
	expect(t, res, checks.OK, "")
	isUnknown(t, "used", at(t, res, "sequences", "public.s", "used"))
	contains(t, strings.Join(res.Detail, "\n"), "another session has locked them")
	sessionWith(t, db.DSN, "BEGIN", "ALTER SEQUENCE open INCREMENT 2")
	expect(t, run(t, envFor(t, db.DSN), Sequences, nil), checks.Unknown, checks.Timeout)
}

// Every sequence that is read takes one of the locks that all sessions share.
func TestManySequencesAreReadInBatches(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "DO $$ BEGIN FOR i IN 1..450 LOOP EXECUTE 'CREATE SEQUENCE s' || i; END LOOP; END $$", "SELECT setval('s450', 9e18::int8)")
	res := run(t, envFor(t, db.DSN), Sequences, nil)
	expect(t, res, checks.Crit, "")
	if num(t, res, "sequences", "") != 450 || num(t, res, "unknown", "") != 0 {
		t.Errorf("facts: %v", res.Facts)
	}
}
