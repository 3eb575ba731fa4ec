package runbooks_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ada  = runbooks.Actor{Name: "ada", UID: 1000, Login: "ada", Host: "ops1"}
	bob  = runbooks.Actor{Name: "root", UID: 0, Login: "bob", Host: "ops1"}
)

func event(t testing.TB, at time.Time, who runbooks.Actor, item string, attempt int, p runbooks.Payload) runbooks.Event {
	t.Helper()
	e, err := runbooks.NewEvent(at, who, "run-1", item, attempt, p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// story applies payloads to items one second apart, each by ada.
type story struct {
	t   testing.TB
	run runbooks.Run
	now time.Time
}

func newStory(t testing.TB) *story {
	s := &story{t: t, now: noon}
	s.must("", 0, runbooks.RunOpened{Site: "lms", Runbook: "daily", Section: "daily", Period: "2026-11-23", Overdue: noon.Add(4 * time.Hour), Steps: steps})
	return s
}

var steps = []runbooks.Step{
	{ID: "disk", Title: "Disk", Kind: runbooks.Check, Use: "sys.disk"},
	{ID: "backup", Title: "Backup", Kind: runbooks.Check, Use: "backup.fresh", Needs: []runbooks.Need{{Item: "disk"}}},
	{ID: "restore", Title: "Restore", Kind: runbooks.Action, Needs: []runbooks.Need{{Item: "backup", MaxAge: time.Hour}}},
	{ID: "errors", Title: "Errors", Kind: runbooks.Confirm},
	{ID: "look", Title: "Look", Kind: runbooks.Manual},
	{ID: "go", Title: "Go?", Kind: runbooks.Decide, Options: []runbooks.Option{{Name: "go"}, {Name: "wait"}}},
}

func (s *story) apply(item string, attempt int, p runbooks.Payload) error {
	s.now = s.now.Add(time.Second)
	next, err := s.run.Apply(event(s.t, s.now, ada, item, attempt, p))
	if err == nil {
		s.run = next
	}
	return err
}

func (s *story) must(item string, attempt int, p runbooks.Payload) {
	s.t.Helper()
	if err := s.apply(item, attempt, p); err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) refused(item string, attempt int, p runbooks.Payload) {
	s.t.Helper()
	var illegal *runbooks.IllegalError
	if err := s.apply(item, attempt, p); !errors.As(err, &illegal) {
		s.t.Errorf("%s on %q was not refused: %v", p.Kind(), item, err)
	}
}

// ran is a check that started and ended with the level.
func (s *story) ran(item string, attempt int, l checks.Level) {
	s.t.Helper()
	s.must(item, attempt, runbooks.CheckStarted{Module: "m"})
	s.must(item, attempt, runbooks.CheckFinished{Result: result(l, s.now)})
}

func (s *story) state(item string, want runbooks.State) {
	s.t.Helper()
	if it, _ := s.run.Item(item); it.State != want {
		s.t.Errorf("%s is %s, want %s", item, it.State, want)
	}
}

func result(l checks.Level, at time.Time) checks.Result {
	return checks.Result{ID: "disk", Module: "sys.disk", Level: l, At: at, Facts: []fact.Fact{fact.Pct("used", 84.2).On("/")}}
}

func TestVerdictsBecomeStates(t *testing.T) {
	for level, want := range map[checks.Level]runbooks.State{
		checks.OK: runbooks.Passed, checks.Warn: runbooks.Warned, checks.Crit: runbooks.Failed,
		checks.Unknown: runbooks.Errored, checks.Skipped: runbooks.NotApplicable,
	} {
		s := newStory(t)
		s.ran("disk", 1, level)
		s.state("disk", want)
	}
}

func TestNeedsOpenOnlyOnWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*story)
		open bool
	}{
		{"pending", func(*story) {}, false},
		{"running", func(s *story) { s.must("disk", 1, runbooks.CheckStarted{}) }, false},
		{"passed", func(s *story) { s.ran("disk", 1, checks.OK) }, true},
		{"warned", func(s *story) { s.ran("disk", 1, checks.Warn) }, true},
		{"failed", func(s *story) { s.ran("disk", 1, checks.Crit) }, false},
		{"failed and acknowledged", func(s *story) {
			s.ran("disk", 1, checks.Crit)
			s.must("disk", 0, runbooks.ItemAcknowledged{})
		}, false},
		{"failed and overridden", func(s *story) {
			s.ran("disk", 1, checks.Crit)
			s.must("disk", 0, runbooks.ItemOverridden{Reason: "known", Until: s.now.Add(time.Hour)})
		}, true},
		{"override expired", func(s *story) {
			s.ran("disk", 1, checks.Crit)
			s.must("disk", 0, runbooks.ItemOverridden{Reason: "known", Until: s.now.Add(time.Minute)})
			s.now = s.now.Add(time.Hour)
		}, false},
		{"override of an earlier attempt", func(s *story) {
			s.ran("disk", 1, checks.Crit)
			s.must("disk", 0, runbooks.ItemOverridden{Reason: "known", Until: s.now.Add(time.Hour)})
			s.ran("disk", 2, checks.Crit)
		}, false},
		{"unknown", func(s *story) { s.ran("disk", 1, checks.Unknown) }, false},
		{"not applicable", func(s *story) { s.ran("disk", 1, checks.Skipped) }, true},
		{"skipped", func(s *story) { s.must("disk", 0, runbooks.ItemSkipped{Reason: "no time"}) }, false},
		{"interrupted", func(s *story) {
			s.must("disk", 1, runbooks.CheckStarted{})
			s.must("disk", 1, runbooks.ItemInterrupted{Reason: "gone"})
		}, false},
	} {
		s := newStory(t)
		c.do(s)
		err := s.run.Ready("backup", s.now)
		if (err == nil) != c.open {
			t.Errorf("%s: ready says %v", c.name, err)
		}
		computed := s.run.Computed("backup", s.now)
		if computed.Ready != c.open || (computed.Blocked == "") != c.open {
			t.Errorf("%s: computed %+v", c.name, computed)
		}
	}
}

