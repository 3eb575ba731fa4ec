package cli_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// crashing is the program with its crash points.
var crashing = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "crashing", "opsdeck")
	out, err := exec.Command("go", "build", "-tags", "crashpoints", "-o", path, "../..").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

const counted = `---
runbook: count
schema: 1
---
# Count
` + "```yaml section\nid: count\ncadence: none\n```\n" +
	"- [ ] Count\n```yaml action\nid: count\nuse: cmd.run\nwith: {command: count}\ntimeout: 1m\nfail: exit != 0\n```\n"

// ward is a site with one action, whose effects can be counted, and the
// program that serves it.
type ward struct {
	t    *testing.T
	dir  string
	bin  string
	book runbooks.Runbook
}

func newWard(t *testing.T, script string) *ward {
	t.Helper()
	bin, err := crashing()
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{t: t, dir: t.TempDir(), bin: bin}
	effects := filepath.Join(w.dir, "effects")
	files := map[string]string{
		"opsdeck.yaml": "schema: 1\nsite: ward\ncommands:\n  count: {argv: [" + filepath.Join(w.dir, "count.sh") + "], timeout: 30s}\n",
		"count.sh":     "#!/bin/sh\necho did >> " + effects + "\n" + script + "\n",
		"count.md":     counted,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	registry, err := checks.NewRegistry(families()...)
	if err != nil {
		t.Fatal(err)
	}
	book, problems := markdown.Parse("count.md", []byte(counted), markdown.Options{Registry: registry})
	if markdown.HasErrors(problems) {
		t.Fatal(problems)
	}
	w.book = book
	return w
}

func (w *ward) state() string { return filepath.Join(w.dir, "state", "ward") }

// serve starts the supervisor, which dies at the point; "" at none.
func (w *ward) serve(point string) *exec.Cmd {
	w.t.Helper()
	if err := os.MkdirAll(w.state(), 0o700); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(w.bin, "supervise", "--site", filepath.Join(w.dir, "opsdeck.yaml"), "--state", filepath.Join(w.dir, "state"))
	cmd.Env = append(os.Environ(), "OPSDECK_CRASH_AT="+point)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := os.OpenFile(filepath.Join(w.state(), "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// open joins the run; the supervisor may still be starting.
func (w *ward) open() *supervisor.Session {
	w.t.Helper()
	client := &supervisor.Client{Socket: supervisor.SocketIn(w.state()), Version: "test"}
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var s *supervisor.Session
		if s, err = client.Open(context.Background(), w.book, "count"); err == nil {
			w.t.Cleanup(func() { s.Close() })
			return s
		}
	}
	w.t.Fatal(err)
	return nil
}

// at joins a run of another book at another socket.
func (w *ward) at(socket, path string) *supervisor.Session {
	w.t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	registry, err := checks.NewRegistry(families()...)
	if err != nil {
		w.t.Fatal(err)
	}
	book, problems := markdown.Parse(filepath.Base(path), source, markdown.Options{Registry: registry})
	if markdown.HasErrors(problems) {
		w.t.Fatal(problems)
	}
	client := &supervisor.Client{Socket: socket, Version: "test"}
	s, err := client.Open(context.Background(), book, book.Sections[0].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *ward) effects() int {
	raw, err := os.ReadFile(filepath.Join(w.dir, "effects"))
	if err != nil {
		return 0
	}
	return strings.Count(string(raw), "did")
}

// begin arms and approves; the supervisor may die meanwhile.
func (w *ward) begin(s *supervisor.Session) {
	w.t.Helper()
	err := s.Arm(w.t.Context(), "count")
	if err != nil && strings.Contains(err.Error(), "the supervisor is gone") {
		w.t.Logf("arming: %v", err)
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	it, _ := s.Run().Item("count")
	a, ok := it.Latest()
	if !ok || a.Armed == nil {
		w.t.Fatalf("it is %s: %+v", it.State, a)
	}
	if err := s.Approve("count", "", a.Armed.Hash); err != nil {
		w.t.Logf("approving: %v", err) // whoever was to answer may be dead
	}
}

// settled is the item when nothing goes on in it any more.
func (w *ward) settled(s *supervisor.Session) runbooks.ItemRun {
	w.t.Helper()
	var it runbooks.ItemRun
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		it, _ = s.Run().Item("count")
		a, tried := it.Latest()
		if s.Err() == nil && tried && (it.State.Decided() || it.State == runbooks.Pending || it.State == runbooks.Interrupted && a.Verified != nil) {
			return it
		}
	}
	w.t.Fatalf("it stays %s: %v", it.State, s.Err())
	return it
}

// TestKillingAnythingAtAnyPointLosesAndDoublesNothing: the supervisor or the
// step dies by kill -9 at every point of an action. What is then said of it is
// what is so, and it was done at most once.
func TestKillingAnythingAtAnyPointLosesAndDoublesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it kills for half a minute")
	}
	for _, c := range []struct {
		point   string
		want    runbooks.State
		effects int
	}{
		{"after-armed", runbooks.Pending, 0},
		{"after-confirmed", runbooks.Pending, 0},
		{"after-claimed", runbooks.Pending, 0},
		{"after-intent", runbooks.Failed, 0},
		{"after-spawn", runbooks.Passed, 1},
		{"after-started", runbooks.Passed, 1},
		{"after-outcome", runbooks.Passed, 1},
		{"after-verified", runbooks.Passed, 1},
		{"step-before-started", runbooks.Errored, 0},
		{"step-after-started", runbooks.Failed, 0},
		{"step-in-act", runbooks.Failed, 0},
		{"step-before-result", runbooks.Passed, 1},
		{"step-after-result", runbooks.Passed, 1},
	} {
		t.Run(c.point, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, "")
			supervised := w.serve(c.point)
			s := w.open()
			w.begin(s)
			if !strings.HasPrefix(c.point, "step-") {
				supervised.Wait()
				w.serve("")
			}
			it := w.settled(s)
			if it.State != c.want {
				a, _ := it.Latest()
				t.Errorf("the item is %s, want %s: %s %+v", it.State, c.want, a.Reason, a.Verified)
			}
			if n := w.effects(); n != c.effects {
				t.Errorf("it was done %d times, want %d", n, c.effects)
			}
			if err := s.Note("", "after it all"); err != nil {
				t.Error(err)
			}
			if report := journal.Verify(w.state(), nil); report.Status == journal.Damaged || report.Status == journal.Undetermined {
				t.Errorf("%+v", report)
			}
		})
	}
}

