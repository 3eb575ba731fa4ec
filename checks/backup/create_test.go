package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/postgres"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A site has a real database and a directory of backups.
type site struct {
	db  pgtest.DB
	dir string
	env checks.Env
}

// newSite fills a database of the test's own; rows of about 100 bytes that do
// not compress well.
func newSite(t *testing.T, glob string, rows int) *site {
	t.Helper()
	s := &site{db: pgtest.Database(t), dir: t.TempDir()}
	s.db.Exec(t, fmt.Sprintf("CREATE TABLE users AS SELECT i AS id, md5(i::text)||md5((i*7)::text) AS name FROM generate_series(1, %d) i", rows))
	s.env = checks.Env{
		Root: "/", Exec: command.NewExec(command.Grace(time.Second)), Token: "opsdeck/test0001", Dir: t.TempDir(), Out: t.Output(),
		Now: func() time.Time { return now },
		Site: checks.SiteFacts{
			Zone:        time.UTC,
			Backups:     map[string]checks.BackupSet{"db": {Name: "db", Dir: s.dir, Glob: glob}},
			Connections: []checks.Connection{{Kind: "postgres", Name: "main"}},
			Commands:    map[string]checks.Command{},
		},
	}
	s.connect(t, checks.Connection{Name: "main", DSN: s.db.DSN})
	return s
}

func (s *site) connect(t *testing.T, c checks.Connection) {
	t.Helper()
	server, err := postgres.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	s.env.Handle = func(string, string) (checks.Handle, error) { return server, nil }
}

// script is the site's own way to back up.
func (s *site) script(t *testing.T, danger int, body string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup.sh")
	checktest.WriteExecutable(t, path, []byte("#!/bin/sh\ncd "+s.dir+"\n"+body+"\n"))
	s.env.Site.Commands["own"] = checks.Command{Name: "own", Argv: []string{path}, Danger: danger}
}

type call func(*checks.Runner, context.Context, checks.Check, checks.Own) checks.Result

func (s *site) do(t *testing.T, ctx context.Context, how call, with map[string]any) checks.Result {
	t.Helper()
	all := map[string]any{"set": "db"}
	for name, value := range with {
		all[name] = value
	}
	check, problems := checks.NewCheck(Create, "create", all, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return how(checks.NewRunner(s.env, nil), ctx, check, s.env)
}

func (s *site) preview(t *testing.T, with map[string]any) checks.Result {
	t.Helper()
	return s.do(t, t.Context(), (*checks.Runner).Preview, with)
}

func (s *site) act(t *testing.T, with map[string]any) checks.Result {
	t.Helper()
	return s.do(t, t.Context(), (*checks.Runner).Act, with)
}

func (s *site) probe(t *testing.T) checks.Result {
	t.Helper()
	return s.do(t, t.Context(), func(r *checks.Runner, ctx context.Context, c checks.Check, own checks.Own) checks.Result {
		return r.Probe(ctx, c, own, checks.Rule{})
	}, nil)
}

// names lists the directory.
func (s *site) names(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func (s *site) expectNames(t *testing.T, want string) {
	t.Helper()
	if got := s.names(t); got != want {
		t.Errorf("the directory holds %q, want %q", got, want)
	}
}

func TestANewBackupIsWholeRecordedAndTheNewest(t *testing.T) {
	t.Parallel()
	for glob, name := range map[string]string{"db_backup_2*.sql.gz": "db_backup_20261123_090000.sql.gz", "lms-*.dump": "lms-20261123_090000.dump", "*": "20261123_090000.dump"} {
		s := newSite(t, glob, 2000)
		before := s.preview(t, nil)
		expect(t, before, checks.OK, "careful: no backup before")
		if before.Target != s.db.Name || len(before.Locks) != 2 || !strings.Contains(before.Fingerprint, s.db.Name+"@") {
			t.Errorf("target %q, locks %v, fingerprint %q", before.Target, before.Locks, before.Fingerprint)
		}
		expect(t, s.probe(t), checks.Crit, "no backup that this action recorded")
		s.expectNames(t, "")
		res := s.act(t, nil)
		expect(t, res, checks.OK, "whole")
		if flag(res, "verified") != "true" || flag(res, "done") != "true" || flag(res, "path") != filepath.Join(s.dir, name) {
			t.Errorf("%s: %v %s", glob, res.Facts, res.Err)
		}
		s.expectNames(t, name+" "+name+".sha256")
		probe := s.probe(t)
		expect(t, probe, checks.OK, "recorded checksum")
		if flag(probe, "sha256") != flag(res, "sha256") {
			t.Error("probe and action name different checksums")
		}
		cmd := exec.Command("sha256sum", "-c", name+".sha256")
		cmd.Dir = s.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sha256sum -c: %v %s", err, out)
		}
		// the same set's checks see one backup, and a whole one
		expect(t, checktest.Run(t, s.env, Integrity, map[string]any{"set": "db", "settle": "0s"}), checks.OK, "whole")
		if got := flag(checktest.Run(t, s.env, Fresh, map[string]any{"set": "db", "settle": "0s"}), "count"); got != "1 files" && got != "1" {
			t.Errorf("%s backups", got)
		}
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		if left, err := os.ReadDir(s.env.Dir); err != nil || len(left) > 0 {
			t.Errorf("left in the private directory: %v %v", left, err)
		}
	}
}

func TestABackupThatWasExchangedIsNotDone(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 10)
	res := s.act(t, nil)
	expect(t, res, checks.OK, "whole")
	path := flag(res, "path")
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, s.probe(t), checks.Crit, "is not what was written")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect(t, s.probe(t), checks.Unknown, "no such file")
}