func TestAFreshnessDemandMakesAnOldResultStale(t *testing.T) {
	s := newStory(t)
	s.ran("disk", 1, checks.OK)
	s.ran("backup", 1, checks.OK)
	if err := s.run.Ready("restore", s.now.Add(59*time.Minute)); err != nil {
		t.Error(err)
	}
	later := s.now.Add(61 * time.Minute)
	if err := s.run.Ready("restore", later); err == nil {
		t.Error("an old backup opens the gate")
	}
	if got := s.run.Computed("backup", later).Stale; got != "restore" {
		t.Errorf("backup is stale for %q", got)
	}
	if got := s.run.Computed("disk", later).Stale; got != "" {
		t.Errorf("disk is stale for %q, and nobody demands its freshness", got)
	}
}

func TestEarlierAttemptsAreKept(t *testing.T) {
	s := newStory(t)
	s.ran("disk", 1, checks.Crit)
	s.must("disk", 0, runbooks.ItemAcknowledged{Note: "seen"})
	before := s.run
	s.ran("disk", 2, checks.OK)
	it, _ := s.run.Item("disk")
	if it.Attempts.Len() != 2 || it.Attempts.At(0).State != runbooks.Failed || it.Attempts.At(1).State != runbooks.Passed || it.Ack != nil {
		t.Errorf("got %+v", it)
	}
	if old, _ := before.Item("disk"); old.State != runbooks.Failed || old.Attempts.Len() != 1 || old.Ack == nil {
		t.Errorf("an older run was changed: %+v", old)
	}
}

