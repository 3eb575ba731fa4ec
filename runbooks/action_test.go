package runbooks_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// yard is where the deeds of a test are done: nothing happens until the test
// says so. It also answers for previews and probes.
type yard struct {
	mu       sync.Mutex
	steps    map[string]*runbooks.DeedStatus
	prepared []runbooks.Deed
	started  []string
	asked    []string // to end
	refuse   string   // why previews refuse
	done     *bool    // what probes see; nil: they cannot tell
	working  bool     // the server still works at it
	held     map[string]string
	mayNot   string
	startErr error
	estimate time.Duration // of previews; 0: none
	deaf     bool          // steps do not end when they are asked
}

func newYard() *yard {
	return &yard{steps: map[string]*runbooks.DeedStatus{}, held: map[string]string{}}
}

func (y *yard) actions() *runbooks.Actions {
	n := 0
	return &runbooks.Actions{
		Prober: y, Deeds: y,
		Refuse:   func() string { return y.mayNot },
		Holder:   func(lock string) string { return y.held[lock] },
		NewToken: func() string { n++; return fmt.Sprintf("opsdeck/%d", n) },
	}
}

func (y *yard) Preview(_ context.Context, c checks.Check, _ checks.Own) checks.Result {
	if y.refuse != "" {
		return checks.Result{ID: c.ID, Level: checks.Unknown, Err: y.refuse, At: time.Now()}
	}
	seen := checks.Result{ID: c.ID, Module: c.Module.Name, Level: checks.OK, At: time.Now(), Target: "lms", Fingerprint: "7/16384@db", Locks: []string{"postgres:lms"}}
	if y.estimate > 0 {
		seen.Facts = append(seen.Facts, fact.Dur("estimate", y.estimate))
	}
	return seen
}

func (y *yard) Probe(_ context.Context, c checks.Check, own checks.Own, _ checks.Rule) checks.Result {
	y.mu.Lock()
	defer y.mu.Unlock()
	if own.Token == "" {
		panic("a probe without the token")
	}
	if y.done == nil {
		return checks.Result{ID: c.ID, Level: checks.Unknown, Err: "the server is away", At: time.Now()}
	}
	level := checks.Crit
	if *y.done {
		level = checks.OK
	}
	return checks.Result{ID: c.ID, Level: level, At: time.Now(), Note: "seen", Facts: []fact.Fact{fact.Flag("done", *y.done), fact.Flag("running", y.working)}}
}

func (y *yard) Prepare(d runbooks.Deed) (string, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.prepared = append(y.prepared, d)
	step := fmt.Sprintf("step-%d", len(y.prepared))
	y.steps[step] = &runbooks.DeedStatus{State: runbooks.DeedNotStarted}
	return step, nil
}

func (y *yard) Start(step string) (runbooks.ActionStarted, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.startErr != nil {
		return runbooks.ActionStarted{}, y.startErr
	}
	y.started = append(y.started, step)
	y.steps[step].State = runbooks.DeedRunning
	return runbooks.ActionStarted{PID: 42, Start: 7, Boot: "b"}, nil
}

func (y *yard) Look(step string) runbooks.DeedStatus {
	y.mu.Lock()
	defer y.mu.Unlock()
	if s := y.steps[step]; s != nil {
		return *s
	}
	return runbooks.DeedStatus{State: runbooks.DeedGone}
}

func (y *yard) Cancel(_ context.Context, step string) error {
	y.mu.Lock()
	y.asked = append(y.asked, step)
	deaf := y.deaf
	y.mu.Unlock()
	if deaf {
		return errors.New("it does not end")
	}
	y.ends(step, checks.Unknown, true)
	return nil
}

func (y *yard) Scratch(string) string { return "" }

func (y *yard) Live(step string, _ int64) (runbooks.Live, error) {
	return runbooks.Live{Text: "output of " + step}, nil
}

// ends lets a step write its result.
func (y *yard) ends(step string, level checks.Level, cancelled bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.steps[step].State = runbooks.DeedFinished
	y.steps[step].Outcome = runbooks.ActionFinished{Result: checks.Result{ID: "x", Level: level, At: time.Now()}, Cancelled: cancelled}
}

