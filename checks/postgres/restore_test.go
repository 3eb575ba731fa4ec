package postgres

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// A drill is a restore test: a database that was dumped, and a role without
// privileges that restores it on the same server, as no site would.
type drill struct {
	db   pgtest.DB
	role string
	dir  string
	env  checks.Env
}

const restorer = "opsdeck_restorer"

func newDrill(t *testing.T, tables int) *drill {
	t.Helper()
	d := &drill{db: restorable(t), role: restorer, dir: t.TempDir()}
	var sql strings.Builder
	sql.WriteString("CREATE TABLE users (id serial PRIMARY KEY, name text, made timestamptz DEFAULT now()); INSERT INTO users (name) SELECT md5(i::text) FROM generate_series(1, 500) i; CREATE VIEW seen AS SELECT id FROM users;")
	for n := range tables - 1 {
		fmt.Fprintf(&sql, "CREATE TABLE t%d (id integer PRIMARY KEY);", n)
	}
	sql.WriteString("ANALYZE;")
	d.db.Exec(t, strings.Split(strings.TrimSuffix(sql.String(), ";"), ";")...)
	d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: d.db.Server.DSNAs(restorer, "postgres")})
	return d
}

// restorable is a database, with the role that restores its dump.
func restorable(t *testing.T) pgtest.DB {
	t.Helper()
	db := scratch(t)
	db.Exec(t, "DO $$ BEGIN CREATE ROLE "+restorer+" LOGIN CREATEDB; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
	return db
}

func (d *drill) connect(t *testing.T, verify checks.Connection, others ...checks.Connection) {
	t.Helper()
	d.env = envFor(t, d.db.DSN, append([]checks.Connection{verify}, others...)...)
	d.env.Root, d.env.Exec, d.env.Out = "/", command.NewExec(command.Grace(time.Second)), t.Output()
	d.env.Token, d.env.Dir = fmt.Sprintf("opsdeck/%s", strings.ToLower(d.db.Name)), t.TempDir()
	d.env.Site.Zone = time.UTC
}

// dump dumps with pg_dump into a file of the drill's directory.
func (d *drill) dump(t *testing.T, name string, args ...string) string {
	t.Helper()
	bin, err := pgserver.Find()
	if err != nil {
		pgtest.Missing(t, err)
	}
	if _, err := os.Stat(filepath.Join(bin, "pg_dump")); err != nil {
		pgtest.Missing(t, fmt.Errorf("%w: %w", pgserver.ErrNotFound, err))
	}
	path := filepath.Join(d.dir, name)
	cmd := exec.Command(filepath.Join(bin, "pg_dump"), append(args, "--dbname="+d.db.DSN, "--file="+path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pg_dump: %v %s", err, out)
	}
	return path
}

func (d *drill) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fewTables asks for less than the guide does.
var fewTables = map[string]any{"min_tables": 3}

func (d *drill) check(t *testing.T, path string, with map[string]any) checks.Check {
	t.Helper()
	all := map[string]any{"file": path}
	for name, value := range with {
		all[name] = value
	}
	check, problems := checks.NewCheck(RestoreTest, "restore", all, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return check
}

func (d *drill) preview(t *testing.T, path string, with map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(d.env, nil).Preview(t.Context(), d.check(t, path, with), checks.Own{})
}

func (d *drill) act(t *testing.T, path string, with map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(d.env, nil).Act(t.Context(), d.check(t, path, with), d.env)
}

func (d *drill) probe(t *testing.T, path string) checks.Result {
	t.Helper()
	return checks.NewRunner(d.env, nil).Probe(t.Context(), d.check(t, path, nil), d.env, checks.Rule{})
}

func expectText(t *testing.T, res checks.Result, level checks.Level, class checks.Class, says string) {
	t.Helper()
	text := res.Note + " " + res.Err + " " + strings.Join(res.Detail, "\n")
	if res.Level != level || res.Class != class || !strings.Contains(text, says) {
		t.Errorf("got %v (%s), want %v (%s) with %q:\n%s\n%v %v", res.Level, res.Class, level, class, says, text, res.Facts, res.Why)
	}
}

func factWord(res checks.Result, name, label string) string {
	f, ok := res.Fact(name, label)
	if !ok {
		return "absent"
	}
	return f.String()
}

// nothingLeft: no scratch database of the drill, and no file with a password.
func (d *drill) nothingLeft(t *testing.T) {
	t.Helper()
	all, err := serverOf(t, d.env).scratches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Token() == d.env.Token {
			t.Errorf("%s is left", s.Name)
		}
	}
	if left, err := filepath.Glob(filepath.Join(d.env.Dir, "pgpass*")); err != nil || len(left) > 0 {
		t.Errorf("%v left: %v", left, err)
	}
}

func TestAGoodDumpOfEveryFormatIsRestoredLookedAtAndDropped(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 33)
	plain := d.dump(t, "plain.sql")
	content, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	with := map[string]any{"min_rows": map[string]any{"users": 500}, "newest": "users.made"}
	for _, path := range []string{
		plain, d.write(t, "plain.sql.gz", gzipped(t, content)), d.dump(t, "custom.dump", "--format=custom"),
		d.dump(t, "directory", "--format=directory"), d.dump(t, "inserts.sql", "--inserts"),
	} {
		d.env.Token = fmt.Sprintf("opsdeck/%s-%s", d.db.Name, strings.ReplaceAll(filepath.Base(path), ".", ""))[:min(28, len(d.db.Name)+9+len(filepath.Base(path))-strings.Count(filepath.Base(path), "."))]
		d.env.Dir = t.TempDir()
		before := d.preview(t, path, with)
		expectText(t, before, checks.OK, "", "restores into it with p")
		if before.Target != "verify" || !strings.Contains(before.Fingerprint, path) || len(before.Locks) != 1 {
			t.Errorf("target %q, fingerprint %q, locks %v", before.Target, before.Fingerprint, before.Locks)
		}
		expectText(t, d.probe(t, path), checks.Crit, "", "did not come to its end, and left nothing")
		res := d.act(t, path, with)
		expectText(t, res, checks.OK, "", "33 tables")
		for name, want := range map[string]string{"errors": "0", "tables": "33", "dropped": "true", "done": "true", "short": "0 tables", "invalid_indexes": "0"} {
			if got := factWord(res, name, ""); got != want && got+" tables" != want {
				t.Errorf("%s: %s is %s, want %s", path, name, got, want)
			}
		}
		if num(t, res, "rows", "users") != 500 || num(t, res, "vs_source", "users") != 100 || num(t, res, "rto", "") <= 0 || factWord(res, "newest_row_age", "") == "absent" {
			t.Errorf("%s: %v", path, res.Facts)
		}
		contains(t, strings.Join(res.Detail, "\n"), "indexes not checked") // the role may not create amcheck
		expectText(t, d.probe(t, path), checks.OK, "", "no scratch database is left")
		d.nothingLeft(t)
	}
}

func TestADumpThatIsNotWholeFailsAndIsNotRestored(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	content, err := os.ReadFile(d.dump(t, "plain.sql"))
	if err != nil {
		t.Fatal(err)
	}
	custom, err := os.ReadFile(d.dump(t, "custom.dump", "--format=custom"))
	if err != nil {
		t.Fatal(err)
	}
	packed := gzipped(t, content)
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-6] ^= 1
	for says, path := range map[string]string{
		"cut short":             d.write(t, "cut.sql.gz", packed[:len(packed)/2]),
		"checksum is wrong":     d.write(t, "flipped.sql.gz", flipped),
		"it ends in the middle": d.write(t, "half.sql", content[:len(content)/2]),
		"not finished":          d.write(t, "no-trailer.sql", content[:bytes.Index(content, []byte("-- PostgreSQL database dump complete"))]),
		"could not read":        d.write(t, "cut.dump", custom[:len(custom)*2/3]),
	} {
		d.env.Dir = t.TempDir()
		expectText(t, d.preview(t, path, fewTables), checks.OK, "", "careful: the dump is not whole: ")
		res := d.act(t, path, fewTables)
		expectText(t, res, checks.Crit, "", says)
		if factWord(res, "errors", "") == "0" || factWord(res, "dropped", "") != "true" {
			t.Errorf("%v", res.Facts)
		}
		d.nothingLeft(t)
	}
	path := d.dump(t, "recorded.sql")
	d.write(t, "recorded.sql.sha256", []byte(strings.Repeat("0a", 32)+"  recorded.sql\n"))
	expectText(t, d.act(t, path, fewTables), checks.Crit, "", "not the one that lies next to it")
	expectText(t, d.preview(t, d.write(t, "empty.sql", nil), fewTables), checks.Unknown, checks.NoData, "0 bytes")
}

