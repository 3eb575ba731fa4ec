package supervisor_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// onSmallDisk is a house whose state lies on a file system of 1 MiB, with a
// journal that heals as that of the program does.
func onSmallDisk(t *testing.T) *house {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("a small file system is needed: %v", err)
		}
		t.Skipf("a small file system is needed: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	h := newHouse(t)
	h.dir = filepath.Join(disk, "state")
	var err error
	h.j, err = journal.Open(h.dir, journal.Holder{User: "test"})
	must(t, err)
	h.change = func(o *supervisor.Options) {
		o.Failed = h.j.Err
		o.Recover = func() error {
			if h.j.Err() == nil {
				return nil
			}
			if _, err := os.Stat(fillerIn(h.dir)); err == nil {
				return syscall.ENOSPC // reopening frees a little room by itself, and this test wants to see the trouble
			}
			return h.j.Reopen()
		}
	}
	return h
}

func fillerIn(dir string) string { return filepath.Join(dir, "filler") }

// fillDisk leaves no room beside the filler and returns its path.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	path := fillerIn(dir)
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	return path
}

// TestAFailedAppendAtTheStartOfASessionIsRecoveredFrom: the first event of a
// session fails on a full disk. Everybody is told, and with room again the same
// supervisor records, without being started again.
func TestAFailedAppendAtTheStartOfASessionIsRecoveredFrom(t *testing.T) {
	h := onSmallDisk(t)
	h.serve()
	defer h.end()
	at := h.open(watching) // keeps the journal open
	must(t, at.Note("", "before"))
	filler := fillDisk(t, h.dir)
	s := h.open("daily")
	if err := s.Note("", strings.Repeat("x", 60_000)); err == nil {
		t.Fatal("a full disk took the first event of a session")
	}
	until(t, "a client of another run is told, too", func() bool { return at.Err() != nil })
	until(t, "it is said when it is tried next", func() bool { return s.Err() != nil && strings.Contains(s.Err().Error(), "next in") })
	late := h.open("late")
	if late.Err() == nil {
		t.Error("one who comes while nothing is recorded is not told")
	}
	must(t, os.Remove(filler))
	until(t, "it is recorded again", func() bool { return s.Note("", "after") == nil })
	until(t, "nobody is told of trouble any more", func() bool { return s.Err() == nil && at.Err() == nil && late.Err() == nil })
	must(t, at.Note("", "and here"))
	for _, session := range []*supervisor.Session{s, at, late} {
		must(t, session.Close())
	}
	if r := journal.Verify(h.dir, nil); r.Status != journal.Intact {
		t.Errorf("%+v", r)
	}
}

// TestWhatNoAttemptMendsIsLookedForOnce: events that do not fit stay as they are
// recorded, and the record has not failed.
func TestWhatNoAttemptMendsIsLookedForOnce(t *testing.T) {
	var looks, drives, asked atomic.Int32
	var log logged
	h := newHouse(t)
	h.change = func(o *supervisor.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Failed = func() error { asked.Add(1); return nil }
		o.Recover = func() error { return nil }
		o.Unsettled = func() ([]supervisor.Unsettled, error) {
			looks.Add(1)
			return []supervisor.Unsettled{{Book: book(watching), Section: "all"}}, nil
		}
		o.Drive = func(context.Context, runbooks.Runbook, string, runbooks.Actor, func(runbooks.Actor) bool) (*runbooks.Local, error) {
			drives.Add(1)
			return nil, &runbooks.IllegalError{Run: "lms-1", Kind: "note", Why: "the note is empty"}
		}
	}
	h.serve()
	until(t, "it is looked for", func() bool { return drives.Load() > 0 })
	before := asked.Load()
	until(t, "the supervisor looks for faults thrice", func() bool { return asked.Load() >= before+3 })
	h.end()
	if looks.Load() != 1 || drives.Load() != 1 {
		t.Errorf("looked for %d times, driven %d times", looks.Load(), drives.Load())
	}
	if text := log.text(); !strings.Contains(text, "the note is empty") || strings.Contains(text, "takes events again") {
		t.Errorf("the log says %s", text)
	}
}

// logged is a log that a supervisor writes while a test reads it.
type logged struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// TestWhatWasLeftRunningIsTakenUpWhenTheRecordCanBeReadAgain: at the start of the
// supervisor it could not.
func TestWhatWasLeftRunningIsTakenUpWhenTheRecordCanBeReadAgain(t *testing.T) {
	h := newHouse(t)
	h.serve()
	s := h.open(watching)
	must(t, s.Start("watch"))
	must(t, s.Close())
	h.end()
	var tries int
	adopted := make(chan struct{}, 1)
	h.change = func(o *supervisor.Options) {
		o.Recover = func() error { return nil }
		o.Unsettled = func() ([]supervisor.Unsettled, error) {
			if tries++; tries == 1 {
				return nil, errors.New("the disk does not answer")
			}
			return []supervisor.Unsettled{{Book: book(watching), Section: "all"}}, nil
		}
		drive := o.Drive
		o.Drive = func(ctx context.Context, b runbooks.Runbook, section string, who runbooks.Actor, present func(runbooks.Actor) bool) (*runbooks.Local, error) {
			local, err := drive(ctx, b, section, who, present)
			select {
			case adopted <- struct{}{}:
			default:
			}
			return local, err
		}
	}
	h.serve()
	defer h.end()
	select {
	case <-adopted:
	case <-time.After(20 * time.Second):
		t.Fatal("what was left running was not looked for again")
	}
	s = h.open(watching)
	until(t, "the watch goes on", func() bool { return state(s, "watch") == runbooks.Running })
	must(t, s.Close())
}