func (y *yard) dies(step string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.steps[step].State = runbooks.DeedGone
}

func (y *yard) sees(done bool) { y.mu.Lock(); y.done = &done; y.mu.Unlock() }

// window is a section with a closed site, a danger of three and a way back.
func window() runbooks.Runbook {
	action := func(id string, danger int, needs ...string) runbooks.Item {
		it := item(id, needs...)
		it.Kind, it.Use, it.Module, it.With, it.Danger, it.Timeout = runbooks.Action, vacuumModule.Name, vacuumModule, nil, danger, time.Hour
		return it
	}
	on := action("maint-on", 2, "disk")
	on.Undo = "maint-off"
	return runbooks.Runbook{
		ID: "window", Hash: runbooks.Hash{2}, Source: []byte("# Window"), Path: "window.md",
		Sections: []runbooks.Section{{ID: "window", Abort: []string{"maint-off", "notify-abort"}, Items: []runbooks.Item{
			item("disk"), on, action("compact", 3, "maint-on"), action("maint-off", 2, "compact"), action("tidy", 1),
			{ID: "watch", Kind: runbooks.Hold, Hold: runbooks.Waiting{For: time.Hour, Every: 5 * time.Minute, Items: []string{"disk"}}},
			{ID: "day-after", Kind: runbooks.Manual, Needs: []runbooks.Need{{Item: "tidy", MinAge: 24 * time.Hour}}},
			action("notify-abort", 1),
		}}},
	}
}

func windowOptions(j runbooks.Journal, y *yard) runbooks.Options {
	o := options(j, &bench{})
	o.Runbook, o.Section, o.Actions = window(), "window", y.actions()
	return o
}

// arm arms and returns the preview's hash.
func arm(t *testing.T, l *runbooks.Local, item string) runbooks.Hash {
	t.Helper()
	must(t, l.Arm(t.Context(), item))
	it, _ := l.Run().Item(item)
	a, _ := it.Latest()
	if it.State != runbooks.Armed {
		t.Fatalf("%s is %s", item, it.State)
	}
	return a.Armed.Hash
}

func stateOf(t *testing.T, l *runbooks.Local, item string, want runbooks.State) runbooks.Attempt {
	t.Helper()
	it, _ := l.Run().Item(item)
	if it.State != want {
		t.Errorf("%s is %s, want %s", item, it.State, want)
	}
	a, _ := it.Latest()
	return a
}

func later(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestAnActionIsRecordedBeforeItIsDoneAndVerifiedBeforeItCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, y := &memory{}, newYard()
		y.sees(true)
		l := drive(t, windowOptions(j, y))
		defer l.Close()
		seen := arm(t, l, "tidy")
		must(t, l.Approve("tidy", "", seen))
		later(time.Second)
		stateOf(t, l, "tidy", runbooks.Running)
		y.ends("step-1", checks.OK, false)
		later(time.Second)
		a := stateOf(t, l, "tidy", runbooks.Passed)
		want := []string{"run.opened", "action.armed tidy", "action.confirmed tidy", "action.claimed tidy", "action.intent tidy", "action.started tidy", "action.outcome tidy", "action.verified tidy"}
		if diff := cmp.Diff(want, j.kinds()); diff != "" {
			t.Error(diff)
		}
		if a.Intent.Token != "opsdeck/1" || a.Process.PID != 42 || a.Claim.Fingerprint != "7/16384@db" {
			t.Errorf("%+v", a)
		}
	})
}

func TestWhatAConfirmationNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.sees(true)
		o := windowOptions(&memory{}, y)
		l := drive(t, o)
		defer l.Close()
		must(t, l.StartAll())
		later(2 * time.Minute)
		seen := arm(t, l, "maint-on")
		if err := l.Approve("maint-on", "", seen); !errors.Is(err, runbooks.ErrTyped) {
			t.Errorf("without the name: %v", err)
		}
		if err := l.Approve("maint-on", "lms", runbooks.Hash{9}); err == nil {
			t.Error("a preview that nobody saw was confirmed")
		}
		y.held["postgres:lms"] = "ada on ops1"
		if err := l.Approve("maint-on", "lms", seen); err == nil || !strings.Contains(err.Error(), "ada on ops1") {
			t.Errorf("a held target: %v", err)
		}
		delete(y.held, "postgres:lms")
		y.mayNot = "opsdeck.yaml can be changed by others"
		if err := l.Approve("maint-on", "lms", seen); err == nil {
			t.Error("began although no action may")
		}
		y.mayNot = ""
		must(t, l.Approve("maint-on", " lms ", seen))
		y.ends("step-1", checks.OK, false)
		later(time.Second)

		seen = arm(t, l, "compact")
		if err := l.Approve("compact", "lms", seen); !errors.Is(err, runbooks.ErrSigners) {
			t.Errorf("danger 3 without a second person: %v", err)
		}
		if err := l.Sign("compact", "dba", seen); err == nil {
			t.Error("who armed it signed it")
		}
		claimed := runbooks.Actor{Name: "eve", UID: ada.UID, Claimed: true}
		must(t, l.As(claimed).Sign("compact", "dba", seen))
		if err := l.Approve("compact", "lms", seen); !errors.Is(err, runbooks.ErrSigners) {
			t.Errorf("a claimed name under the same user counted: %v", err)
		}
		must(t, l.As(bob).Sign("compact", "dba", seen))
		later(16 * time.Minute)
		if err := l.Approve("compact", "lms", seen); err == nil || !strings.Contains(err.Error(), "make a new one") {
			t.Errorf("an old preview: %v", err)
		}
		read := seen
		seen = arm(t, l, "compact")
		if err := l.As(bob).Sign("compact", "dba", read); err == nil || !strings.Contains(err.Error(), "another preview") {
			t.Errorf("a preview that was made anew was signed unread: %v", err)
		}
		if err := l.Approve("compact", "lms", seen); !errors.Is(err, runbooks.ErrSigners) {
			t.Errorf("a signature under another preview counted: %v", err)
		}
		must(t, l.As(bob).Sign("compact", "dba", seen))
		must(t, l.Approve("compact", "lms", seen))
		if len(y.started) != 2 {
			t.Errorf("started %v", y.started)
		}
	})
}

func TestAPreviewThatRefusesIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.refuse = "it is a standby"
		l := drive(t, windowOptions(&memory{}, y))
		defer l.Close()
		must(t, l.Arm(t.Context(), "tidy"))
		if a := stateOf(t, l, "tidy", runbooks.Errored); a.Reason != y.refuse {
			t.Errorf("%+v", a)
		}
	})
}

func TestTheLookFromOutsideDecides(t *testing.T) {
	for _, c := range []struct {
		step checks.Level
		done *bool
		want runbooks.State
	}{
		{checks.OK, yes, runbooks.Passed}, {checks.Warn, yes, runbooks.Warned}, {checks.OK, no, runbooks.Failed},
		{checks.OK, nil, runbooks.Errored}, {checks.Crit, yes, runbooks.Failed}, {checks.Unknown, yes, runbooks.Errored},
	} {
		synctest.Test(t, func(t *testing.T) {
			y := newYard()
			y.done = c.done
			l := drive(t, windowOptions(&memory{}, y))
			defer l.Close()
			must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
			y.ends("step-1", c.step, false)
			later(time.Second)
			stateOf(t, l, "tidy", c.want)
		})
	}
}

var yes, no = func() (*bool, *bool) { y, n := true, false; return &y, &n }()

