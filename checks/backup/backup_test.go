package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

const trailer = "--\n-- PostgreSQL database dump complete\n--\n\n"

func TestConformance(t *testing.T) {
	t.Parallel()
	checktest.Family(t, Family())
}

func dump(rows int, whole bool) []byte {
	var b strings.Builder
	b.WriteString("--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.users (\n    id integer\n);\n\nCOPY public.users (id) FROM stdin;\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d\t%x\n", i, i*2654435761)
	}
	if whole {
		b.WriteString("\\.\n\n" + trailer)
	}
	return []byte(b.String())
}

func zip(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// put writes a file with an age; the newest of most scenes is newest.
func put(t *testing.T, dir, name string, content []byte, age time.Duration) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
		t.Fatal(err)
	}
}

const newest = "db_backup_20261123_030000.sql.gz"

func envOf(dir string) checks.Env {
	return checks.Env{
		Now:  func() time.Time { return now },
		Site: checks.SiteFacts{Zone: time.UTC, Backups: map[string]checks.BackupSet{"db": {Name: "db", Dir: dir, Glob: "db_backup_2*"}}},
	}
}

func run(t *testing.T, m *checks.Module, env checks.Env, with map[string]any) checks.Result {
	t.Helper()
	if with == nil {
		with = map[string]any{"set": "db"}
	}
	return checktest.Run(t, env, m, with)
}

func expect(t *testing.T, res checks.Result, level checks.Level, says string) {
	t.Helper()
	text := res.Note + " " + res.Err + " " + strings.Join(res.Detail, " ")
	if res.Level != level || !strings.Contains(text, says) {
		t.Errorf("got %v %q, want %v with %q", res.Level, text, level, says)
	}
}

func flag(res checks.Result, name string) string {
	f, ok := res.Fact(name, "")
	if !ok {
		return "absent"
	}
	return f.String()
}

func TestIntegritySeesWhatIsWrongWithTheNewestFile(t *testing.T) {
	t.Parallel()
	good := dump(4000, true)
	packed := zip(t, good)
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	tests := []struct {
		name, file          string
		content             []byte
		level               checks.Level
		gzip, trailer, says string
	}{
		{"good", newest, packed, checks.OK, "true", "true", "whole"},
		{"good and plain", "db_backup_20261123.sql", good, checks.OK, "absent", "true", "whole"},
		{"unrestrict behind the trailer", newest, zip(t, append(bytes.Clone(good), "\\unrestrict abc\n"...)), checks.OK, "true", "true", "whole"},
		{"two members", newest, append(zip(t, good[:9000]), zip(t, good[9000:])...), checks.OK, "true", "true", "whole"},
		{"zeros behind it", newest, append(bytes.Clone(packed), make([]byte, 700)...), checks.OK, "true", "true", "whole"},
		{"zero bytes", newest, nil, checks.Crit, "absent", "absent", "0 bytes"},
		{"cut short", newest, packed[:len(packed)*2/3], checks.Crit, "false", "false", "cut short"},
		{"wrong checksum", newest, flipped, checks.Crit, "false", "false", "checksum"},
		{"half a dump, whole gzip", newest, zip(t, dump(4000, false)), checks.Crit, "true", "false", "last line is missing"},
		{"trailer is not the end", newest, zip(t, append(bytes.Clone(good), "COPY public.users (id) FROM stdin;\n"...)), checks.Crit, "true", "false", "last line is missing"},
		{"not gzip", newest, good, checks.Crit, "false", "absent", "not gzipped"},
		{"garbage behind it", newest, append(bytes.Clone(packed), "garbage"...), checks.Crit, "false", "false", "no gzip"},
		{"zstd", "db_backup_20261123.sql.zst", []byte("\x28\xb5\x2f\xfdxxxx"), checks.Unknown, "absent", "absent", "zstd is not supported"},
		{"an empty database's dump", newest, zip(t, []byte("--\n-- PostgreSQL database dump\n--\n\n"+trailer)), checks.Warn, "true", "true", ""},
		{"custom format without contents", "db_backup_20261123.dump", []byte("PGDMP\x01\x0e\x00\x04\x08\x01"), checks.Crit, "absent", "false", "cut short"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, dir, tt.file, tt.content, 6*time.Hour)
			res := run(t, Integrity, envOf(dir), nil)
			expect(t, res, tt.level, tt.says)
			if got := flag(res, "gzip_ok"); got != tt.gzip {
				t.Errorf("gzip_ok is %s, want %s", got, tt.gzip)
			}
			if got := flag(res, "trailer_ok"); got != tt.trailer {
				t.Errorf("trailer_ok is %s, want %s", got, tt.trailer)
			}
		})
	}
}