func TestAMuchSmallerBackupThanTheLastWarns(t *testing.T) {
	t.Parallel()
	s := newSite(t, "db_backup_2*.sql.gz", 100)
	put(t, s.dir, "db_backup_20261122_030000.sql.gz", zip(t, dump(40000, true)), 30*time.Hour)
	res := s.act(t, nil)
	if res.Level != checks.Warn || flag(res, "size_ratio") == "absent" {
		t.Errorf("%v %v", res.Level, res.Facts)
	}
}

func TestWhatIsPlantedIsRefusedAndItsTargetUntouched(t *testing.T) {
	t.Parallel()
	const final = "lms-20261123_090000.dump"
	for _, name := range []string{final, final + ".sha256", ".opsdeck-test0001.tmp"} {
		s := newSite(t, "lms-*.dump", 10)
		victim := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
		expect(t, s.act(t, nil), checks.Unknown, "not touched")
		s.expectNames(t, name)
		if content, err := os.ReadFile(victim); err != nil || string(content) != "untouched" {
			t.Errorf("%q %v", content, err)
		}
	}
}

// The link that is planted after everything was looked at.
func TestALinkPlantedInTheLastMomentIsNotWrittenThrough(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	d, err := newDraft(root, "opsdeck/test0001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("victim", filepath.Join(dir, "final")); err != nil {
		t.Fatal(err)
	}
	if err := d.finish("final"); !errors.Is(err, os.ErrExist) {
		t.Errorf("finishing gave %v", err)
	}
	if err := d.discard(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "victim")); err == nil {
		t.Error("written through the link")
	}
}

func TestLeftoversAreRemovedUnlessSomebodyWritesThem(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 10)
	put(t, s.dir, ".opsdeck-dead0001.tmp", []byte("half"), time.Hour)
	put(t, s.dir, ".opsdeck-live0001.tmp", []byte("half"), time.Minute)
	put(t, s.dir, "other.tmp", []byte("not ours"), time.Hour)
	writer, err := os.Open(filepath.Join(s.dir, ".opsdeck-live0001.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := syscall.Flock(int(writer.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	before := s.preview(t, nil)
	expect(t, before, checks.OK, "removes .opsdeck-dead0001.tmp, 4 B")
	expect(t, before, checks.OK, "careful: leaves the unfinished .opsdeck-live0001.tmp: somebody is writing it")
	s.expectNames(t, ".opsdeck-dead0001.tmp .opsdeck-live0001.tmp other.tmp")
	expect(t, s.act(t, nil), checks.OK, "whole")
	s.expectNames(t, ".opsdeck-live0001.tmp lms-20261123_090000.dump lms-20261123_090000.dump.sha256 other.tmp")
}

func TestADirectoryThatOthersCanWriteIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 10)
	for mode, says := range map[os.FileMode]string{0o777: "writable by others", 0o770: "careful: the directory's group", 0o777 | os.ModeSticky: "to "} {
		if err := os.Chmod(s.dir, mode); err != nil {
			t.Fatal(err)
		}
		want := checks.OK
		if mode == 0o777 {
			want = checks.Unknown
		}
		expect(t, s.preview(t, nil), want, says)
	}
}

