package step_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/runbooks/step"
)

// rooms is how many reserved results lie in a step's folder.
func rooms(t *testing.T, f step.Folder) (n int) {
	t.Helper()
	entries, err := os.ReadDir(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if of, ok := hostfs.Unfinished(e.Name()); ok && of == "result.json" {
			n++
		}
	}
	return n
}

// leaveRoom reserves a result as a process does that is killed then.
func leaveRoom(t *testing.T, f step.Folder) {
	t.Helper()
	if _, err := hostfs.Reserve(filepath.Join(f.Path, "result.json"), 256<<10); err != nil {
		t.Fatal(err)
	}
}

func TestAStepThatCannotWriteItsCardKeepsNoRoom(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	if err := os.MkdirAll(filepath.Join(f.Path, ".started.json.new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Start("step", f.Path); err == nil {
		t.Fatal("it began without a card")
	}
	if n := rooms(t, f); n != 0 {
		t.Errorf("%d reserved results are left", n)
	}
}

func TestAStrangersSignalLeavesNoRoom(t *testing.T) {
	t.Parallel()
	f := folder(t, "wait")
	card := start(t, f)
	said(t, f, "waiting")
	if n := rooms(t, f); n != 1 {
		t.Errorf("%d reserved results while it runs", n)
	}
	if err := syscall.Kill(card.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if s := ended(t, f); s.State != step.Gone || rooms(t, f) != 0 {
		t.Errorf("%+v, and %d reserved results are left", s, rooms(t, f))
	}
}

// TestTheRoomOfAKilledStepIsFreed by whoever removes old steps; its folder is
// kept.
func TestTheRoomOfAKilledStepIsFreed(t *testing.T) {
	t.Parallel()
	f := folder(t, "wait")
	card := start(t, f)
	said(t, f, "waiting")
	prune := func() {
		if err := step.Prune(filepath.Dir(f.Path), time.Hour, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if prune(); rooms(t, f) != 1 {
		t.Error("the room of a running step was freed")
	}
	if err := syscall.Kill(card.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended(t, f)
	if prune(); rooms(t, f) != 0 {
		t.Error("the room of a step that was killed is kept")
	}
	if s := f.Look(); s.State != step.Gone {
		t.Errorf("%+v", s)
	}
}

func TestRoomLeftBeforeTheStepBeganIsFreed(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(step.Folder) error{
		"by the next start": func(f step.Folder) error { start(t, f); ended(t, f); return nil },
		"by the burial":     step.Folder.Bury,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder(t, "ok")
			leaveRoom(t, f)
			if err := next(f); err != nil {
				t.Fatal(err)
			}
			if n := rooms(t, f); n != 0 {
				t.Errorf("%d reserved results are left", n)
			}
		})
	}
}

func TestTheRoomOfABuriedStepIsFreedLater(t *testing.T) {
	t.Parallel()
	f := folder(t, "ok")
	if err := f.Bury(); err != nil {
		t.Fatal(err)
	}
	leaveRoom(t, f)
	if err := step.Prune(filepath.Dir(f.Path), time.Hour, time.Now()); err != nil || rooms(t, f) != 0 {
		t.Errorf("%d reserved results are left: %v", rooms(t, f), err)
	}
}