func TestASmallerOrLargerBackupThanTheLastWarns(t *testing.T) {
	t.Parallel()
	for rows, want := range map[int]checks.Level{4000: checks.OK, 1500: checks.Warn, 12000: checks.Warn} {
		dir := t.TempDir()
		put(t, dir, "db_backup_20261122_030000.sql.gz", zip(t, dump(4000, true)), 30*time.Hour)
		put(t, dir, newest, zip(t, dump(rows, true)), 6*time.Hour)
		res := run(t, Integrity, envOf(dir), nil)
		if res.Level != want {
			t.Errorf("with %d rows after 4000: %v, %v", rows, res.Level, res.Why)
		}
	}
}

func TestABombIsNotUnpackedToItsEnd(t *testing.T) {
	t.Parallel()
	members := &gzipMembers{limit: 1 << 20}
	members.packed = newReader(zip(t, make([]byte, 8<<20)))
	_, err := members.WriteTo(t)
	if checks.ClassOf(err) != checks.Limit || members.unpacked > 2<<20 {
		t.Errorf("unpacked %d bytes, %v", members.unpacked, err)
	}
}

func TestAnUnchangedFileIsReadOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, newest, zip(t, dump(100, true)), 6*time.Hour)
	at := now
	env := envOf(dir)
	env.Now = func() time.Time { return at }
	runner := checks.NewRunner(env, nil)
	check, problems := checks.NewCheck(Integrity, "integrity.db", map[string]any{"set": "db"}, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	verified := func() string { return flag(checktest.RunCheck(t, runner, check), "verified") }
	first := verified()
	at = now.Add(10 * time.Minute)
	if again := verified(); again != first {
		t.Errorf("an unchanged file was read again: %s, %s", first, again)
	}
	put(t, dir, newest, zip(t, dump(100, false)), 5*time.Hour)
	if res := checktest.RunCheck(t, runner, check); res.Level != checks.Crit {
		t.Errorf("a changed file was not read again: %v %s", res.Level, res.Note)
	}
	at = now.Add(25 * time.Hour)
	if later := verified(); later == first {
		t.Error("a file is not read again after a day")
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	whole := zip(t, dump(10, true))
	tests := []struct {
		name  string
		age   time.Duration
		level checks.Level
	}{
		{newest, 6 * time.Hour, checks.OK},
		{"db_backup_20261122_030000.sql.gz", 30 * time.Hour, checks.Warn},
		{"db_backup_20261120_030000.sql.gz", 78 * time.Hour, checks.Crit},
		{"db_backup_20261101_030000.sql.gz", time.Hour, checks.Crit}, // an old one, copied today
		{"db_backup_2nightly.sql.gz", 6 * time.Hour, checks.OK},      // no date in the name
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, dir, tt.name, whole, tt.age)
			if res := run(t, Fresh, envOf(dir), nil); res.Level != tt.level {
				t.Errorf("got %v, want %v: %s %v", res.Level, tt.level, res.Note, res.Why)
			}
		})
	}
}

func TestAnEmptyDirectoryFailsAndAMissingOneIsUnknown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	expect(t, run(t, Fresh, envOf(dir), nil), checks.Crit, "no finished backup")
	expect(t, run(t, Integrity, envOf(dir), nil), checks.Unknown, "no file in")
	res := run(t, Fresh, envOf(filepath.Join(dir, "nothing")), nil)
	if res.Level != checks.Unknown || res.Class != checks.Missing {
		t.Errorf("a missing directory: %v %v %s", res.Level, res.Class, res.Err)
	}
}

func TestASiteWithoutBackupsSkips(t *testing.T) {
	t.Parallel()
	for _, m := range modules {
		if res := run(t, m, checks.Env{Now: time.Now}, map[string]any{}); res.Level != checks.Skipped {
			t.Errorf("%s: %v %s", m.Name, res.Level, res.Err)
		}
	}
}

func TestTheSecondPlaceMustHaveTheSameFile(t *testing.T) {
	t.Parallel()
	whole := zip(t, dump(10, true))
	dir, second := t.TempDir(), t.TempDir()
	put(t, dir, newest, whole, 6*time.Hour)
	env := envOf(dir)
	src := env.Site.Backups["db"]
	src.Second = second
	env.Site.Backups["db"] = src
	expect(t, run(t, Fresh, env, nil), checks.Warn, "is not in")
	put(t, second, newest, whole[:len(whole)-1], time.Hour)
	expect(t, run(t, Fresh, env, nil), checks.Warn, "bytes, not")
	put(t, second, newest, whole, time.Hour)
	if res := run(t, Fresh, env, nil); res.Level != checks.OK || flag(res, "second") != "true" {
		t.Errorf("%v %v", res.Level, res.Why)
	}
	src.Second = filepath.Join(second, "gone")
	env.Site.Backups["db"] = src
	expect(t, run(t, Fresh, env, nil), checks.Unknown, "second place")
}