func TestWhatCannotBeBegun(t *testing.T) {
	t.Parallel()
	s := newSite(t, "db_backup_2*.sql.gz", 10)
	expect(t, s.preview(t, map[string]any{"format": "custom"}), checks.Unknown, "is not for dumps of format custom")
	expect(t, s.preview(t, map[string]any{"set": "none"}), checks.Skipped, "no backup set")
	expect(t, s.preview(t, map[string]any{"command": "none"}), checks.Skipped, "no command")
	s.script(t, 3, "true")
	expect(t, s.preview(t, map[string]any{"command": "own"}), checks.Unknown, "danger 3")

	put(t, s.dir, "db_backup_20261122_030000.sql.gz", nil, 30*time.Hour)
	if err := os.Truncate(filepath.Join(s.dir, "db_backup_20261122_030000.sql.gz"), 1<<43); err != nil {
		t.Skip("no sparse file of that size here")
	}
	expect(t, s.preview(t, nil), checks.Unknown, "free, and the backup may take")

	old := newSite(t, "lms-*.dump", 10)
	real := old.env.Exec
	old.env.Exec = func(ctx context.Context, c checks.Call) (checks.Output, error) {
		if c.Argv[len(c.Argv)-1] == "--version" {
			return checks.Output{Stdout: []byte("pg_dump (PostgreSQL) 9.6.24\n")}, nil
		}
		return real(ctx, c)
	}
	expect(t, old.preview(t, nil), checks.Unknown, "pg_dump 9.6 is older than the server")
	secret := newSite(t, "lms-*.dump", 10)
	secret.connect(t, checks.Connection{Name: "main", DSN: s.db.DSN + " password=hunter2"})
	res := secret.act(t, nil)
	expect(t, res, checks.Unknown, "move it to password:")
	secret.expectNames(t, "")
}

// tightDir mounts a file system that is almost full on a new directory.
func tightDir(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no file system of its own to be had: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskIsAnErrorAndLeavesTheOldBackups(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 30000)
	s.dir = tightDir(t, "512k")
	s.env.Site.Backups["db"] = checks.BackupSet{Name: "db", Dir: s.dir, Glob: "lms-*.dump"}
	put(t, s.dir, "lms-20261122_030000.dump", []byte("PGDMP, the old one"), 30*time.Hour)
	res := s.act(t, nil)
	expect(t, res, checks.Unknown, "the disk is full after")
	if res.Class != checks.Limit {
		t.Errorf("class %s", res.Class)
	}
	s.expectNames(t, "lms-20261122_030000.dump")
	expect(t, s.probe(t), checks.Crit, "no backup")
}

func TestARoleThatMayNotReadIsDenied(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 10)
	s.db.Exec(t, "DROP ROLE IF EXISTS reads_nothing", "CREATE ROLE reads_nothing LOGIN")
	s.connect(t, checks.Connection{Name: "main", DSN: s.db.DSNAs("reads_nothing")})
	res := s.act(t, nil)
	expect(t, res, checks.Unknown, "permission denied")
	if res.Class != checks.Denied {
		t.Errorf("class %s", res.Class)
	}
	s.expectNames(t, "")
}

// The password travels in a file that nobody else can read, for as long as
// pg_dump runs.
func TestThePasswordIsNeitherInArgvNorInTheEnvironment(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 10)
	const secret = `hun:ter\2`
	s.connect(t, checks.Connection{Name: "main", DSN: s.db.DSN, Password: checks.NewSecret(secret)})
	real, seen := s.env.Exec, false
	s.env.Exec = func(ctx context.Context, c checks.Call) (checks.Output, error) {
		all := strings.Join(append(append([]string{}, c.Argv...), c.Env...), "\n")
		if strings.Contains(all, "hun") || strings.Contains(all, url.QueryEscape(secret)) || strings.Contains(all, "PGPASSWORD") {
			t.Errorf("the password is in the call:\n%s", all)
		}
		if _, path, ok := strings.Cut(all, "PGPASSFILE="); ok {
			info, err := os.Stat(path)
			content, readErr := os.ReadFile(path)
			if err != nil || readErr != nil || info.Mode().Perm() != 0o600 || string(content) != `*:*:*:*:hun\:ter\\2`+"\n" {
				t.Errorf("%v %v %q", err, readErr, content)
			}
			seen = true
		}
		return real(ctx, c)
	}
	expect(t, s.act(t, nil), checks.OK, "whole")
	if left, err := os.ReadDir(s.env.Dir); !seen || err != nil || len(left) > 0 {
		t.Errorf("no password file seen, or %v left: %v", left, err)
	}
}

func TestACancelledDumpLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 10)
	lock := s.db.Connect(t)
	if _, err := lock.Exec(t.Context(), "BEGIN; LOCK TABLE users"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	real := s.env.Exec
	s.env.Exec = func(runCtx context.Context, c checks.Call) (checks.Output, error) {
		if c.Stdout != nil {
			s.expectNames(t, ".opsdeck-test0001.tmp")
			cancel() // pg_dump waits for the lock
		}
		return real(runCtx, c)
	}
	res := s.do(t, ctx, (*checks.Runner).Act, nil)
	if res.Level != checks.Unknown {
		t.Errorf("%v %s", res.Level, res.Note)
	}
	s.expectNames(t, "")
}