// TestEveryPlaceToDie: a session ends after each event of an action, as by
// kill -9; the next one finds out what became of it. An action is begun at most
// once, and nothing counts as done that is not.
func TestEveryPlaceToDie(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    int // events recorded before the end
		after func(*yard)
		done  *bool
		want  runbooks.State
		begun int
	}{
		{"armed", 2, nil, no, runbooks.Pending, 0},
		{"confirmed", 3, nil, no, runbooks.Pending, 0},
		{"claimed", 4, nil, no, runbooks.Pending, 0},
		{"intended, not started, seen not done", 5, nil, no, runbooks.Failed, 0},
		{"intended, cannot be told", 5, nil, nil, runbooks.Interrupted, 0},
		{"started, runs on", 6, func(y *yard) {}, yes, runbooks.Running, 1},
		{"started, has ended meanwhile", 6, func(y *yard) { y.ends("step-1", checks.OK, false) }, yes, runbooks.Passed, 1},
		{"started, died, was done", 6, func(y *yard) { y.dies("step-1") }, yes, runbooks.Passed, 1},
		{"started, died, was not done", 6, func(y *yard) { y.dies("step-1") }, no, runbooks.Failed, 1},
		{"started, died, cannot be told", 6, func(y *yard) { y.dies("step-1") }, nil, runbooks.Interrupted, 1},
		{"outcome, not verified", 7, func(y *yard) { y.ends("step-1", checks.OK, false) }, yes, runbooks.Passed, 1},
		{"outcome, not verified, not done", 7, func(y *yard) { y.ends("step-1", checks.OK, false) }, no, runbooks.Failed, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full, y := &memory{}, newYard()
				y.sees(true)
				l := drive(t, windowOptions(full, y))
				must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
				y.ends("step-1", checks.OK, false)
				later(time.Second)
				must(t, l.Close())

				j, y := &memory{events: slices.Clone(full.events[:c.at])}, newYard()
				y.done = c.done
				if c.at >= 5 {
					y.steps["step-1"] = &runbooks.DeedStatus{State: runbooks.DeedNotStarted}
				}
				if c.at >= 6 {
					y.steps["step-1"].State, y.started = runbooks.DeedRunning, []string{"step-1"}
				}
				if c.after != nil {
					c.after(y)
				}
				l = drive(t, windowOptions(j, y))
				must(t, l.Adopt())
				must(t, l.Note("", "I am back"))
				later(time.Second)
				stateOf(t, l, "tidy", c.want)
				if len(y.started) != c.begun {
					t.Errorf("begun %d times", len(y.started))
				}
				must(t, l.Close())
			})
		})
	}
}

func TestAnInterruptedActionBlocksUntilSomebodyTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		l := drive(t, windowOptions(&memory{}, y))
		defer l.Close()
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		y.dies("step-1")
		later(time.Second)
		a := stateOf(t, l, "tidy", runbooks.Interrupted)
		if !strings.HasPrefix(a.Reason, runbooks.OutcomeUnknown) || a.Verified == nil {
			t.Errorf("%q, %v", a.Reason, a.Verified)
		}
		if err := l.Arm(t.Context(), "tidy"); err == nil || !strings.Contains(err.Error(), runbooks.OutcomeUnknown) {
			t.Errorf("armed again over an unknown outcome: %v", err)
		}
		if c := l.Run().Computed("day-after", time.Now()); c.Ready {
			t.Error("what needs it is ready")
		}
		if err := l.Resolve("tidy", true, " "); err == nil {
			t.Error("resolved without evidence")
		}
		y.mu.Lock()
		y.working = true
		y.mu.Unlock()
		y.sees(false)
		must(t, l.Probe("tidy"))
		later(time.Second)
		stateOf(t, l, "tidy", runbooks.Interrupted) // the server still works at it
		must(t, l.Resolve("tidy", true, "pg_stat_all_tables shows it"))
		if a := stateOf(t, l, "tidy", runbooks.Passed); a.Resolved.Actor != ada {
			t.Errorf("%+v", a.Resolved)
		}
	})
}

func TestCancellingIsAskedAndThenSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.sees(false)
		l := drive(t, windowOptions(&memory{}, y))
		defer l.Close()
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		must(t, l.Cancel("tidy", "too slow"))
		later(time.Second)
		if a := stateOf(t, l, "tidy", runbooks.Cancelled); !strings.Contains(a.Reason, "not done") {
			t.Errorf("%q", a.Reason)
		}
		must(t, l.Start("disk"))
		must(t, l.Cancel("disk", "wrong host"))
		later(time.Second)
		stateOf(t, l, "disk", runbooks.Cancelled)
	})
}

func TestLeavingARunReopensTheSiteFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, y := &memory{}, newYard()
		y.sees(true)
		l := drive(t, windowOptions(j, y))
		defer l.Close()
		must(t, l.StartAll())
		later(2 * time.Minute)
		must(t, l.Approve("maint-on", "lms", arm(t, l, "maint-on")))
		y.ends("step-1", checks.OK, false)
		later(time.Second)
		arm(t, l, "tidy")
		must(t, l.Abort("the disk is dying"))
		if r := l.Run(); r.State != runbooks.Aborting {
			t.Fatalf("the run is %s", r.State)
		}
		stateOf(t, l, "tidy", runbooks.Pending)
		if err := l.Arm(t.Context(), "compact"); err == nil {
			t.Error("a run that is being left still compacts")
		}
		var ways []string
		for _, it := range l.Run().WaysOut() {
			ways = append(ways, it.ID)
		}
		if diff := cmp.Diff([]string{"maint-off", "notify-abort"}, ways); diff != "" {
			t.Error(diff)
		}
		must(t, l.Approve("maint-off", "lms", arm(t, l, "maint-off")))
		y.ends("step-2", checks.OK, false)
		later(time.Second)
		if err := l.Abort("now"); err == nil || !strings.Contains(err.Error(), "notify-abort") {
			t.Errorf("left without telling anybody: %v", err)
		}
		must(t, l.Skip("notify-abort", "told them by phone", time.Time{}))
		if r := l.Run(); r.State != runbooks.Aborted || r.Reason != "the disk is dying" {
			t.Errorf("the run is %s: %s", r.State, r.Reason)
		}
	})
}

func TestAHoldEndsEarlyOnFailureAndOutlivesItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, y := &memory{}, newYard()
		o := windowOptions(j, y)
		b := &bench{levels: map[string]checks.Level{}}
		o.Runner = b
		l := drive(t, o)
		must(t, l.Start("watch"))
		later(12 * time.Minute)
		must(t, l.Close())
		a := stateOf(t, l, "watch", runbooks.Running)
		if a.Hold.Samples < 2 || a.Hold.Worst != checks.OK {
			t.Errorf("%+v", a.Hold)
		}
		time.Sleep(10 * time.Minute)
		l = drive(t, o)
		must(t, l.Adopt())
		later(6 * time.Minute)
		if more := stateOf(t, l, "watch", runbooks.Running); more.Hold.Samples <= a.Hold.Samples || !more.Hold.Until.Equal(a.Hold.Until) {
			t.Errorf("%+v", more.Hold)
		}
		b.mu.Lock()
		b.levels = maps.Clone(b.levels)
		b.levels["disk"] = checks.Crit
		b.mu.Unlock()
		later(10 * time.Minute)
		if a := stateOf(t, l, "watch", runbooks.Failed); !strings.Contains(a.Reason, "disk failed") || a.Ended.After(a.Hold.Until) {
			t.Errorf("%q", a.Reason)
		}
		must(t, l.Close())
	})
}

func TestAFollowUpFallsDueLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.sees(true)
		l := drive(t, windowOptions(&memory{}, y))
		defer l.Close()
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		y.ends("step-1", checks.OK, false)
		later(time.Second)
		if c := l.Run().Computed("day-after", time.Now()); c.Ready || c.FallsDue.IsZero() || !strings.Contains(c.Blocked, "falls due") {
			t.Errorf("%+v", c)
		}
		if err := l.Confirm("day-after", nil); err == nil {
			t.Error("confirmed before it was due")
		}
		later(24 * time.Hour)
		must(t, l.Confirm("day-after", nil))
	})
}

func TestReadDoGoesOneItemAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := windowOptions(&memory{}, newYard())
		o.Runbook.Sections[0].Mode = runbooks.ReadDo
		l := drive(t, o)
		defer l.Close()
		if err := l.Start("watch"); err == nil || !strings.Contains(err.Error(), "disk comes first: this section") {
			t.Errorf("%v", err)
		}
		must(t, l.StartAll())
		later(2 * time.Minute)
		if err := l.Arm(t.Context(), "tidy"); err == nil {
			t.Error("the order was not kept")
		}
		arm(t, l, "maint-on")
	})
}

func TestTwoEngineersOneDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := windowOptions(&memory{}, newYard())
		present := true
		o.Present = func(runbooks.Actor) bool { return present }
		l := drive(t, o)
		defer l.Close()
		must(t, l.Start("disk"))
		var driven *runbooks.DrivenError
		if err := l.As(bob).StartAll(); !errors.As(err, &driven) || driven.Driver != ada {
			t.Errorf("two drivers: %v", err)
		}
		must(t, l.As(bob).Note("disk", "I look"))
		must(t, l.As(bob).TakeOver("ada sleeps"))
		if err := l.Start("watch"); !errors.As(err, &driven) {
			t.Errorf("the old driver goes on: %v", err)
		}
		present = false
		must(t, l.Start("watch"))
		if l.Run().Driver != ada {
			t.Errorf("driver %v", l.Run().Driver)
		}
	})
}

// TestAClockThatIsSetChangesNoOrderAndNoDuration: somebody sets the clock back
// an hour in the middle of an action and forward two afterwards.
func TestAClockThatIsSetChangesNoOrderAndNoDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, y := &memory{}, newYard()
		y.sees(true)
		o := windowOptions(j, y)
		shift := time.Duration(0)
		o.Now = func() time.Time { return time.Now().Add(shift) }
		l := drive(t, o)
		defer l.Close()
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		shift = -time.Hour
		must(t, l.ClockMoved(shift))
		y.ends("step-1", checks.OK, false)
		later(time.Second)
		a := stateOf(t, l, "tidy", runbooks.Passed)
		shift = time.Hour
		must(t, l.ClockMoved(2*time.Hour))
		must(t, l.Note("", "after it"))
		for i, e := range j.events {
			if e.Seq != uint64(i+1) {
				t.Errorf("event %d stands at %d", e.Seq, i+1)
			}
			if i > 0 && e.Run == j.events[i-1].Run && e.Mono < j.events[i-1].Mono {
				t.Errorf("%s goes back in time: %v after %v", e.Kind, e.Mono, j.events[i-1].Mono)
			}
		}
		if took := a.Took(); took < 0 || took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if estimates := l.Estimates(); estimates["tidy"] < 0 {
			t.Errorf("%v", estimates)
		}
	})
}

// TestAWatchLastsAsLongAsItSaysWhateverTheClockIsSetTo: an hour is an hour.
func TestAWatchLastsAsLongAsItSaysWhateverTheClockIsSetTo(t *testing.T) {
	for name, set := range map[string]time.Duration{"forward": 3 * time.Hour, "back": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := windowOptions(&memory{}, newYard())
				o.Runner = &bench{levels: map[string]checks.Level{}}
				shift := time.Duration(0)
				o.Now = func() time.Time { return time.Now().Add(shift) }
				l := drive(t, o)
				defer l.Close()
				must(t, l.Start("watch"))
				later(12 * time.Minute)
				shift = set
				must(t, l.ClockMoved(set))
				later(40 * time.Minute)
				stateOf(t, l, "watch", runbooks.Running)
				later(9 * time.Minute)
				if a := stateOf(t, l, "watch", runbooks.Passed); a.Hold.Samples < 11 {
					t.Errorf("%d looks in an hour", a.Hold.Samples)
				}
			})
		})
	}
}

// TestAFreshnessIsAnAgeWhateverTheClockIsSetTo: a clock that is set back does
// not make an old backup young, nor one that is set forward a young one old.
func TestAFreshnessIsAnAgeWhateverTheClockIsSetTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := windowOptions(&memory{}, newYard())
		o.Runbook.Sections[0].Items[4].Needs = []runbooks.Need{{Item: "disk", MaxAge: 2 * time.Hour}}
		shift := time.Duration(0)
		o.Now = func() time.Time { return time.Now().Add(shift) }
		l := drive(t, o)
		defer l.Close()
		must(t, l.StartAll())
		later(2 * time.Minute)
		ready := func(want bool, when string) {
			t.Helper()
			if err := l.Run().Ready("tidy", o.Now()); (err == nil) != want {
				t.Errorf("%s: %v", when, err)
			}
		}
		shift = 5 * time.Hour
		ready(false, "set forward, which nobody saw")
		must(t, l.ClockMoved(shift))
		ready(true, "set forward, which was seen")
		later(90 * time.Minute)
		shift = -24 * time.Hour
		must(t, l.ClockMoved(-29*time.Hour))
		ready(true, "set back, 92 minutes old")
		later(time.Hour)
		ready(false, "set back, more than two hours old")
		shift = -72 * time.Hour
		ready(false, "set back, which nobody saw")
	})
}