func TestADumpThatDoesMoreThanFillADatabaseIsRefused(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	content, err := os.ReadFile(d.dump(t, "plain.sql"))
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(d.dir, "victim")
	for says, evil := range map[string]string{
		`\connect production`: `\connect production`, `\! touch`: `\! touch ` + victim,
		"COPY with PROGRAM": "COPY users TO PROGRAM 'touch " + victim + "';", "DROP DATABASE": "DROP DATABASE " + d.db.Name + ";",
	} {
		path := d.write(t, "evil.sql", bytes.Replace(content, []byte("CREATE TABLE"), []byte(evil+"\nCREATE TABLE"), 1))
		expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, says)
		expectText(t, d.act(t, path, fewTables), checks.Unknown, checks.Denied, says)
	}
	if _, err := os.Stat(victim); err == nil {
		t.Error("a command of the dump was run")
	}
	d.nothingLeft(t)
}

// Alone on the server: the restore tests beside it would drop what this one keeps.
func TestAnErrorInTheMiddleFailsAndLeavesNothing(t *testing.T) {
	d := newDrill(t, 3)
	content, err := os.ReadFile(d.dump(t, "plain.sql"))
	if err != nil {
		t.Fatal(err)
	}
	path := d.write(t, "wrong.sql", bytes.Replace(content, []byte("ALTER TABLE ONLY public.users"), []byte("ALTER TABLE ONLY public.nobody"), 1))
	res := d.act(t, path, map[string]any{"min_tables": 1})
	expectText(t, res, checks.Crit, "", `relation "public.nobody" does not exist`)
	if factWord(res, "errors", "") != "1" || factWord(res, "dropped", "") != "true" {
		t.Errorf("%v", res.Facts)
	}
	d.nothingLeft(t)

	kept := d.act(t, path, map[string]any{"keep_on_failure": true})
	expectText(t, kept, checks.Crit, "", "does not exist")
	if factWord(kept, "dropped", "") != "false" {
		t.Errorf("%v", kept.Facts)
	}
	expectText(t, d.probe(t, path), checks.OK, "", "is left; the next restore test drops it")
	eventually(t, d.db.Connect(t), "its sessions are gone", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)", d.env.Token)
	d.env.Token = "opsdeck/after-" + d.db.Name
	expectText(t, d.preview(t, d.dump(t, "good.sql"), fewTables), checks.OK, "", "drops opsdeck_verify_"+d.db.Name)
	d.act(t, d.dump(t, "good.sql"), fewTables)
	d.env.Token = "opsdeck/" + d.db.Name
	d.nothingLeft(t)
}

