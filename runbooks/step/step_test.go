package step_test

import (
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
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks/step"
)

func folder(t *testing.T, module string) step.Folder {
	t.Helper()
	f, err := step.New(filepath.Join(t.TempDir(), "steps"), step.Intent{
		Token: "opsdeck/abc", Run: "window-1", Item: "tidy", Module: module, Check: "tidy", MaxOutput: 1 << 20,
		Timeout: time.Minute, Before: []fact.Fact{fact.Number("tables", 3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func start(t *testing.T, f step.Folder) step.Card {
	t.Helper()
	card, err := f.Start("step", f.Path)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

func ended(t *testing.T, f step.Folder) step.Status {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s := f.Look(); s.State != step.Running {
			return s
		}
	}
	t.Fatal("it never ends")
	return step.Status{}
}

func said(t *testing.T, f step.Folder, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got, _, err := f.Live(0, 1<<16); err != nil {
			t.Fatal(err)
		} else if strings.Contains(got, text) {
			return
		}
	}
	t.Fatalf("it never said %q", text)
}

func TestAStepDoesItsDeedOnceAndLeavesTheResult(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	if s := f.Look(); s.State != step.NotStarted {
		t.Fatalf("before: %+v", s)
	}
	card := start(t, f)
	s := ended(t, f)
	if s.State != step.Finished || s.Outcome.Result.Level != checks.OK || s.Outcome.Cancelled || s.Card != card || len(s.Outcome.OutputHash) != 64 {
		t.Errorf("%+v", s)
	}
	if want := "opsdeck/abc " + f.Scratch(); !strings.HasPrefix(s.Outcome.Tail, want) || !strings.HasSuffix(s.Outcome.Tail, " [3]\n") {
		t.Errorf("output %q", s.Outcome.Tail)
	}
	if p, _, ok := f.Progress(); !ok || p.Done != 2 || p.Total != 4 || p.What != `a "part"^G` {
		t.Errorf("%+v %v", p, ok)
	}
	if _, err := f.Start("step", f.Path); !errors.Is(err, step.ErrTaken) {
		t.Errorf("started again: %v", err)
	}
	if raw, err := os.ReadFile(filepath.Join(f.Path, "leaks")); err == nil {
		t.Errorf("the step leaked: %s", raw)
	}
}

func TestAStepOutlivesWhoeverStartedIt(t *testing.T) {
	t.Parallel()
	f := folder(t, "slow")
	cmd := exec.Command("/proc/self/exe", "parent", f.Path)
	if out, err := cmd.CombinedOutput(); err == nil || len(out) > 0 {
		t.Fatalf("the parent was to be killed: %v %s", err, out)
	}
	if s := f.Look(); s.State != step.Running {
		t.Errorf("with its parent dead: %+v", s)
	}
	if s := ended(t, f); s.State != step.Finished || s.Outcome.Result.Level != checks.OK {
		t.Errorf("%+v", s)
	}
}

func TestAKilledStepIsGone(t *testing.T) {
	t.Parallel()
	f := folder(t, "wait")
	card := start(t, f)
	said(t, f, "waiting")
	if err := syscall.Kill(card.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, f); s.State != step.Gone || s.Card != card || s.Why == "" {
		t.Errorf("%+v", s)
	}
}

// TestAStrangersSignalLeavesNoResult: the host goes down, and nobody can say
// from in here what came of the deed.
func TestAStrangersSignalLeavesNoResult(t *testing.T) {
	t.Parallel()
	f := folder(t, "wait")
	card := start(t, f)
	said(t, f, "waiting")
	if err := syscall.Kill(card.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, f); s.State != step.Gone {
		t.Errorf("%+v", s)
	}
}

func TestCancellingAsksThenEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		module string
		want   step.State
	}{{"wait", step.Finished}, {"deaf", step.Gone}, {"deaf child", step.Finished}} {
		t.Run(c.module, func(t *testing.T) {
			t.Parallel()
			f := folder(t, c.module)
			start(t, f)
			said(t, f, "waiting")
			if err := f.Cancel(t.Context(), 2*time.Second); err != nil {
				t.Fatal(err)
			}
			s := f.Look()
			if s.State != c.want || s.State == step.Finished && !s.Outcome.Cancelled {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestAFloodIsCutCountedAndEnded(t *testing.T) {
	t.Parallel()
	f := folder(t, "flood")
	start(t, f)
	s := ended(t, f)
	if s.State != step.Finished || !s.Outcome.Truncated || s.Outcome.Output < 10<<20 || s.Outcome.Result.Level != checks.Unknown || !strings.Contains(s.Outcome.Result.Err, "output") {
		t.Errorf("%+v", s.Outcome)
	}
	info, err := os.Stat(filepath.Join(f.Path, "output"))
	if err != nil || info.Size() > 2<<20 || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if s.Outcome.MaxRSS > 100<<20 {
		t.Errorf("it used %d bytes", s.Outcome.MaxRSS)
	}
}

func TestAPanicIsAResult(t *testing.T) {
	t.Parallel()
	f := folder(t, "panic")
	start(t, f)
	if s := ended(t, f); s.State != step.Finished || s.Outcome.Result.Level != checks.Unknown || !strings.Contains(s.Outcome.Result.Err, "the module is broken") {
		t.Errorf("%+v", s)
	}
}

func TestWhatOutlivesTheDeedIsEndedAndNamed(t *testing.T) {
	t.Parallel()
	f := folder(t, "runaway")
	start(t, f)
	s := ended(t, f)
	if s.State != step.Finished || len(s.Outcome.Left) != 2 || !strings.HasSuffix(s.Outcome.Left[0], "sleep") {
		t.Fatalf("%+v", s)
	}
	for _, left := range s.Outcome.Left {
		var pid int
		fmt.Sscanf(left, "%d", &pid)
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s lives: %v", left, err)
		}
	}
}

func TestALateStartIsRefused(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	if err := f.Bury(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Start("step", f.Path); err == nil {
		t.Error("a step began after it was decided that it had not")
	}
	g := folder(t, "wait")
	start(t, g)
	if err := g.Bury(); !errors.Is(err, step.ErrTaken) {
		t.Errorf("a running step was buried: %v", err)
	}
	if err := g.Cancel(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
}

// TestWhatWasPlantedIsNotFollowed: links and FIFOs where the files should be.
func TestWhatWasPlantedIsNotFollowed(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"output", "started.json"} {
		if err := os.Symlink(victim, filepath.Join(f.Path, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(f.Path, "result.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := f.Look(); s.State != step.Gone {
		t.Errorf("%+v", s)
	}
	if _, err := f.Start("step", f.Path); err == nil {
		t.Error("it began over what was planted")
	}
	if raw, err := os.ReadFile(victim); err != nil || string(raw) != "precious" {
		t.Errorf("%q %v", raw, err)
	}
	if _, err := step.Find("/x", "../etc"); err == nil {
		t.Error("a name led out of the folder")
	}
}

func TestAnotherBootOrAnotherProcessIsNotOurs(t *testing.T) {
	card, err := step.Self()
	if err != nil || !card.Alive() {
		t.Fatalf("%+v %v", card, err)
	}
	for _, other := range []step.Card{{card.PID, card.Start + 1, card.Boot}, {card.PID, card.Start, "another"}, {1 << 30, 1, card.Boot}} {
		if other.Alive() {
			t.Errorf("%+v is taken for us", other)
		}
	}
}

// TestAFullDiskDoesNotLoseTheResult: its room was taken before the deed began.
func TestAFullDiskDoesNotLoseTheResult(t *testing.T) {
	t.Parallel()
	f, err := step.New(filepath.Join(smallDisk(t), "steps"), step.Intent{Token: "t", Module: "flood", MaxOutput: 4 << 20, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	start(t, f)
	if s := ended(t, f); s.State != step.Finished || !s.Outcome.Truncated || s.Outcome.OutputHash == "" {
		t.Errorf("%+v", s)
	}
}

// TestWhoFillsTheDiskMeanwhileDoesNotGetTheRoomOfTheResult: a process that
// takes each block that becomes free leaves the result its own.
func TestWhoFillsTheDiskMeanwhileDoesNotGetTheRoomOfTheResult(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	f, err := step.New(filepath.Join(dir, "steps"), step.Intent{Token: "t", Module: "until told", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.Scratch(), "wait"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, f)
	greedy, err := os.Create(filepath.Join(dir, "greedy"))
	if err != nil {
		t.Fatal(err)
	}
	defer greedy.Close()
	var filling sync.WaitGroup
	full, stop := make(chan struct{}), make(chan struct{})
	filling.Go(func() {
		for once := sync.OnceFunc(func() { close(full) }); ; {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := greedy.Write(make([]byte, 4<<10)); errors.Is(err, syscall.ENOSPC) {
				once()
			}
		}
	})
	<-full
	if err := os.Remove(filepath.Join(f.Scratch(), "wait")); err != nil {
		t.Fatal(err)
	}
	s := ended(t, f)
	close(stop)
	filling.Wait()
	if s.State != step.Finished || s.Outcome.Result.Level != checks.OK {
		t.Errorf("%+v", s)
	}
}

func TestADeedWithoutRoomForItsResultIsNotBegun(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	f, err := step.New(filepath.Join(dir, "steps"), step.Intent{Token: "t", Module: "ok", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Start("step", f.Path); err == nil || !strings.Contains(err.Error(), "reserving room for the result") {
		t.Errorf("it began: %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.Scratch(), "effects")); err == nil {
		t.Error("something was done")
	}
	if s := f.Look(); s.State != step.NotStarted {
		t.Errorf("%+v", s)
	}
}