func TestWhatIsNoRegularFileIsNamedAndNeverOpened(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	put(t, outside, "secret", zip(t, dump(10, true)), time.Hour)
	makers := map[string]func(path string) error{
		"a named pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":       func(path string) error { return os.Mkdir(path, 0o700) },
		"not followed out":  func(path string) error { return os.Symlink(filepath.Join(outside, "secret"), path) },
		"a symbolic link":   func(path string) error { return os.Symlink("nothing", path) },
		"unfinished by its": func(path string) error { return os.WriteFile(path+".tmp", []byte("x"), 0o600) },
	}
	for says, create := range makers {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := create(filepath.Join(dir, newest)); err != nil {
				t.Fatal(err)
			}
			expect(t, run(t, Integrity, envOf(dir), nil), checks.Unknown, says)
			expect(t, run(t, Fresh, envOf(dir), nil), checks.Crit, says)
		})
	}
}

func TestALinkInsideTheDirectoryIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "real.sql.gz", zip(t, dump(10, true)), 6*time.Hour)
	if err := os.Symlink("real.sql.gz", filepath.Join(dir, "db_backup_2latest.sql.gz")); err != nil {
		t.Fatal(err)
	}
	if res := run(t, Integrity, envOf(dir), nil); res.Level != checks.OK {
		t.Errorf("%v %s %s", res.Level, res.Err, res.Note)
	}
}

func TestNoPermissionIsUnknown(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("needs root, to become somebody without permission")
		}
		t.Skip("needs root, to become somebody without permission")
	}
	dir, err := os.MkdirTemp("", "opsdeck-backup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	put(t, dir, newest, zip(t, dump(10, true)), 6*time.Hour)
	for mode, denied := range map[os.FileMode]int{0o700: 2, 0o755: 1} { // the directory closed; only the file closed, which is no less fresh
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		out, err := asNobody(t, dir)
		if err != nil || strings.Count(out, "unknown denied") != denied {
			t.Errorf("mode %o: %v %s", mode, err, out)
		}
	}
}

// asNobody runs this test binary again as an ordinary user on a directory.
func asNobody(t *testing.T, dir string) (string, error) {
	t.Helper()
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(os.TempDir(), fmt.Sprintf("opsdeck-backup-%d.test", os.Getpid()))
	checktest.WriteExecutable(t, binary, self)
	defer func() {
		if err := os.Remove(binary); err != nil {
			t.Error(err)
		}
	}()
	cmd := exec.Command(binary, "-test.run", "TestHelperReadsABackup", "-test.v")
	cmd.Env = []string{"OPSDECK_TEST_BACKUP_DIR=" + dir}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestHelperReadsABackup(t *testing.T) {
	dir := os.Getenv("OPSDECK_TEST_BACKUP_DIR")
	if dir == "" {
		t.Skip("run by TestNoPermissionIsUnknown")
	}
	for _, m := range []*checks.Module{Integrity, Fresh} {
		res := run(t, m, envOf(dir), nil)
		fmt.Println(m.Name, res.Level, res.Class, res.Err)
	}
}

func TestAFileThatGrowsIsNotFresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		put(t, dir, "db_backup_20261122_030000.sql.gz", zip(t, dump(10, true)), 30*time.Hour)
		put(t, dir, newest, zip(t, dump(10, true)), time.Minute)
		go func() {
			time.Sleep(time.Second) // the fake clock's: between the two looks
			put(t, dir, newest, zip(t, dump(20, true)), time.Minute)
		}()
		res := run(t, Fresh, envOf(dir), nil)
		expect(t, res, checks.Warn, "still being written")
		if flag(res, "growing") != "true" {
			t.Error("growing is not reported")
		}
	})
}

func TestABackupWithoutItsMarkerIsUnfinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, newest, zip(t, dump(10, true)), 6*time.Hour)
	with := map[string]any{"set": "db", "marker": ".done"}
	expect(t, run(t, Integrity, envOf(dir), with), checks.Unknown, "still being written")
	put(t, dir, newest+".done", nil, 6*time.Hour)
	expect(t, run(t, Integrity, envOf(dir), with), checks.OK, "whole")
}

func TestADeadlineEndsTheReading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, newest, zip(t, dump(10, true)), 6*time.Hour)
	args, _ := checks.Bind(Integrity, map[string]any{"set": "db"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Integrity.Run(ctx, envOf(dir), args); err == nil {
		t.Error("read on after the end of the context")
	}
}