func TestTooLittleInTheCopyIsCrit(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	path := d.dump(t, "plain.sql")
	expectText(t, d.act(t, path, nil), checks.Crit, "", "3 tables") // 31 by default
	res := d.act(t, path, map[string]any{"min_tables": 3, "min_rows": map[string]any{"users": 501, "courses": 1}})
	expectText(t, res, checks.Crit, "", "no table courses")
	if factWord(res, "enough_rows", "users") != "false" || factWord(res, "enough_rows", "courses") != "false" {
		t.Errorf("%v", res.Facts)
	}
	d.db.Exec(t, "DELETE FROM users")
	res = d.act(t, d.dump(t, "emptied.sql"), map[string]any{"min_tables": 3, "newest": "users.made"})
	expectText(t, res, checks.Crit, "", "no row of users")
	d.db.Exec(t, "INSERT INTO users (made) VALUES (now() - interval '3 days')")
	res = d.act(t, d.dump(t, "old.sql"), map[string]any{"min_tables": 3, "newest": "users.made"})
	if expectText(t, res, checks.Crit, "", ""); num(t, res, "newest_row_age", "") < (71 * time.Hour).Seconds() {
		t.Errorf("%v", res.Facts)
	}
	old := d.dump(t, "aged.sql")
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	expectText(t, d.act(t, old, fewTables), checks.Crit, "", "") // three days old
	d.nothingLeft(t)
}

func TestACopyThatIsMuchSmallerThanTheSourceWarns(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	path := d.dump(t, "plain.sql")
	d.db.Exec(t, "INSERT INTO users (name) SELECT 'more' FROM generate_series(1, 500)", "ANALYZE users")
	res := d.act(t, path, fewTables)
	expectText(t, res, checks.Warn, "", "")
	contains(t, cells(t, res, "compared"), "users | 500")
	res = d.act(t, path, map[string]any{"min_tables": 3, "source": "nobody"})
	expectText(t, res, checks.OK, "", "careful: not compared with nobody")
}

