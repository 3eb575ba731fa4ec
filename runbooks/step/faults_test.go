package step_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	"github.com/advanced-lms/opsdeck/runbooks/step"
)

// effects is how often the deed was begun.
func effects(t *testing.T, f step.Folder) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.Scratch(), "effects"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(raw), "did\n")
}

// crashing is this test with its crash points.
func crashing(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "crashing.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", "crashpoints", "-o", path, ".").CombinedOutput(); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") != "" {
			t.Fatalf("building with crash points: %v: %s", err, out)
		}
		t.Skipf("building with crash points: %v: %s", err, out)
	}
	return path
}

func TestAStepKilledAtAnyPointTellsTheTruth(t *testing.T) {
	t.Parallel()
	bin := crashing(t)
	for _, c := range []struct {
		at      string
		want    step.State
		effects int
	}{
		{"step-before-started", step.NotStarted, 0},
		{"step-after-started", step.Gone, 0},
		{"step-in-act", step.Gone, 0},
		{"step-before-result", step.Gone, 1},
		{"step-after-result", step.Finished, 1},
	} {
		t.Run(c.at, func(t *testing.T) {
			t.Parallel()
			f := folder(t, "ok")
			cmd := exec.Command(bin, "starter", f.Path)
			cmd.Env = append(os.Environ(), "OPSDECK_CRASH_AT="+c.at)
			out, err := cmd.CombinedOutput()
			if (err != nil) != (c.want == step.NotStarted) {
				t.Errorf("starting: %v: %s", err, out)
			}
			s := ended(t, f)
			if s.State != c.want || effects(t, f) != c.effects {
				t.Errorf("%v after %d effects: %+v", s.State, effects(t, f), s)
			}
			if c.want == step.NotStarted {
				start(t, f) // nothing was begun, so it may be
				if s := ended(t, f); s.State != step.Finished || effects(t, f) != 1 {
					t.Errorf("started again: %+v", s)
				}
			} else if _, err := f.Start("step", f.Path); !errors.Is(err, step.ErrTaken) {
				t.Errorf("started again: %v", err)
			}
		})
	}
}

func TestManyStartersBeginADeedOnce(t *testing.T) {
	t.Parallel()
	f := folder(t, "slow")
	var starters sync.WaitGroup
	for range 6 {
		starters.Go(func() {
			if _, err := f.Start("step", f.Path); err != nil && !errors.Is(err, step.ErrTaken) {
				t.Errorf("neither begun nor taken: %v", err)
			}
		})
	}
	starters.Wait()
	if s := ended(t, f); s.State != step.Finished || effects(t, f) != 1 {
		t.Errorf("done %d times: %+v", effects(t, f), s)
	}
}

func TestALookDoesNotKeepAStepFromBeginning(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	stop := make(chan struct{})
	var lookers sync.WaitGroup
	for range 2 {
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f.Look()
				}
			}
		})
	}
	start(t, f)
	close(stop)
	lookers.Wait()
	if s := ended(t, f); s.State != step.Finished {
		t.Errorf("%+v", s)
	}
}

func TestAStartThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	if _, err := f.Start("mute", f.Path); err == nil || !strings.Contains(err.Error(), "no site file") {
		t.Errorf("got %v", err)
	}
	if err := os.Truncate(filepath.Join(f.Path, "intent.json"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Start("step", f.Path); err == nil || !strings.Contains(err.Error(), "reading the intent") || strings.Contains(err.Error(), ";") {
		t.Errorf("got %v", err)
	}
	if s := f.Look(); s.State != step.NotStarted {
		t.Errorf("%+v", s)
	}
}

func TestAStartThatIsNotHeardCannotBeginLater(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	if _, err := f.Start("stuck", f.Path); err == nil || !strings.Contains(err.Error(), "did not begin within") {
		t.Errorf("got %v", err)
	}
	if err := f.Bury(); err != nil {
		t.Errorf("burying it: %v", err)
	}
}

func TestTenGigabytesOfOutputAreCountedAndCut(t *testing.T) {
	t.Parallel()
	f := folder(t, "deaf flood")
	start(t, f)
	s := ended(t, f)
	o := s.Outcome
	if s.State != step.Finished || o.Output != 10<<30+8 || !o.Truncated || o.Result.Class != checks.Limit {
		t.Errorf("%+v", s)
	}
	if o.MaxRSS > 64<<20 {
		t.Errorf("it took %d bytes", o.MaxRSS)
	}
	if !strings.HasSuffix(o.Tail, "y\nthe end\n") || len(o.Tail) > 4<<10 {
		t.Errorf("the tail is %q", o.Tail)
	}
	raw, err := os.ReadFile(filepath.Join(f.Path, "output"))
	if err != nil || len(raw) > 1<<20+64<<10+100 || !strings.Contains(string(raw), " bytes left out]\n") || !strings.HasSuffix(string(raw), "the end\n") {
		t.Errorf("%d bytes kept, %v", len(raw), err)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != o.OutputHash {
		t.Errorf("the hash %s is not that of what was kept", o.OutputHash)
	}
	if _, next, total, err := f.Output(1<<20, 100); err != nil || next != 1<<20+100 || total != 10<<30+8 {
		t.Errorf("next %d of %d: %v", next, total, err)
	}
}

func TestADeedThatDoesNotEndAfterItsDeadlineIsGivenUp(t *testing.T) {
	t.Parallel()
	f, err := step.New(t.TempDir(), step.Intent{Module: "given up", Check: "c", Deadline: time.Now().Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	start(t, f)
	s := ended(t, f)
	if r := s.Outcome.Result; s.State != step.Finished || r.Level != checks.Unknown || r.Class != checks.Timeout || !strings.Contains(r.Err, "deadline") || s.Outcome.Cancelled {
		t.Errorf("%+v", s)
	}
}

func TestCancellingEndsEverythingThatWasStarted(t *testing.T) {
	t.Parallel()
	f := folder(t, "brood")
	start(t, f)
	said(t, f, "waiting")
	if err := f.Cancel(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if s := f.Look(); s.State != step.Gone {
		t.Errorf("%+v", s)
	}
	text, _, err := f.Live(0, 1<<16)
	if err != nil || strings.Count(text, "pid ") != 3 {
		t.Fatalf("%q, %v", text, err)
	}
	for line := range strings.Lines(text) {
		var pid int
		if n, _ := fmt.Sscanf(line, "pid %d", &pid); n == 1 && running(pid) {
			t.Errorf("process %d lives", pid)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// running reports whether a process is there and no zombie: whoever reaps the
// orphans of this host may be slow.
func running(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(raw), ") Z ")
}

func TestCancellingBeforeItBeginsMeansNothingIsDone(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	if err := f.Cancel(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	start(t, f)
	s := ended(t, f)
	if s.State != step.Finished || !s.Outcome.Cancelled || effects(t, f) != 0 || !strings.Contains(s.Outcome.Result.Err, "nothing was done") {
		t.Errorf("%+v", s)
	}
}

func TestADaemonMayBeSpared(t *testing.T) {
	t.Parallel()
	f := folder(t, "daemon")
	start(t, f)
	s := ended(t, f)
	var first, second int
	if n, err := fmt.Sscan(s.Outcome.Tail, &first, &second); n != 2 {
		t.Fatalf("%+v: %v", s, err)
	}
	defer syscall.Kill(second, syscall.SIGKILL)
	if running(first) || !running(second) || len(s.Outcome.Left) != 1 || s.Outcome.Left[0] != fmt.Sprintf("%d sleep", first) {
		t.Errorf("the first %v, the second %v, left %q", running(first), running(second), s.Outcome.Left)
	}
}

func TestTheSignalsOfALostTerminalAreDropped(t *testing.T) {
	t.Parallel()
	f := folder(t, "hangup")
	start(t, f)
	if s := ended(t, f); s.State != step.Finished || s.Outcome.Result.Level != checks.OK || strings.Count(s.Outcome.Tail, "\n") != 3 {
		t.Errorf("%+v", s)
	}
}

func TestAStepInheritsNothingThatCouldEndIt(t *testing.T) {
	t.Parallel()
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	inherited, err := syscall.Dup(int(secret.Fd())) // as a careless parent would leave it
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(inherited)
	f := folder(t, "surroundings")
	start(t, f)
	text := ended(t, f).Outcome.Tail
	for _, want := range []string{"leader true\n", "cwd /\n", "ready \"\"\n", "SigIgn:\t0000000000000000\n", "\n0\n0077\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	for _, bad := range []string{secret.Name(), "/dev/pts", "/lock\n/"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in %s", bad, text)
		}
	}
}

func TestAPanicIsRedacted(t *testing.T) {
	t.Parallel()
	f := folder(t, "panic")
	start(t, f)
	s := ended(t, f)
	log, err := os.ReadFile(filepath.Join(f.Path, "log"))
	if err != nil || !strings.Contains(string(log), "main_test.go") {
		t.Errorf("the stack is not in the log: %v: %s", err, log)
	}
	if !strings.Contains(s.Outcome.Result.Err, "[redacted]") || strings.Contains(s.Outcome.Result.Err+string(log), "hunter2") {
		t.Errorf("%s\n%s", s.Outcome.Result.Err, log)
	}
}

func TestWithoutDescriptorsNothingIsDecided(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	start(t, f)
	ended(t, f)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/bin/sh", "-c", `ulimit -n 64; exec "$0" starved "$1"`, self, f.Path).CombinedOutput()
	if err != nil || string(out) != "unclear\n" {
		t.Errorf("%s, %v", out, err)
	}
}

// TestAResultWaitsForRoom: what is larger than the room that was taken for it
// waits until the disk has more.
func TestAResultWaitsForRoom(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	f, err := step.New(filepath.Join(dir, "steps"), step.Intent{Module: "big result", Check: "c"})
	if err != nil {
		t.Fatal(err)
	}
	start(t, f)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var disk syscall.Statfs_t
		if err := syscall.Statfs(dir, &disk); err == nil && disk.Bfree == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the disk is not filled")
		}
	}
	if s := f.Look(); s.State != step.Running {
		t.Errorf("without room: %+v", s)
	}
	if err := os.Remove(filepath.Join(f.Scratch(), "filler")); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, f); s.State != step.Finished || len(s.Outcome.Result.Detail) != 400 {
		t.Errorf("%+v", s.State)
	}
}

// smallDisk is a file system of 1 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") != "" {
			t.Fatalf("a small file system is needed: %v", err)
		}
		t.Skipf("a small file system is needed: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}
