package postgres

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// guideSchema is what the guide's own statements expect.
const guideSchema = `
CREATE TABLE users (id int PRIMARY KEY, email text, role text, created_at timestamptz, last_login timestamptz);
CREATE TABLE courses (id int PRIMARY KEY, created_at timestamptz);
CREATE TABLE enrollments (id int PRIMARY KEY, enrolled_at timestamptz, completed_at timestamptz);
CREATE TABLE quiz_attempts (id int PRIMARY KEY, attempted_at timestamptz);
CREATE TABLE audit_logs (id int GENERATED ALWAYS AS IDENTITY, user_id int, action text, email text, ip_address inet, details jsonb, created_at timestamptz DEFAULT now());
INSERT INTO users VALUES (1, 'root@x', 'admin', now() - interval '2 years', now()), (2, 'old@x', 'admin', now() - interval '2 years', now() - interval '100 days'), (3, 'new@x', 'student', now(), NULL);
INSERT INTO courses VALUES (1, now()), (2, date_trunc('month', now()) - interval '10 days'), (3, now() - interval '3 years');
INSERT INTO enrollments VALUES (1, now(), now()), (2, now() - interval '2 days', NULL);
INSERT INTO audit_logs (user_id, action, details) VALUES (1, 'role_changed', '{"token": "hunter2"}'), (1, 'Permission.granted', '{}'), (1, 'view', '{}');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO ` + monitor

func TestTheListOfShippedQueriesIsTheOneInTheFile(t *testing.T) {
	all, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(all)); !slices.Equal(names, shippedNames) {
		t.Errorf("the file has %v, the list %v", names, shippedNames)
	}
	for name, q := range all {
		if q.Doc == "" {
			t.Errorf("%s says nothing of itself", name)
		}
	}
}

func TestShippedQueriesAnswerOnTheGuidesSchema(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	sessionWith(t, db.DSN, guideSchema)
	env := envFor(t, db.DSNAs(monitor))
	env.Site.Zone = time.FixedZone("", 0)
	env.Site.Zone, _ = time.LoadLocation("Europe/Paris")
	for name, want := range map[string]float64{
		"active_users": 1, "active_users_day": 1, "enrollments": 1, "registrations": 1, "completions": 1, "quiz_attempts": 0, "admins": 2, "admins_idle": 1,
		"permission_changes": 2, "courses_per_month": 7, "users_per_month": 7, "enrollments_per_month": 7, "failed_login_accounts": 0,
	} {
		res := run(t, env, Query, map[string]any{"query": name})
		expect(t, res, checks.OK, "")
		if got := num(t, res, "value", ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
		for _, table := range res.Tables {
			for _, row := range table.Rows {
				for _, cell := range row {
					if strings.Contains(cell.String(), "hunter2") {
						t.Errorf("%s shows the details of an event", name)
					}
				}
			}
		}
	}
}

// TestMonthsWithoutARowAreShownAndTheLastIsPartial: the guide's GROUP BY leaves
// empty months out, and begins in the middle of one.
func TestMonthsWithoutARowAreShownAndTheLastIsPartial(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	session := sessionWith(t, db.DSN, guideSchema)
	var months int
	if err := session.QueryRow(t.Context(), `SELECT count(*) FROM (SELECT date_trunc('month', created_at) AS month, count(*) FROM courses
		WHERE created_at > now() - interval '6 months' GROUP BY month) AS guide`).Scan(&months); err != nil || months == 7 {
		t.Fatalf("the guide's statement gives %d months, %v", months, err)
	}
	rows := run(t, envFor(t, db.DSNAs(monitor)), Query, map[string]any{"query": "courses_per_month"}).Tables[0].Rows
	zero := 0
	for i, row := range rows {
		if row[1].Num == 0 {
			zero++
		}
		if partial := row[2].String() == "t"; partial != (i == len(rows)-1) {
			t.Errorf("row %d: %v", i, row)
		}
	}
	if len(rows) != 7 || zero != 5 {
		t.Errorf("%d months, %d of them empty: %v", len(rows), zero, rows)
	}
}

// TestFailedLoginsAreUnknownWhereNobodyLogsThem: no row is not "none failed".
func TestFailedLoginsAreUnknownWhereNobodyLogsThem(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	session := sessionWith(t, db.DSN, guideSchema)
	env := envFor(t, db.DSNAs(monitor))
	expect(t, run(t, env, Query, map[string]any{"query": "failed_logins", "result": "value"}), checks.Unknown, checks.NoData)
	expect(t, run(t, env, Query, map[string]any{"query": "failed_logins_spread", "result": "value"}), checks.Unknown, checks.NoData)
	for _, sql := range []string{
		`INSERT INTO audit_logs (action, email, ip_address) SELECT 'login_failed', CASE WHEN g % 2 = 0 THEN 'Ann@x' ELSE 'ann@X' END, '192.0.2.1' FROM generate_series(1, 12) g`,
		`INSERT INTO audit_logs (action, email, ip_address) SELECT 'login_failed', 'victim' || g || '@x', '192.0.2.9' FROM generate_series(1, 30) g`,
		`INSERT INTO audit_logs (action, email, ip_address, created_at) SELECT 'login_failed', 'ann@x', '192.0.2.1', now() - interval '8 days' FROM generate_series(1, 90) g`,
	} {
		if _, err := session.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if n := num(t, run(t, env, Query, map[string]any{"query": "failed_logins"}), "value", ""); n != 12 {
		t.Errorf("%v failures of one account, whatever its case", n)
	}
	if n := num(t, run(t, env, Query, map[string]any{"query": "failed_logins_spread"}), "value", ""); n != 30 {
		t.Errorf("%v accounts from one source", n)
	}
	accounts := run(t, env, Query, map[string]any{"query": "failed_login_accounts", "result": "rows"})
	if rows := accounts.Tables[0].Rows; len(rows) != 1 || rows[0][0].String() != "an***@x" {
		t.Errorf("%v", rows)
	}
}

// TestTheReviewedSetIsComparedAndTheSiteComesFirst: a list alone is no review.
func TestTheReviewedSetIsComparedAndTheSiteComesFirst(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	sessionWith(t, db.DSN, guideSchema)
	env := envFor(t, db.DSNAs(monitor))
	env.Site.Queries = map[string]checks.Query{"admins": {Name: "admins", SQL: "SELECT email FROM public.users WHERE role = 'admin'", Expect: []string{"root@x", "gone@x"}}}
	res := run(t, env, Query, map[string]any{"query": "admins", "result": "rows"})
	if num(t, res, "unexpected", "") != 1 || num(t, res, "missing", "") != 1 || !slices.Contains(res.Detail, "not expected: old@x") {
		t.Errorf("%v %v", res.Facts, res.Detail)
	}
}

func TestAShippedQueryDoesNotApplyToOtherTables(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	sessionWith(t, db.DSN, "CREATE TABLE users (id int); GRANT SELECT ON users TO "+monitor)
	env := envFor(t, db.DSNAs(monitor))
	for _, name := range []string{"enrollments", "registrations"} {
		res := run(t, env, Query, map[string]any{"query": name})
		expect(t, res, checks.Skipped, checks.Unconfigured)
		contains(t, res.Note+res.Err, "does not fit this database")
	}
	expect(t, run(t, env, Query, map[string]any{"query": "nosuch"}), checks.Skipped, checks.Unconfigured)
}
