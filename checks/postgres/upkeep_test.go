package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// A yard is a database with tables to look after.
type yard struct {
	db    pgtest.DB
	watch *pgx.Conn
	env   checks.Env
	own   checks.Own
}

func newYard(t *testing.T, statements ...string) *yard {
	t.Helper()
	y := &yard{db: scratch(t)}
	y.db.Exec(t, statements...)
	y.watch = y.db.Connect(t)
	y.env = envFor(t, y.db.DSN)
	y.own = checks.Own{Token: "opsdeck/" + y.db.Name, Out: t.Output(), Dir: t.TempDir()}
	return y
}

// as lets another role do it.
func (y *yard) as(t *testing.T, role string) *yard {
	t.Helper()
	other := *y
	other.env = envFor(t, y.db.DSNAs(role))
	return &other
}

func (y *yard) check(t *testing.T, m *checks.Module, raw map[string]any) checks.Check {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return check
}

func (y *yard) preview(t *testing.T, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	res := checks.NewRunner(y.env, nil).Preview(t.Context(), y.check(t, m, raw), y.own)
	if res.Err == "" && (res.Target != y.db.Name || res.Fingerprint == "" || len(res.Locks) == 0) {
		t.Errorf("the preview names target %q, fingerprint %q, locks %v", res.Target, res.Fingerprint, res.Locks)
	}
	y.own.Before = res.Facts
	return res
}

func (y *yard) act(t *testing.T, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	return y.actIn(t.Context(), t, m, raw)
}

func (y *yard) actIn(ctx context.Context, t *testing.T, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(y.env, nil).Act(ctx, y.check(t, m, raw), y.own)
}

func (y *yard) probe(t *testing.T, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(y.env, nil).Probe(t.Context(), y.check(t, m, raw), y.own, checks.Rule{})
}

// whole previews, acts and probes, and expects all of it to go well.
func (y *yard) whole(t *testing.T, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	expect(t, y.preview(t, m, raw), checks.OK, "")
	if res := y.probe(t, m, raw); res.Level != checks.Crit {
		t.Errorf("before it was done the probe says %v: %s %s", res.Level, res.Note, res.Err)
	}
	res := y.act(t, m, raw)
	if probed := y.probe(t, m, raw); probed.Level != checks.OK {
		t.Errorf("after it the probe says %v: %s %s %v", probed.Level, probed.Note, probed.Err, probed.Detail)
	}
	return res
}

func flag(t *testing.T, res checks.Result, name string) bool {
	t.Helper()
	return num(t, res, name, "") == 1
}

func said(res checks.Result) string {
	return res.Note + "\n" + res.Err + "\n" + strings.Join(res.Detail, "\n")
}

// hostile are names that must reach the server as they are.
var hostile = []string{`Weird "quoted" name`, `ünïcode ✓`, `; DROP TABLE users; --`, `it's`, `select`}

func hostileTables() []string {
	var sql []string
	for _, name := range hostile {
		sql = append(sql, "CREATE TABLE "+ident(name)+" (id int PRIMARY KEY)", "INSERT INTO "+ident(name)+" SELECT generate_series(1, 100)")
	}
	return append(sql, "CREATE TABLE users (id int PRIMARY KEY)", "INSERT INTO users SELECT generate_series(1, 100)")
}

func TestHostileNamesAreTargetsLikeOthers(t *testing.T) {
	t.Parallel()
	y := newYard(t, hostileTables()...)
	for _, m := range []*checks.Module{Analyze, Vacuum, VacuumFull, Reindex} {
		raw := map[string]any{"tables": hostile}
		res := y.whole(t, m, raw)
		if res.Level != checks.OK {
			t.Errorf("%s: %v\n%s", m.Name, res.Level, said(res))
		}
		name := "tables"
		if m == Reindex {
			name = "indexes"
		}
		if n := num(t, res, name, ""); int(n) != len(hostile) {
			t.Errorf("%s was done to %v of %d", m.Name, n, len(hostile))
		}
	}
	eventually(t, y.watch, "the table is there", "(SELECT count(*) = 100 FROM users)")
}

func TestNamesThatMeanNoTableOrTwoAreRefused(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)", "CREATE SCHEMA other", "CREATE TABLE other.users (id int)", "CREATE TABLE alone (id int)")
	res := y.preview(t, Analyze, map[string]any{"tables": []string{"users"}})
	expect(t, res, checks.Unknown, checks.Parse)
	contains(t, res.Err, "other.users", "public.users")
	expect(t, y.preview(t, Analyze, map[string]any{"tables": []string{"nobody"}}), checks.Unknown, checks.Missing)
	expect(t, y.preview(t, Analyze, map[string]any{"tables": []string{"alone", "other.users"}}), checks.OK, "")
}