// TestAKilledDump kills the process in the middle: this test binary runs
// itself, holds the draft open and is ended by SIGKILL.
func TestAKilledDumpIsNoBackupAndItsDraftIsRemovedByTheNext(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lms-*.dump", 10)
	lock := s.db.Connect(t)
	if _, err := lock.Exec(t.Context(), "BEGIN; LOCK TABLE users"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "TestHelperCreatesABackup")
	cmd.Env = append(os.Environ(), "OPSDECK_TEST_CREATE="+s.dir, "OPSDECK_TEST_DSN="+s.db.DSN, "OPSDECK_TEST_TMP="+s.env.Dir)
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
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, out) //nolint:errcheck // until it is gone
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	if _, err := lock.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	awaitWriter(t, filepath.Join(s.dir, ".opsdeck-killed01.tmp"))
	s.env.Token = "opsdeck/killed01"
	expect(t, s.probe(t), checks.Crit, "no backup that this action recorded")
	s.env.Token = "opsdeck/test0002"
	expect(t, s.preview(t, nil), checks.OK, "removes .opsdeck-killed01.tmp")
	expect(t, s.act(t, nil), checks.OK, "whole")
	s.expectNames(t, "lms-20261123_090000.dump lms-20261123_090000.dump.sha256")
}

// awaitWriter returns when nobody holds the draft any more: the pg_dump of a
// killed opsdeck lives on until it finds that nobody reads it.
func awaitWriter(t *testing.T, draft string) {
	t.Helper()
	file, err := os.Open(draft)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestHelperCreatesABackup(t *testing.T) {
	dir := os.Getenv("OPSDECK_TEST_CREATE")
	if dir == "" {
		t.Skip("run by TestAKilledDump")
	}
	s := &site{dir: dir, env: checks.Env{
		Token: "opsdeck/killed01", Dir: os.Getenv("OPSDECK_TEST_TMP"), Now: func() time.Time { return now },
		Site: checks.SiteFacts{
			Zone: time.UTC, Backups: map[string]checks.BackupSet{"db": {Name: "db", Dir: dir, Glob: "lms-*.dump"}},
			Connections: []checks.Connection{{Kind: "postgres", Name: "main"}},
		},
	}}
	real := command.NewExec()
	s.env.Exec = func(ctx context.Context, c checks.Call) (checks.Output, error) {
		if c.Stdout != nil {
			fmt.Println("begun")
		}
		return real(ctx, c)
	}
	s.connect(t, checks.Connection{Name: "main", DSN: os.Getenv("OPSDECK_TEST_DSN")})
	s.act(t, nil)
}

func TestTheSitesOwnScriptIsJudgedByWhatItLeaves(t *testing.T) {
	t.Parallel()
	whole := zip(t, dump(100, true))
	const name = "db_backup_20261123_085900.sql.gz"
	tests := []struct {
		title, body string
		level       checks.Level
		says        string
		done        checks.Level
	}{
		{"good", "cp seed " + name + "; ln -s " + name + " db_backup_2latest.sql.gz", checks.OK, "whole", checks.OK},
		{"good, with a checksum of its own", "cp seed " + name + "; sha256sum " + name + " > " + name + ".sha256", checks.OK, "whole", checks.OK},
		{"nothing made", "echo all is well", checks.Crit, "says that all is well and made no new backup", checks.Crit},
		{"failed", "exit 3", checks.Crit, "exit code 3 and made no new backup", checks.Crit},
		{"made and failed", "cp seed " + name + "; exit 3", checks.Crit, "whole", checks.OK},
		{"half", "head -c 300 seed > " + name, checks.Crit, "cut short", checks.Crit},
		{"renamed the old one", "mv db_backup_20261122_030000.sql.gz " + name, checks.Crit, "made no new backup", checks.Crit},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "db_backup_2*.sql.gz", 1)
			put(t, s.dir, "seed", whole, 0)
			put(t, s.dir, "db_backup_20261122_030000.sql.gz", whole, 30*time.Hour)
			s.script(t, 1, tt.body)
			own := map[string]any{"command": "own"}
			expect(t, s.preview(t, own), checks.OK, "expects a new file")
			expect(t, s.act(t, own), tt.level, tt.says)
			expect(t, s.probe(t), tt.done, "")
		})
	}
}

func TestNamesMatchTheirPattern(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	for glob, want := range map[string]string{
		"db_backup_2*.sql.gz": "db_backup_20261123_030000.sql.gz", "db-20*": "db-20261123_030000.dump", "*": "20261123_030000.dump",
		"a*b*.dump": "a20261123_030000b.dump", "fixed.dump": "", "db_?*.dump": "", "sub/*.dump": "", ".*.dump": "", "*.tmp": "", "[": "",
	} {
		got, err := nameFor(glob, formatFor(formatAuto, glob), at)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", glob, got, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(record{"opsdeck/abc", strings.Repeat("0a", 32), "x.dump", now, "pg_dump"}.String())
	f.Add("# opsdeck/abc\n0a  \n")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseRecord(text)
		if ok && (len(r.sum) != 64 || r.file == "") {
			t.Errorf("%+v", r)
		}
	})
}