func TestALateResultIsEvidenceAndChangesNoState(t *testing.T) {
	s := newStory(t)
	s.must("disk", 1, runbooks.CheckStarted{})
	s.must("disk", 1, runbooks.ItemInterrupted{Reason: "the session was closed"})
	s.must("disk", 0, runbooks.ItemSkipped{Reason: "later"})
	s.must("disk", 1, runbooks.CheckFinished{Result: result(checks.OK, s.now)})
	s.state("disk", runbooks.Skipped)
	it, _ := s.run.Item("disk")
	if it.Late.Len() != 1 || it.Late.At(0).Result.Level != checks.OK {
		t.Errorf("the late result was lost: %+v", it)
	}
	s.must("", 0, runbooks.RunAborted{Reason: "enough"})
	s.must("disk", 1, runbooks.CheckFinished{Result: result(checks.OK, s.now)})
	s.refused("disk", 2, runbooks.CheckFinished{Result: result(checks.OK, s.now)})
}

func TestAResultAfterTheRunEndedIsLate(t *testing.T) {
	s := newStory(t)
	s.must("disk", 1, runbooks.CheckStarted{})
	s.must("", 0, runbooks.RunExpired{Period: "2026-11-24"})
	s.must("disk", 1, runbooks.CheckFinished{Result: result(checks.OK, s.now)})
	s.state("disk", runbooks.Running)
	if it, _ := s.run.Item("disk"); it.Late.Len() != 1 {
		t.Errorf("the late result was lost: %+v", it)
	}
}

func TestIllegalTransitionsAreRefused(t *testing.T) {
	s := newStory(t)
	s.refused("", 0, runbooks.RunOpened{})
	s.refused("nothing", 1, runbooks.CheckStarted{})
	s.refused("look", 1, runbooks.CheckStarted{})
	s.refused("restore", 1, runbooks.CheckStarted{})
	s.refused("disk", 2, runbooks.CheckStarted{})
	s.refused("disk", 1, runbooks.ItemConfirmed{Level: checks.OK})
	s.refused("go", 1, runbooks.ItemDecided{Option: "maybe"})
	s.refused("disk", 0, runbooks.ItemAcknowledged{})
	s.refused("disk", 0, runbooks.ItemOverridden{Reason: "x", Until: s.now.Add(time.Hour)})
	s.refused("disk", 0, runbooks.ItemSkipped{})
	s.refused("disk", 0, runbooks.ItemRetried{})
	s.refused("disk", 0, runbooks.Signed{})
	s.refused("", 0, runbooks.ItemSkipped{Reason: "x"})
	s.refused("", 0, runbooks.RunClosed{State: runbooks.Completed})
	s.refused("", 0, runbooks.RunAborted{})
	s.ran("disk", 1, checks.Unknown)
	s.refused("disk", 0, runbooks.ItemOverridden{Reason: "what is unknown cannot be overridden", Until: s.now.Add(time.Hour)})
	s.ran("disk", 2, checks.Crit)
	s.refused("disk", 0, runbooks.ItemOverridden{Reason: "for ever"})
	s.must("disk", 0, runbooks.Signed{Role: "oncall"})
	s.refused("disk", 0, runbooks.Signed{Role: "oncall again"})
	s.must("", 0, runbooks.RunSuspended{})
	s.refused("", 0, runbooks.RunSuspended{})
	if err := s.run.Ready("backup", s.now); err == nil {
		t.Error("items of a suspended run are ready")
	}
}

func TestARunIsCompletedByItsItems(t *testing.T) {
	finish := func(s *story, last func()) runbooks.RunState {
		s.t.Helper()
		s.ran("disk", 1, checks.Warn)
		s.ran("backup", 1, checks.Skipped)
		s.must("errors", 1, runbooks.ItemConfirmed{Level: checks.OK, Evidence: map[string]string{"count": "3"}})
		s.must("look", 1, runbooks.ItemConfirmed{Level: checks.OK})
		s.must("go", 1, runbooks.ItemDecided{Option: "go", Not: []string{"wait"}})
		s.refused("", 0, runbooks.RunClosed{State: runbooks.Completed})
		last()
		s.must("", 0, runbooks.RunClosed{State: s.run.Outcome()})
		return s.run.State
	}
	s := newStory(t)
	if got := finish(s, func() { s.must("restore", 0, runbooks.ItemSkipped{Reason: "needs the window"}) }); got != runbooks.CompletedWithExceptions {
		t.Errorf("a skipped item gives %s", got)
	}
	s = newStory(t)
	if got := finish(s, func() { s.must("restore", 1, runbooks.ItemNotApplicable{Reason: "no verify server"}) }); got != runbooks.Completed {
		t.Errorf("warned and not applicable items give %s", got)
	}
	if s.run.Level() != checks.Warn {
		t.Errorf("its level is %s", s.run.Level())
	}
	if p := s.run.Progress(s.now); p.Decided != 6 || p.ByState[runbooks.Passed] != 3 {
		t.Errorf("progress %+v", p)
	}
}