// TestAKilledStepIsNotDoneAgainByItself: its command goes on, nobody knows how
// it ends, and nothing but a person's word or a look makes it something else.
func TestAKilledStepIsNotDoneAgainByItself(t *testing.T) {
	w := newWard(t, "sleep 1")
	w.serve("")
	s := w.open()
	w.begin(s)
	for end := time.Now().Add(10 * time.Second); w.effects() == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	it, _ := s.Run().Item("count")
	a, _ := it.Latest()
	if err := syscall.Kill(a.Process.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	it = w.settled(s)
	if a, _ := it.Latest(); it.State != runbooks.Interrupted || !strings.HasPrefix(a.Reason, runbooks.OutcomeUnknown) {
		t.Fatalf("it is %s: %q", it.State, a.Reason)
	}
	if err := s.Arm(t.Context(), "count"); err == nil {
		t.Error("armed again over an unknown outcome")
	}
	if err := s.Resolve("count", true, "the file has the line"); err != nil {
		t.Error(err)
	}
	if it = w.settled(s); it.State != runbooks.Passed || w.effects() != 1 {
		t.Errorf("it is %s, done %d times", it.State, w.effects())
	}
}

// TestCancellingARealStep ends its command too.
func TestCancellingARealStep(t *testing.T) {
	w := newWard(t, "echo begun; sleep 60; echo did >> "+"effects")
	w.serve("")
	s := w.open()
	w.begin(s)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if live, err := s.Live("count", 0); err == nil && strings.Contains(live.Text, "begun") {
			break
		}
	}
	if err := s.Cancel("count", "too slow"); err != nil {
		t.Fatal(err)
	}
	it := w.settled(s)
	if a, _ := it.Latest(); it.State != runbooks.Cancelled || a.Outcome == nil || !a.Outcome.Cancelled || !strings.Contains(a.Outcome.Tail, "begun") {
		t.Errorf("it is %s: %+v", it.State, a.Outcome)
	}
}