func TestARoleThatOwnsNothingIsRefusedAndNotIgnored(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int PRIMARY KEY)", "INSERT INTO users SELECT generate_series(1, 10)").as(t, plain)
	for _, m := range []*checks.Module{Analyze, Vacuum, VacuumFull, Reindex} {
		res := y.preview(t, m, map[string]any{"tables": []string{"users"}})
		expect(t, res, checks.Unknown, checks.Denied)
		contains(t, res.Err, plain+" ", "own")
		expect(t, y.act(t, m, map[string]any{"tables": []string{"users"}}), checks.Unknown, checks.Denied)
	}
}

// The server skips what is not the role's own with a warning, and succeeds.
func TestTablesOfOthersAreNamedAsSkipped(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE theirs (id int)", "CREATE TABLE mine (id int)", "ALTER TABLE mine OWNER TO "+plain, "GRANT CREATE ON SCHEMA public TO "+plain).as(t, plain)
	contains(t, said(y.preview(t, Vacuum, nil)), "careful: left out is public.theirs")
	res := y.act(t, Vacuum, nil)
	expect(t, res, checks.Warn, "")
	if done, skipped := num(t, res, "tables", ""), num(t, res, "skipped", ""); done != 1 || skipped != 1 {
		t.Errorf("done to %v, skipped %v", done, skipped)
	}
}

func TestALockedTableIsAnErrorAndTheOthersAreDone(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
	for _, m := range []*checks.Module{Analyze, Vacuum, VacuumFull} {
		raw := map[string]any{"tables": []string{"a", "b"}, "lock_timeout": "50ms"}
		expect(t, y.preview(t, m, raw), checks.OK, "")
		// A lock that lets the sizes be read and keeps everything else out.
		sitting := sessionWith(t, y.db.DSN, "BEGIN", "LOCK TABLE a IN ACCESS SHARE MODE")
		if m != VacuumFull {
			sitting = sessionWith(t, y.db.DSN, "BEGIN", "LOCK TABLE a IN SHARE ROW EXCLUSIVE MODE")
		}
		res := y.act(t, m, raw)
		expect(t, res, checks.Crit, "")
		contains(t, said(res), "public.a", "another session holds a lock")
		if n := num(t, res, "errors", ""); n != 1 {
			t.Errorf("%s: %v errors", m.Name, n)
		}
		probed := y.probe(t, m, raw)
		expect(t, probed, checks.Crit, "")
		if n := num(t, probed, "remaining", ""); n != 1 {
			t.Errorf("%s: the probe misses %v targets", m.Name, n)
		}
		if _, err := sitting.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOldTransactionsAndSessionsAreSaidBefore(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int PRIMARY KEY)")
	sessionWith(t, y.db.DSN, "SET application_name = 'webapp'", "BEGIN", "SELECT * FROM users")
	contains(t, said(y.preview(t, VacuumFull, map[string]any{"tables": []string{"users"}})), "careful: public.users is in use by session ", "webapp")
	sessionWith(t, y.db.DSN, "CREATE TABLE held ()", "BEGIN", "INSERT INTO users VALUES (1)", "PREPARE TRANSACTION 'forgotten-"+y.db.Name+"'")
	t.Cleanup(func() { y.db.Exec(t, "ROLLBACK PREPARED 'forgotten-"+y.db.Name+"'") })
	for _, m := range []*checks.Module{Vacuum, VacuumFull, Reindex} {
		contains(t, said(y.preview(t, m, map[string]any{"tables": []string{"users"}})), "careful: ", "prepared transaction 'forgotten-")
	}
}

func TestVacuumSaysWhatAnOldTransactionKept(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)", "INSERT INTO users SELECT generate_series(1, 5000)")
	sessionWith(t, y.db.DSN, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM users")
	y.db.Exec(t, "DELETE FROM users")
	counted(t, y.watch, "the dead rows are counted", "(SELECT n_dead_tup >= 5000 FROM pg_stat_user_tables WHERE relname = 'users')")
	expect(t, y.preview(t, Vacuum, nil), checks.OK, "")
	res := y.act(t, Vacuum, nil)
	expect(t, res, checks.Warn, "")
	if kept := num(t, res, "kept", ""); kept < 99 {
		t.Errorf("%v %% were kept", kept)
	}
}

func TestVacuumRemovesDeadRows(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)", "INSERT INTO users SELECT generate_series(1, 5000)", "DELETE FROM users WHERE id > 1000",
		"CREATE TABLE parts (id int) PARTITION BY RANGE (id)", "CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (100)", "INSERT INTO parts VALUES (1)")
	counted(t, y.watch, "the dead rows are counted", "(SELECT n_dead_tup >= 4000 FROM pg_stat_user_tables WHERE relname = 'users')")
	res := y.whole(t, Vacuum, nil)
	expect(t, res, checks.OK, "")
	if removed, done := num(t, res, "removed", ""), num(t, res, "tables", ""); removed < 4000 || done != 2 {
		t.Errorf("removed %v rows from %v tables", removed, done)
	}
}