func TestOverdueHoldsForWhatIsNotDone(t *testing.T) {
	s := newStory(t)
	s.ran("disk", 1, checks.OK)
	late := noon.Add(5 * time.Hour)
	if s.run.Computed("disk", late).Overdue || !s.run.Computed("look", late).Overdue || s.run.Computed("look", noon).Overdue {
		t.Error("overdue is wrong")
	}
	if s.run.Level() != checks.Unknown {
		t.Error("pending items do not make the run unknown")
	}
}

// anyPayload draws an event of any kind, legal or not.
func anyPayload(t *rapid.T, at time.Time) runbooks.Payload {
	reason := rapid.SampledFrom([]string{"", "because"}).Draw(t, "reason")
	level := rapid.SampledFrom(checks.Levels()).Draw(t, "level")
	until := rapid.SampledFrom([]time.Time{{}, at.Add(-time.Hour), at.Add(time.Hour)}).Draw(t, "until")
	return rapid.SampledFrom([]runbooks.Payload{
		runbooks.CheckStarted{Module: "sys.disk"}, runbooks.CheckFinished{Result: result(level, at)},
		runbooks.CheckStarted{Module: "sys.disk"}, runbooks.CheckFinished{Result: result(level, at)},
		runbooks.ItemConfirmed{Level: level, Evidence: map[string]string{"count": "3"}}, runbooks.ItemDecided{Option: "go"},
		runbooks.ItemSkipped{Reason: reason, Until: until}, runbooks.ItemAcknowledged{Note: reason},
		runbooks.ItemOverridden{Reason: reason, Until: until}, runbooks.ItemRetried{}, runbooks.ItemNotApplicable{Reason: reason},
		runbooks.ItemInterrupted{Reason: reason}, runbooks.Noted{Text: reason}, runbooks.Signed{Role: reason}, runbooks.Attached{Title: "sessions", Seen: at, Text: reason},
		runbooks.RunSuspended{}, runbooks.RunResumed{}, runbooks.RunTakenOver{From: ada},
		runbooks.RunClosed{State: rapid.SampledFrom(runbooks.RunStates()).Draw(t, "state")},
		runbooks.RunAborted{Reason: reason}, runbooks.RunExpired{Period: "2026-11-24"},
	}).Draw(t, "payload")
}

// TestAnySequenceOfEventsKeepsTheRunLawful drives a run with random events:
// refused ones change nothing, accepted ones lead to listed states only,
// folding the accepted events again gives the same run, also after a trip
// through JSON, and no older run is touched.
func TestAnySequenceOfEventsKeepsTheRunLawful(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var run runbooks.Run
		var accepted []runbooks.Event
		at := noon
		step := func(e runbooks.Event) {
			before, frozen := run, freeze(t, run)
			next, err := run.Apply(e)
			if diff := cmp.Diff(frozen, freeze(t, before)); diff != "" {
				t.Fatalf("applying %s changed the older run:\n%s", e.Kind, diff)
			}
			if err != nil {
				if diff := cmp.Diff(frozen, freeze(t, next)); diff != "" {
					t.Fatalf("a refused %s changed the run:\n%s", e.Kind, diff)
				}
				return
			}
			e.Seq = uint64(len(accepted) + 1)
			run, accepted = next, append(accepted, e)
			run.Seq = e.Seq
			lawful(t, before, run, e)
		}
		step(newEvent(t, at, "", 0, runbooks.RunOpened{Site: "lms", Runbook: "daily", Section: "daily", Steps: steps}))
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			at = at.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
			item := rapid.SampledFrom([]string{"", "disk", "disk", "backup", "restore", "errors", "look", "go", "nothing"}).Draw(t, "item")
			attempt := 0
			if it, ok := run.Item(item); ok {
				attempt = it.Attempts.Len() + rapid.IntRange(-1, 1).Draw(t, "attempt")
			}
			step(newEvent(t, at, item, attempt, anyPayload(t, at)))
		}
		folded, err := runbooks.Fold(throughJSON(t, accepted))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(freeze(t, run), freeze(t, folded)); diff != "" {
			t.Fatalf("folding the events again gives another run:\n%s", diff)
		}
	})
}

