package journal

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// TestMain lets this binary be the process that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL_TEST_WRITER"); dir != "" {
		write(dir)
		return
	}
	if dir := os.Getenv("JOURNAL_TEST_FIRST"); dir != "" {
		first(dir)
		return
	}
	os.Exit(m.Run())
}

// write appends for ever and prints the number of each acknowledged event.
func write(dir string) {
	j, err := Open(dir, Holder{User: "writer"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		e, err := j.Append(note("from the writer"))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(e.Seq)
	}
}

func note(text string) runbooks.Event {
	e, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "dana"}, "run-1", "", 0, runbooks.Noted{Text: text})
	if err != nil {
		panic(err) // a constant payload
	}
	return e
}

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(dir, Holder{User: "dana", Host: "web1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Release() })
	return j
}

func appendNotes(t *testing.T, j *Journal, n int) {
	t.Helper()
	for i := range n {
		if _, err := j.Append(note(fmt.Sprintf("note %d", i))); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t *testing.T, j *Journal) int {
	t.Helper()
	n := 0
	for _, err := range j.Events() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestWhatIsAppendedIsReadBackInOrderAndVerified(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	appendNotes(t, j, 3)
	var seen []string
	var previous runbooks.Hash
	for e, err := range j.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Prev != previous || e.Hash.IsZero() {
			t.Errorf("event %d is not chained", e.Seq)
		}
		previous = e.Hash
		p, err := e.Payload()
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, fmt.Sprintf("%d:%s", e.Seq, p.(runbooks.Noted).Text))
	}
	if got := strings.Join(seen, " "); got != "1:note 0 2:note 1 3:note 2" {
		t.Errorf("read %s", got)
	}
	if r := Verify(dir, nil); r.Status != Intact || r.Events != 3 || r.Problem != "" {
		t.Errorf("verified as %+v", r)
	}
}

func TestReadersNeedNoLockAndWritersTakeTurns(t *testing.T) {
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir)
	appendNotes(t, first, 2)
	if n := count(t, second); n != 2 {
		t.Errorf("an observer reads %d events, want 2", n)
	}
	var held *Held
	if _, err := second.Append(note("x")); !errors.As(err, &held) || held.Holder.User != "dana" || held.Holder.PID != os.Getpid() {
		t.Errorf("the second writer gets %v", err)
	}
	if who, ok := WhoHolds(dir); !ok || who.Host != "web1" {
		t.Errorf("held by %v, %v", who, ok)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	appendNotes(t, second, 1)
	if n := count(t, first); n != 3 {
		t.Errorf("after the turn %d events, want 3", n)
	}
	if r := Verify(dir, nil); r.Status != Intact {
		t.Errorf("verified as %+v", r)
	}
}

func TestNothingAcknowledgedIsLostToKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	dir := t.TempDir()
	acknowledged := 0
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "JOURNAL_TEST_WRITER="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := 1 + rand.IntN(30)
		lines := bufio.NewScanner(out)
		for i := 0; lines.Scan(); i++ {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatalf("the writer said %q", lines.Text())
			}
			if i == kill {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if n := count(t, open(t, dir)); n < acknowledged {
			t.Fatalf("%d events, %d were acknowledged", n, acknowledged)
		}
		if r := Verify(dir, nil); r.Status != Intact && r.Status != Unwitnessed {
			t.Fatalf("after a kill: %+v", r)
		}
	}
}