func TestATableThatIsBeingVacuumedIsLeftAlone(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE a (id int)", "CREATE TABLE b (id int)")
	sessionWith(t, y.db.DSN, "BEGIN", "LOCK TABLE a IN SHARE UPDATE EXCLUSIVE MODE")
	contains(t, said(y.preview(t, Vacuum, nil)), "careful: left out is public.a", "works on it already")
	res := y.preview(t, Vacuum, map[string]any{"tables": []string{"a"}})
	expect(t, res, checks.Unknown, checks.Refused)
}

func TestAnalyzeReachesParentsOfPartitions(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE parts (id int) PARTITION BY RANGE (id)", "CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (1000)",
		"CREATE TABLE part2 PARTITION OF parts FOR VALUES FROM (1000) TO (2000)", "INSERT INTO parts SELECT generate_series(0, 1999)")
	expect(t, y.whole(t, Analyze, nil), checks.OK, "")
	eventually(t, y.watch, "the parent has statistics", "EXISTS (SELECT FROM pg_stats WHERE tablename = 'parts')")
}

func TestProbeWithoutAPreviewIsUnknown(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)")
	for _, m := range []*checks.Module{Analyze, Vacuum, VacuumFull, Reindex} {
		if res := y.probe(t, m, nil); res.Level != checks.Unknown {
			t.Errorf("%s: %v", m.Name, res.Level)
		}
	}
}

func TestAStandbyIsRefused(t *testing.T) {
	t.Parallel()
	opts := pgserver.Options{Dir: pgtest.Dir(t), Settings: map[string]string{"wal_level": "replica"}}
	first, err := pgserver.Start(t.Context(), opts)
	if err != nil {
		pgtest.Missing(t, err)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(opts.Dir, "data", "standby.signal"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	standby, err := pgserver.Start(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Stop(); err != nil {
			t.Error(err)
		}
	})
	y := &yard{env: envFor(t, standby.DSN("postgres")), own: checks.Own{Token: "opsdeck/standby"}}
	for _, m := range []*checks.Module{Analyze, Vacuum, VacuumFull, Reindex} {
		res := y.preview(t, m, nil)
		expect(t, res, checks.Unknown, checks.Denied)
		contains(t, res.Err, "is a standby")
	}
}

func TestAnUnreachableServerIsUnknown(t *testing.T) {
	t.Parallel()
	y := &yard{env: envFor(t, "postgres://somebody@127.0.0.1:1/none"), own: checks.Own{Token: "opsdeck/none"}}
	for _, m := range []*checks.Module{Analyze, Vacuum, VacuumFull, Reindex} {
		expect(t, y.preview(t, m, nil), checks.Unknown, checks.Refused)
		expect(t, y.act(t, m, nil), checks.Unknown, checks.Refused)
		y.own.Before = []fact.Fact{fact.Number("oid", 1).On("users")}
		expect(t, y.probe(t, m, nil), checks.Unknown, checks.Refused)
	}
	expect(t, run(t, y.env, Bloat, nil), checks.Unknown, checks.Refused)
}

// A preview keeps instants to the millisecond: the same instant is not later.
func TestTheInstantOfThePreviewIsNotLaterThanItself(t *testing.T) {
	at := fact.At("last", clock(checks.Env{})).Instant()
	now := at.Add(999_999) // within the same millisecond
	if later(&now, at) || later(nil, at) {
		t.Error("what did not move counts as done")
	}
	if now = at.Add(1_000_000); !later(&now, at) {
		t.Error("a millisecond later counts as not done")
	}
}

// TestTwoServersWithOneNameDoNotHoldEachOtherUp: what an action holds is the
// database of a cluster, and many clusters have one of that name.
func TestTwoServersWithOneNameDoNotHoldEachOtherUp(t *testing.T) {
	t.Parallel()
	y := newYard(t, "CREATE TABLE users (id int)")
	locks := y.preview(t, Analyze, nil).Locks
	source, err := serverOf(t, y.env).Source(t.Context())
	if err != nil || source.Identifier == "" {
		t.Fatalf("%+v %v", source, err)
	}
	other := source
	other.Identifier = "1"
	if len(locks) != 1 || locks[0] != source.Lock() || source.Lock() == other.Lock() {
		t.Errorf("%q, of the source %q, of another cluster %q", locks, source.Lock(), other.Lock())
	}
}