func newEvent(t *rapid.T, at time.Time, item string, attempt int, p runbooks.Payload) runbooks.Event {
	e, err := runbooks.NewEvent(at, rapid.SampledFrom([]runbooks.Actor{ada, bob}).Draw(t, "actor"), "run-1", item, attempt, p)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// lawful checks what must hold after every accepted event.
func lawful(t *rapid.T, before, run runbooks.Run, e runbooks.Event) {
	if !slices.Contains(runbooks.RunStates(), run.State) {
		t.Fatalf("the run is %q", run.State)
	}
	if before.State.Ended() && before.ID != "" && run.State != before.State {
		t.Fatalf("a run that was %s became %s", before.State, run.State)
	}
	for i, it := range run.Items {
		if !slices.Contains(runbooks.States(), it.State) {
			t.Fatalf("%s is %q", it.ID, it.State)
		}
		if it.Kind == runbooks.Action && (it.State == runbooks.Passed || it.State == runbooks.Running) {
			t.Fatalf("the action %s is %s after %s", it.ID, it.State, e.Kind)
		}
		if a, ok := it.Latest(); it.State == runbooks.Passed && (!ok || a.State != runbooks.Passed) {
			t.Fatalf("%s passed without an attempt that did", it.ID)
		}
		if it.Override != nil && it.State != runbooks.Failed {
			t.Fatalf("%s is %s and overridden", it.ID, it.State)
		}
		if len(before.Items) > 0 && it.Attempts.Len() < before.Items[i].Attempts.Len() {
			t.Fatalf("%s lost an attempt", it.ID)
		}
	}
}

func freeze(t *rapid.T, run runbooks.Run) string {
	raw, err := json.MarshalIndent(run, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func throughJSON(t *rapid.T, events []runbooks.Event) []runbooks.Event {
	var back []runbooks.Event
	for _, e := range events {
		raw, err := e.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		var decoded runbooks.Event
		if err := json.Unmarshal(raw, &decoded); err != nil {
			t.Fatal(err)
		}
		again, err := decoded.Canonical()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("%s became %s (%v)", raw, again, err)
		}
		back = append(back, decoded)
	}
	return back
}

// TestAWayBackBelongsToTheDecisionForIt: an item that leaving a run offers and a
// decision leads to has to be done if that was decided, and else does not apply.
func TestAWayBackBelongsToTheDecisionForIt(t *testing.T) {
	for choice, want := range map[string]bool{"open": true, "back": false, "": true} {
		run := runbooks.Run{ID: "r", State: runbooks.Open, Opened: runbooks.RunOpened{Abort: []string{"put-back"}}, Items: []runbooks.ItemRun{
			{Step: runbooks.Step{ID: "go", Kind: runbooks.Decide, Options: []runbooks.Option{{Name: "open"}, {Name: "back", Item: "put-back"}}}, Choice: choice},
			{Step: runbooks.Step{ID: "put-back", Kind: runbooks.Confirm}, State: runbooks.Pending},
		}}
		if got := run.OnlyToAbort("put-back"); got != want {
			t.Errorf("decided %q: only to abort is %v", choice, got)
		}
	}
}