// TestCancellingIsGoneOnWithByTheNextSession: whoever asked died before the
// step was told.
func TestCancellingIsGoneOnWithByTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, y := &memory{}, newYard()
		y.sees(false)
		l := drive(t, windowOptions(full, y))
		must(t, l.Start("watch"))
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		must(t, l.Cancel("tidy", "too slow"))
		later(time.Second)
		must(t, l.Cancel("watch", "too long"))
		later(time.Second)
		must(t, l.Close())

		kinds := full.kinds()
		asked := slices.Index(kinds, "item.cancelling tidy")
		j, y := &memory{events: slices.Clone(full.events[:asked+1])}, newYard()
		y.sees(false)
		y.steps["step-1"] = &runbooks.DeedStatus{State: runbooks.DeedRunning}
		l = drive(t, windowOptions(j, y))
		must(t, l.Adopt())
		later(time.Second)
		stateOf(t, l, "tidy", runbooks.Cancelled)
		if len(y.asked) != 1 {
			t.Errorf("the step was asked %d times", len(y.asked))
		}
		must(t, l.Cancel("watch", "too long"))
		later(time.Second)
		must(t, l.Close())

		end := slices.Index(j.kinds(), "item.cancelling watch")
		last := &memory{events: slices.Clone(j.events[:end+1])}
		l = drive(t, windowOptions(last, y))
		must(t, l.Adopt())
		later(time.Second)
		stateOf(t, l, "watch", runbooks.Cancelled)
		must(t, l.Close())
	})
}

// TestAStepThatDoesNotEndIsAskedAgain without another event.
func TestAStepThatDoesNotEndIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, y := &memory{}, newYard()
		l := drive(t, windowOptions(j, y))
		defer l.Close()
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		y.deaf = true
		must(t, l.Cancel("tidy", "too slow"))
		later(time.Second)
		stateOf(t, l, "tidy", runbooks.Cancelling)
		y.mu.Lock()
		y.deaf = false
		y.mu.Unlock()
		y.sees(false)
		must(t, l.Cancel("tidy", "still too slow"))
		later(time.Second)
		stateOf(t, l, "tidy", runbooks.Cancelled)
		if len(y.asked) != 2 || strings.Count(strings.Join(j.kinds(), " "), "item.cancelling") != 1 {
			t.Errorf("asked %d times, recorded %v", len(y.asked), j.kinds())
		}
	})
}

// TestTheRecordTellsWhoWasKeptOut: a try outside the window, and one past the
// abort point, stand in the record; the same try a moment later is the same.
func TestTheRecordTellsWhoWasKeptOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, y := &memory{}, newYard()
		o := windowOptions(j, y)
		o.Runbook.Sections[0].Requires = []string{"in_window"}
		daily, err := civil.ParseDays("daily")
		must(t, err)
		o.Runbook.Window = &civil.Window{Days: daily, Start: 2 * time.Hour, Length: 2 * time.Hour, Reserve: 25 * time.Minute}
		l := drive(t, o) // the bubble's clock begins at midnight UTC
		defer l.Close()
		for range 3 {
			if err := l.Arm(t.Context(), "tidy"); err == nil || !strings.Contains(err.Error(), "outside the window") {
				t.Fatalf("outside the window: %v", err)
			}
		}
		later(3*time.Hour + 30*time.Minute)
		seen := arm(t, l, "tidy")
		later(10 * time.Minute)
		if err := l.Approve("tidy", "", seen); err == nil || !strings.Contains(err.Error(), "past the abort point") {
			t.Fatalf("past the abort point: %v", err)
		}
		it, _ := l.Run().Item("tidy")
		if it.Barred.Len() != 2 || it.Barred.At(0).Actor != ada || !strings.HasPrefix(it.Barred.At(0).Text, "outside the window") || !strings.HasPrefix(it.Barred.At(1).Text, "past the abort point") {
			t.Errorf("%+v", it.Barred)
		}
		if len(y.prepared) != 0 {
			t.Error("something was begun")
		}
	})
}

