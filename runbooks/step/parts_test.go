package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/advanced-lms/opsdeck/checks"
)

// host is a /proc with one process of ours in it.
func host(t *testing.T, boot string, pid int, stat string) procfs {
	t.Helper()
	root := t.TempDir()
	plant(t, root, map[string]string{
		"sys/kernel/random/boot_id": boot + "\n",
		fmt.Sprintf("%d/stat", pid): stat,
	})
	return procfs(root)
}

func statLine(pid int, state string, start int) string {
	return fmt.Sprintf("%d (a) b (c) %s 1 %d %d 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", pid, state, pid, pid, start)
}

func TestAStepIsKnownByIDStartAndBoot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		proc procfs
		want State
		why  string
	}{
		{"the very process", host(t, "boot", 77, statLine(77, "S", 500)), Running, ""},
		{"a stopped one", host(t, "boot", 77, statLine(77, "T", 500)), Running, ""},
		{"another with its id", host(t, "boot", 77, statLine(77, "S", 501)), Gone, "its process is no more"},
		{"a zombie", host(t, "boot", 77, statLine(77, "Z", 500)), Gone, "its process is no more"},
		{"none", host(t, "boot", 78, statLine(78, "S", 500)), Gone, "its process is no more"},
		{"another boot", host(t, "other", 77, statLine(77, "S", 500)), Gone, "the host was started anew since"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := Folder{Path: t.TempDir(), proc: c.proc}
			card := Card{77, 500, "boot"}
			if err := f.write(cardFile, begun{Card: card}); err != nil {
				t.Fatal(err)
			}
			if s := f.Look(); s.State != c.want || s.Why != c.why || s.Card != card {
				t.Errorf("%+v", s)
			}
			if err := f.write(resultFile, Outcome{Output: 3}); err != nil {
				t.Fatal(err)
			}
			if s := f.Look(); s.State != Finished || s.Outcome.Output != 3 || s.Card != card {
				t.Errorf("with a result: %+v", s)
			}
		})
	}
}

func TestTheIDOfAnotherLivingProcessIsNotTheStep(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir()}
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	self.Start--
	if err := f.write(cardFile, begun{Card: self}); err != nil {
		t.Fatal(err)
	}
	if s := f.Look(); s.State != Gone {
		t.Errorf("%+v", s)
	}
	if err := f.Cancel(t.Context(), 0); err != nil { // and nothing happens to us
		t.Error(err)
	}
}

// TestAHiddenProcessIsKnownByItsLock: /proc mounted with hidepid.
func TestAHiddenProcessIsKnownByItsLock(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir(), proc: host(t, "boot", 1, statLine(1, "S", 1))}
	lock, err := f.take()
	if err != nil {
		t.Fatal(err)
	}
	if s := f.Look(); s.State != Running || s.Card.PID != 0 {
		t.Errorf("before its card: %+v", s)
	}
	if err := f.write(cardFile, begun{Card: Card{77, 500, "boot"}}); err != nil {
		t.Fatal(err)
	}
	if s := f.Look(); s.State != Running {
		t.Errorf("with the lock: %+v", s)
	}
	if _, err := f.take(); !errors.Is(err, ErrTaken) {
		t.Errorf("taken twice: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if s := f.Look(); s.State != Gone {
		t.Errorf("without the lock: %+v", s)
	}
}

func TestADamagedResultIsNoResult(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir(), proc: host(t, "boot", 77, statLine(77, "S", 500))}
	if err := f.write(cardFile, begun{Card: Card{77, 500, "boot"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.place(resultFile, []byte(`{"result": {"lev`), true); err != nil {
		t.Fatal(err)
	}
	if s := f.Look(); s.State != Running {
		t.Errorf("while its process lives: %+v", s)
	}
	f.proc = host(t, "boot", 1, statLine(1, "S", 1))
	if s := f.Look(); s.State != Gone || !strings.Contains(s.Why, "its result cannot be read") {
		t.Errorf("%+v", s)
	}
}

func TestTheNewestProgressIsWritten(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir()}
	p := &progress{folder: f}
	for i := range 1000 {
		p.report(checks.Progress{Done: float64(i), Total: math.Inf(1), What: "a \x01 \xff \"part\""})
	}
	if got, _, ok := f.Progress(); !ok || got.Total != 0 {
		t.Errorf("%+v %v", got, ok)
	}
	p.flush()
	if got, at, ok := f.Progress(); !ok || got.Done != 999 || at.IsZero() {
		t.Errorf("%+v %v", got, ok)
	}
}

func TestOutputThatFitsWithItsEndIsWhole(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir()}
	o, err := newOutput(f, 10)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(o, "0123456")
	fmt.Fprint(o, "789abc")
	var out Outcome
	o.finish(&out)
	raw, err := os.ReadFile(f.path(outputFile))
	if err != nil || string(raw) != "0123456789abc" || out.Truncated || out.Output != 13 {
		t.Errorf("%q %v %+v", raw, err, out)
	}
}