// TestTheCountersOfStatementsStopNoRestore: nearly every site has them, and a
// role that is no superuser, as the one that restores should be, cannot create
// them.
func TestTheCountersOfStatementsStopNoRestore(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	d.db.Exec(t, "CREATE EXTENSION pg_stat_statements", "COMMENT ON EXTENSION pg_stat_statements IS 'ours'")
	path := d.dump(t, "counted.sql")
	expectText(t, d.preview(t, path, fewTables), checks.OK, "", "")
	expectText(t, d.act(t, path, fewTables), checks.OK, "", "3 tables")
}

func TestProductionIsRefusedUnderAnyName(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	path := d.dump(t, "plain.sql")
	dsn := d.db.Server.DSNAs(restorer, "postgres")
	d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: dsn, Production: true})
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, "is production")
	d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: dsn}, checks.Connection{Kind: kind, Name: "live", DSN: d.db.DSN, Production: true})
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, `the same server as "live"`)
	expectText(t, d.act(t, path, fewTables), checks.Unknown, checks.Denied, `the same server as "live"`)
	d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: dsn}, checks.Connection{Kind: kind, Name: "live", DSN: "host=/nowhere dbname=x user=y", Production: true})
	expectText(t, d.preview(t, path, fewTables), checks.OK, "", "") // it does not serve, so it is not the one that answers
	d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: dsn}, checks.Connection{Kind: kind, Name: "live", DSN: d.db.DSNAs(guard(t, d.db)), Password: checks.NewSecret("wrong"), Production: true})
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Auth, "cannot be told")
}

func TestWhoMayNotRestoreIsUnknown(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	path := d.dump(t, "plain.sql")
	d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: d.db.Server.DSNAs(plain, "postgres")})
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Denied, "may not create databases")
	expectText(t, d.act(t, path, fewTables), checks.Unknown, checks.Denied, "CREATEDB")
	d.connect(t, checks.Connection{Kind: kind, Name: "verify", DSN: d.db.DSNAs(guard(t, d.db)), Password: checks.NewSecret("wrong")})
	expectText(t, d.act(t, path, fewTables), checks.Unknown, checks.Auth, "password authentication failed")
	d.connect(t, checks.Connection{Kind: kind, Name: "other", DSN: d.db.DSN})
	expectText(t, d.preview(t, path, fewTables), checks.Unknown, checks.Other, `"verify"`)
}

func TestTheScratchDatabaseIsNeverOneThatWasThere(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	path := d.dump(t, "plain.sql")
	expectText(t, d.act(t, path, map[string]any{"database": d.db.Name}), checks.Unknown, checks.Other, "exists already")
	if _, problems := checks.NewCheck(RestoreTest, "x", map[string]any{"file": path, "database": "postgres"}, checks.Rules{}); len(problems) == 0 {
		t.Error("postgres is accepted as the name of a scratch database")
	}
	// a comment that is not the one it was given keeps it from being dropped
	p := &restorePlan{server: serverOf(t, d.env), scratch: d.db.Name}
	d.db.Exec(t, "COMMENT ON DATABASE "+d.db.Name+" IS 'opsdeck/other 2026-11-23T00:00:00Z restore test "+d.db.Name+"'")
	if err := p.dropScratch(t.Context(), d.env); err == nil || !strings.Contains(err.Error(), "is not dropped") {
		t.Errorf("dropping another's database gave %v", err)
	}
	d.db.Exec(t, "SELECT 1")
}

func TestASetsNewestFinishedFileIsRestored(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	old := d.dump(t, "db_1.sql")
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	d.write(t, "db_2.sql", []byte("being written"))
	if err := os.Symlink("db_1.sql", filepath.Join(d.dir, "db_3.sql")); err != nil {
		t.Fatal(err)
	}
	d.env.Site.Backups = map[string]checks.BackupSet{"db": {Name: "db", Dir: d.dir, Glob: "db_*.sql"}}
	res := d.act(t, "", map[string]any{"file": "", "min_tables": 3})
	if expectText(t, res, checks.OK, "", ""); factWord(res, "path", "") != old {
		t.Errorf("restored %s", factWord(res, "path", ""))
	}
	d.env.Site.Backups["db"] = checks.BackupSet{Name: "db", Dir: d.dir, Glob: "none*"}
	expectText(t, d.act(t, "", fewTables), checks.Unknown, checks.NoData, "no finished file")
	d.env.Site.Backups = nil
	expectText(t, d.act(t, "", fewTables), checks.Skipped, checks.Unconfigured, "no backups")
}

func TestCancelledInTheMiddleTheScratchDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	path := d.dump(t, "custom.dump", "--format=custom")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	real, reached := d.env.Exec, false
	d.env.Exec = func(runCtx context.Context, c checks.Call) (checks.Output, error) {
		if strings.Contains(strings.Join(c.Argv, " "), "--single-transaction") {
			reached = true
			cancel()
		}
		return real(runCtx, c)
	}
	res := checks.NewRunner(d.env, nil).Act(ctx, d.check(t, path, fewTables), d.env)
	if res.Level != checks.Unknown || !reached {
		t.Errorf("%v %s, reached %v", res.Level, res.Note, reached)
	}
	d.nothingLeft(t)
	expectText(t, d.probe(t, path), checks.Crit, "", "did not come to its end")
}

func TestKilledInTheMiddleTheScratchDatabaseIsFoundAndDroppedByTheNext(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 3)
	path := d.dump(t, "plain.sql")
	cmd := exec.Command(os.Args[0], "-test.run", "TestHelperRestores")
	cmd.Env = append(os.Environ(), "OPSDECK_TEST_RESTORE="+path, "OPSDECK_TEST_DSN="+d.db.Server.DSNAs(restorer, "postgres"), "OPSDECK_TEST_TOKEN="+d.env.Token, "OPSDECK_TEST_DIR="+d.env.Dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal("it never began:", err)
	}
	working := d.probe(t, path)
	if factWord(working, "running", "") != "true" || working.Level != checks.Crit {
		t.Errorf("while it works: %v %v", working.Level, working.Facts)
	}
	expectText(t, d.preview(t, path, fewTables), checks.OK, "", "careful: leaves opsdeck_verify_"+d.db.Name)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // killed
	eventually(t, d.db.Connect(t), "its sessions are gone", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)", d.env.Token)
	probe := d.probe(t, path)
	expectText(t, probe, checks.Crit, "", "is left; the next restore test drops it")
	dead := d.env.Token
	d.env.Token = "opsdeck/next-" + d.db.Name
	expectText(t, d.preview(t, path, fewTables), checks.OK, "", "left by "+dead)
	expectText(t, d.act(t, path, fewTables), checks.OK, "", "")
	d.nothingLeft(t)
	d.env.Token = dead
	d.nothingLeft(t)
}

func TestHelperRestores(t *testing.T) {
	path := os.Getenv("OPSDECK_TEST_RESTORE")
	if path == "" {
		t.Skip("run by TestKilledInTheMiddle")
	}
	dsn := os.Getenv("OPSDECK_TEST_DSN")
	d := &drill{env: envFor(t, dsn, checks.Connection{Kind: kind, Name: "verify", DSN: dsn})}
	d.env.Token, d.env.Dir, d.env.Exec = os.Getenv("OPSDECK_TEST_TOKEN"), os.Getenv("OPSDECK_TEST_DIR"), command.NewExec()
	real := d.env.Exec
	d.env.Exec = func(ctx context.Context, c checks.Call) (checks.Output, error) {
		if strings.Contains(strings.Join(c.Argv, " "), "--single-transaction") {
			fmt.Println("begun")
			<-ctx.Done() // for ever, as far as this process is concerned
		}
		return real(ctx, c)
	}
	d.act(t, path, fewTables)
}

func TestADirectoryOrALinkThatIsNoDumpIsNotOpenedForLong(t *testing.T) {
	t.Parallel()
	d := newDrill(t, 1)
	expectText(t, d.preview(t, d.dir, fewTables), checks.Unknown, checks.Missing, "table of contents")
	expectText(t, d.preview(t, filepath.Join(d.dir, "none"), fewTables), checks.Unknown, checks.Missing, "no such file")
	expectText(t, d.preview(t, d.write(t, "binary", []byte("\x28\xb5\x2f\xfd\x00\x00")), fewTables), checks.Unknown, checks.Missing, "neither")
}

func TestConnectionStringsForPrograms(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u@h/d":            "postgres://u@h/d?application_name=opsdeck%2Fx&dbname=s",
		"postgres://u@h/d?sslmode=no": "",
		"host=/x user=u dbname=d":     "host=/x user=u dbname=d application_name='opsdeck/x' dbname='s'",
		"postgres://u:secret@h/d":     "refused", "host=h password=secret": "refused", "postgres://u@h/d?password=secret": "refused",
	} {
		s, err := Open(checks.Connection{Name: "main", DSN: dsn})
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", dsn, err)
			}
			continue
		}
		got, err := s.clientDSN("opsdeck/x", "s")
		if want == "refused" {
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %q %v", dsn, got, err)
			}
		} else if got != want || err != nil {
			t.Errorf("%s: %q, %v", dsn, got, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