// tamper changes the database as somebody with its password would: by SQL.
func tamper(t *testing.T, dir, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+databasePath(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyNamesTheFirstEventThatDoesNotFit(t *testing.T) {
	tests := []struct {
		name, statement string
		want            Status
		bad             uint64
		says            string
	}{
		{"a changed event", `UPDATE events SET body = replace(body, 'note 2', 'note X') WHERE seq = 3`, Damaged, 3, "does not match its hash"},
		{"a changed hash", `UPDATE events SET hash = zeroblob(32) WHERE seq = 2`, Damaged, 2, "does not match"},
		{"a missing event", `DELETE FROM events WHERE seq = 4`, Damaged, 4, "event 4 is missing"},
		{"a missing beginning", `DELETE FROM events WHERE seq = 1`, Damaged, 1, "event 1 is missing"},
		{"a missing end", `DELETE FROM events WHERE seq > 6`, Damaged, 7, "2 events are gone"},
		{"everything gone", `DELETE FROM events`, Damaged, 1, "8 events are gone"},
		{"swapped events", `UPDATE events SET seq = CASE seq WHEN 2 THEN -3 WHEN 3 THEN -2 END WHERE seq IN (2, 3); UPDATE events SET seq = -seq WHERE seq < 0`, Damaged, 2, "does not match"},
		{"an added event", `INSERT INTO events SELECT 9, body, hash FROM events WHERE seq = 8`, Damaged, 9, "does not match"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			j := open(t, dir)
			appendNotes(t, j, 8)
			if err := j.Release(); err != nil {
				t.Fatal(err)
			}
			tamper(t, dir, tt.statement)
			r := Verify(dir, nil)
			if r.Status != tt.want || r.Bad != tt.bad || !strings.Contains(r.Problem, tt.says) {
				t.Errorf("verified as %+v; want %v, event %d, %q", r, tt.want, tt.bad, tt.says)
			}
			if _, err := j.Append(note("on top")); tt.name == "a missing end" && err == nil {
				t.Error("a journal shorter than its witness was written to")
			}
		})
	}
}

func TestARewrittenJournalIsFoundByAHeadKeptElsewhere(t *testing.T) {
	dir, forged := t.TempDir(), t.TempDir()
	j := open(t, dir)
	appendNotes(t, j, 5)
	kept, err := j.Head()
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, forged)
	appendNotes(t, f, 9)
	if r := Verify(forged, nil); r.Status != Intact {
		t.Fatalf("the forgery is consistent in itself, but verifies as %+v", r)
	}
	pinned, err := ParseHead(kept.String())
	if err != nil {
		t.Fatal(err)
	}
	if r := Verify(forged, &pinned); r.Status != Damaged || r.Bad != 5 {
		t.Errorf("against the kept head the forgery verifies as %+v", r)
	}
	appendNotes(t, j, 1)
	if r := Verify(dir, &pinned); r.Status != Unwitnessed || r.Events != 6 {
		t.Errorf("a journal that went on verifies against an older head as %+v", r)
	}
}

func TestWithoutAWitnessNothingIsCalledWitnessed(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	appendNotes(t, j, 2)
	if err := os.Remove(headPath(dir)); err != nil {
		t.Fatal(err)
	}
	if r := Verify(dir, nil); r.Status != Unwitnessed || r.Events != 2 {
		t.Errorf("verified as %+v", r)
	}
	if r := Verify(t.TempDir(), nil); r.Status != Unwitnessed || r.Events != 0 {
		t.Errorf("an empty directory verifies as %+v", r)
	}
	if err := os.WriteFile(headPath(dir), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := Verify(dir, nil); r.Status != Undetermined {
		t.Errorf("with an unreadable witness: %+v", r)
	}
}

// TestDamagedFilesAreNeverCalledIntact cuts and flips the raw files, WAL
// included: SQLite itself notices next to none of it.
func TestDamagedFilesAreNeverCalledIntact(t *testing.T) {
	origin := t.TempDir()
	j := open(t, origin)
	appendNotes(t, j, 6)
	stride := 97
	if testing.Short() {
		stride = 997
	}
	for _, name := range []string{"journal.db", "journal.db-wal"} {
		whole, err := os.ReadFile(filepath.Join(origin, name))
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(whole); at += stride {
			cut := whole[:at]
			flipped := append([]byte(nil), whole...)
			flipped[at] ^= 1 << (at % 8)
			for how, content := range map[string][]byte{"cut": cut, "flipped": flipped} {
				damaged(t, origin, name, content, fmt.Sprintf("%s %s at %d", name, how, at))
			}
		}
	}
}

func damaged(t *testing.T, origin, name string, content []byte, what string) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"journal.db", "journal.db-wal", "head"} {
		if err := copyFile(filepath.Join(origin, f), filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	report := Verify(dir, nil)
	if report.Status == Intact && !sameEvents(t, dir, 6) {
		t.Errorf("%s: called intact", what)
	}
	if report.Status == Unwitnessed {
		t.Errorf("%s: called unwitnessed: %+v", what, report)
	}
}

// sameEvents: some bits are padding; a journal whose events are all there is
// intact however its file looks.
func sameEvents(t *testing.T, dir string, want int) bool {
	t.Helper()
	j := open(t, dir)
	n := 0
	for _, err := range j.Events() {
		if err != nil {
			return false
		}
		n++
	}
	return n == want
}

func TestAFailedAppendLatchesUntilReopened(t *testing.T) {
	dir := smallDisk(t)
	j := open(t, dir)
	appendNotes(t, j, 1)
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	var failure error
	for failure == nil {
		_, failure = j.Append(note(strings.Repeat("x", 4000)))
	}
	kept, err := j.Head()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(note("small")); err == nil {
		t.Error("after a failed append the next one was taken")
	}
	if j.Err() == nil {
		t.Error("the latch does not show")
	}
	if err := j.Reopen(); err != nil {
		t.Fatalf("reopening: %v", err)
	}
	e, err := j.Append(note("small"))
	if err != nil || e.Seq != kept.Seq+1 {
		t.Errorf("after reopening: event %d, %v; want %d", e.Seq, err, kept.Seq+1)
	}
	if r := Verify(dir, nil); r.Status != Intact {
		t.Errorf("verified as %+v", r)
	}
}

// smallDisk is a directory on a file system of 1 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("mounting a small tmpfs needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill leaves no room on a file's disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
}