// TestAWriteThatFailedEndsTheHead: what is written after it must not stand in
// its place.
func TestAWriteThatFailedEndsTheHead(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir()}
	o, err := newOutput(f, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	good := o.file
	fmt.Fprint(o, "first\n")
	if o.file, err = os.Open(f.path(outputFile)); err != nil { // opened for reading: writes fail
		t.Fatal(err)
	}
	fmt.Fprint(o, "second\n")
	if err := o.file.Close(); err != nil {
		t.Fatal(err)
	}
	o.file = good
	fmt.Fprint(o, "third\n")
	var out Outcome
	o.finish(&out)
	raw, err := os.ReadFile(f.path(outputFile))
	if err != nil || string(raw) != "first\nsecond\nthird\n" {
		t.Errorf("%q %v", raw, err)
	}
}

func TestOutputIsReadInWholeCharacters(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir()}
	const text = "aä€😀z\xff"
	if err := os.WriteFile(f.path(outputFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for most := 4; most <= len(text)+2; most++ {
		var all string
		for from := int64(0); ; {
			chunk, next, total, err := f.Output(from, most)
			if err != nil || total != int64(len(text)) {
				t.Fatal(err)
			}
			if len(chunk) == 0 {
				break
			}
			if s := string(chunk); !utf8.ValidString(strings.TrimSuffix(s, "\xff")) {
				t.Errorf("%d at a time: a torn %q", most, s)
			}
			all, from = all+string(chunk), next
		}
		if all != text && all != strings.TrimSuffix(text, "\xff") {
			t.Errorf("%d at a time: %q", most, all)
		}
	}
	if chunk, next, _, err := f.Output(1000, 10); len(chunk) != 0 || next != 1000 || err != nil {
		t.Errorf("beyond the end: %q %d %v", chunk, next, err)
	}
}

func TestTheTailBeginsWithALine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxTail-4)
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"a\nb\n", "a\nb\n"},
		{"cut\nkept\n" + long[:maxTail-5], "kept\n" + long[:maxTail-5]},
		{"a torn line\nkept\n" + long[:maxTail-6], "kept\n" + long[:maxTail-6]},
		{strings.Repeat("y", maxTail) + "\n", strings.Repeat("y", maxTail-1) + "\n"},
		{strings.Repeat("€", maxTail), strings.Repeat("€", maxTail/3)},
	} {
		if got := tail([]byte(c.in)); got != c.want {
			t.Errorf("tail of %.20q: %.20q (%d), want %.20q (%d)", c.in, got, len(got), c.want, len(c.want))
		}
	}
}

func TestNothingIsWrittenThroughWhatLiesThere(t *testing.T) {
	t.Parallel()
	f := Folder{Path: t.TempDir()}
	victim := filepath.Join(t.TempDir(), "victim")
	plant(t, filepath.Dir(victim), map[string]string{"victim": "precious"})
	for _, name := range []string{outputFile, "." + resultFile + ".new", resultFile, progressFile, lockFile, logFile} {
		if err := os.Symlink(victim, f.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.take(); err == nil {
		t.Error("a lock was taken through a link")
	}
	if _, err := f.Spawn([]string{"x"}, nil); err == nil {
		t.Error("a step was started with a link for its log")
	}
	o, err := newOutput(f, 10)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(o, "text")
	if err := f.write(resultFile, Outcome{}); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(victim); err != nil || string(raw) != "precious" {
		t.Errorf("%q %v", raw, err)
	}
	if _, _, ok := f.Progress(); ok {
		t.Error("progress was read through a link")
	}
}

func TestAnIntentComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "new", "steps")
	f, err := New(root, Intent{Token: "opsdeck/x", With: map[string]any{"table": "users"}, Warn: checks.Rule{Text: "used > 80%", Source: "guide"}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := Find(root, f.Name())
	if err != nil || g.Path != f.Path {
		t.Fatalf("%+v %v", g, err)
	}
	in, err := g.Intent()
	if err != nil || in.With["table"] != "users" || in.Warn.Text != "used > 80%" || in.MaxOutput != 64<<20 {
		t.Errorf("%+v %v", in, err)
	}
	for path, mode := range map[string]os.FileMode{f.Path: 0o700, f.path(intentFile): 0o600, f.Scratch(): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	raw, err := json.Marshal(Intent{Version: 99})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.place(intentFile, raw, false); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Intent(); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("another version: %v", err)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden"} {
		if _, err := Find(root, name); err == nil {
			t.Errorf("%q was taken for a step's name", name)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statLine(77, "S", 500)))
	f.Add([]byte("1 (x) S 1"))
	f.Add([]byte(")1("))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseStat(raw)
		if err == nil && (s.pid < 1 || s.state == 0) {
			t.Errorf("%+v", s)
		}
	})
}

func FuzzTail(f *testing.F) {
	f.Add("a\nb\n", 2000)
	f.Add("€", 3000)
	f.Fuzz(func(t *testing.T, text string, times int) {
		in := strings.Repeat(text, max(0, times)%5000)
		if got := tail([]byte(in)); len(got) > maxTail || !strings.HasSuffix(in, got) {
			t.Errorf("%d bytes of %d", len(got), len(in))
		}
	})
}

func FuzzLogin(f *testing.F) {
	f.Add("[Login]\nKillUserProcesses=yes\n")
	f.Fuzz(func(t *testing.T, text string) {
		for key := range loginSection(text) {
			if strings.ContainsAny(key, "\n=") {
				t.Errorf("%q", key)
			}
		}
	})
}