// TestTheRecordTellsThatTheDriverWasAway while an action went on, and nothing
// of anybody else.
func TestTheRecordTellsThatTheDriverWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, y := &memory{}, newYard()
		y.sees(true)
		l := drive(t, windowOptions(j, y))
		defer l.Close()
		must(t, l.Left(ada)) // nothing goes on
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		must(t, l.Left(bob))
		must(t, l.Left(ada))
		must(t, l.Left(ada))
		later(time.Minute)
		must(t, l.Returned(bob))
		must(t, l.Returned(ada))
		must(t, l.Returned(ada))
		got := l.Run().Absences.List()
		if len(got) != 1 || got[0].Actor != ada || got[0].To.Sub(got[0].From) != time.Minute || !slices.Equal(got[0].Items, []string{"tidy"}) {
			t.Errorf("%+v", got)
		}
	})
}

// TestAnActionIsToldWhatItDoesToTheWindowsTime, and one that can be ended at any
// time is ended with the window, unless somebody has overridden that.
func TestAnActionIsToldWhatItDoesToTheWindowsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.sees(true)
		o := windowOptions(&memory{}, y)
		rewrite := *vacuumModule
		rewrite.Bounded = true
		section := &o.Runbook.Sections[0]
		section.Requires, section.Items[4].Module = []string{"in_window"}, &rewrite
		section.Items = append(section.Items, section.Items[4])
		section.Items[8].ID, section.Items[8].Module = "upgrade", vacuumModule
		daily, err := civil.ParseDays("daily")
		must(t, err)
		o.Runbook.Window = &civil.Window{Days: daily, Start: 2 * time.Hour, Length: 2 * time.Hour, Reserve: 25 * time.Minute}
		l := drive(t, o)
		defer l.Close()
		later(3*time.Hour + 10*time.Minute) // the window closes at 04:00, its abort point is 03:35
		for _, c := range []struct {
			item     string
			estimate time.Duration
			want     string // "" for nothing about time
			bounded  bool
		}{
			{"upgrade", 0, "", false},
			{"upgrade", 30 * time.Minute, "careful: it takes about 30 m and would end at 03:40, past the abort point of 03:35 UTC", false},
			{"upgrade", 2 * time.Hour, "careful: it takes about 2 h and would end at 05:10, and the window closes at 04:00 UTC", false},
			{"tidy", 0, "what is at work when the window closes, at 04:00 UTC, is cancelled", true},
		} {
			y.estimate = c.estimate
			seen := arm(t, l, c.item)
			it, _ := l.Run().Item(c.item)
			a, _ := it.Latest()
			if got := strings.Join(a.Armed.Preview.Detail, "\n"); got != c.want {
				t.Errorf("%s is told %q, want %q", c.item, got, c.want)
			}
			must(t, l.Approve(c.item, "", seen))
			deadline := y.prepared[len(y.prepared)-1].Deadline
			end := time.Now().Truncate(24 * time.Hour).Add(4 * time.Hour)
			if c.bounded != deadline.Equal(end) {
				t.Errorf("%s ends at %v", c.item, deadline)
			}
			y.ends(fmt.Sprintf("step-%d", len(y.prepared)), checks.OK, false)
			later(time.Second)
			stateOf(t, l, c.item, runbooks.Passed)
		}
		must(t, l.OverrideWindow("the night is long", time.Now().Add(5*time.Hour)))
		must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
		if left := time.Until(y.prepared[len(y.prepared)-1].Deadline); left != time.Hour {
			t.Errorf("overridden, it has %v", left)
		}
	})
}