func TestAStateDirectoryIsOursAndClosed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Holder{}); err == nil {
		t.Error("a file was taken for a state directory")
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Holder{}); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
			t.Errorf("a directory of another user: %v", err)
		}
	}
}

func TestASiteNameCannotLeaveTheStateDirectory(t *testing.T) {
	env := func(name string) string { return map[string]string{"HOME": "/home/dana"}[name] }
	for site, want := range map[string]string{
		"demo": "/home/dana/.local/state/opsdeck/demo", "../../etc": "/home/dana/.local/state/opsdeck/______etc", "": "/home/dana/.local/state/opsdeck/site",
	} {
		if got, err := StateDir("", site, env); err != nil || got != want {
			t.Errorf("%q lives in %s, %v; want %s", site, got, err, want)
		}
	}
	if got, err := StateDir("/srv/state", "demo", env); err != nil || got != "/srv/state/demo" {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestTheStateDirectoryIsTheSameFromEveryFolder: the supervisor stands in /, its
// clients stand elsewhere.
func TestTheStateDirectoryIsTheSameFromEveryFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if got, err := StateDir("state", "demo", os.Getenv); err != nil || got != filepath.Join(dir, "state", "demo") {
		t.Errorf("a relative --state is %s, %v", got, err)
	}
	for _, env := range []map[string]string{{}, {"HOME": "dana"}, {"HOME": "/home/dana", "XDG_STATE_HOME": "state"}} {
		got, err := StateDir("", "demo", func(name string) string { return env[name] })
		if err == nil && !filepath.IsAbs(got) {
			t.Errorf("with %v: %s", env, got)
		}
	}
}

func TestHistoryKeepsOneSampleAMinuteAndSurvivesItsProcess(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	h, err := OpenHistory(ctx, dir, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 180 {
		h.Record("pg.dbsize", "size", "lms", checks.Sample{At: began.Add(time.Duration(i) * time.Second), Value: float64(i)})
	}
	want := []float64{0, 60, 120}
	equal(t, values(h.Series("pg.dbsize", "size", "lms", began)), want)
	if err := h.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenHistory(ctx, dir, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	equal(t, values(again.Series("pg.dbsize", "size", "lms", began)), want)
	equal(t, values(again.Series("pg.dbsize", "size", "other", began)), nil)
	equal(t, values(again.Series("pg.dbsize", "size", "lms", began.Add(90*time.Second))), []float64{120})
	pruned, err := OpenHistory(context.WithoutCancel(ctx), dir, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer pruned.Close()
	equal(t, values(pruned.Series("pg.dbsize", "size", "lms", began)), nil)
}

func values(samples []checks.Sample) []float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, s.Value)
	}
	return all
}

func equal(t *testing.T, got, want []float64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func BenchmarkAppend(b *testing.B) {
	j, err := Open(b.TempDir(), Holder{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Release()
	for b.Loop() {
		if _, err := j.Append(note("benchmark")); err != nil {
			b.Fatal(err)
		}
	}
}
