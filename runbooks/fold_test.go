package runbooks_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// mixed are steps of every kind that random events are about.
var mixed = append(steps[:len(steps):len(steps)],
	runbooks.Step{ID: "tidy", Kind: runbooks.Action, Undo: "untidy"}, runbooks.Step{ID: "untidy", Kind: runbooks.Action},
	runbooks.Step{ID: "wait", Kind: runbooks.Hold})

// moreOf draws an event of an action, a hold or a clock.
func moreOf(t *rapid.T, at time.Time) runbooks.Payload {
	level := rapid.SampledFrom(checks.Levels()).Draw(t, "level of action")
	seen := result(level, at)
	armed := runbooks.ActionArmed{Module: "cmd.run", Danger: 1, Preview: checks.Result{Target: "lms", Level: checks.OK, At: at}, Hash: runbooks.Hash{1}}
	return rapid.SampledFrom([]runbooks.Payload{
		armed, runbooks.ActionDisarmed{Reason: "later"}, runbooks.ActionRefused{Result: seen}, runbooks.ActionBarred{Reason: "outside"},
		runbooks.ActionConfirmed{Preview: runbooks.Hash{1}}, runbooks.ActionClaimed{Locks: []string{"a"}},
		runbooks.ActionIntended{Token: "opsdeck/1", Step: "s"}, runbooks.ActionStarted{PID: 42}, runbooks.ActionFinished{Result: seen, Took: time.Second},
		runbooks.ActionVerified{Result: seen}, runbooks.ItemCancelling{Reason: "enough"}, runbooks.ItemCancelled{Reason: "enough"},
		runbooks.ItemInterrupted{Reason: "gone"}, runbooks.ItemProbed{Result: seen}, runbooks.ItemResolved{Level: level, Evidence: "seen"},
		runbooks.ItemRolledBack{By: "untidy"}, runbooks.HoldStarted{Until: at.Add(time.Hour)}, runbooks.HoldSampled{Results: []checks.Result{seen}},
		runbooks.HoldEnded{Level: level, Reason: "over"}, runbooks.ClockJumped{By: time.Minute}, runbooks.DriverLeft{Items: []string{"tidy"}},
		runbooks.DriverReturned{}, runbooks.RunAborting{Reason: "enough"},
	}).Draw(t, "payload of action")
}

// anyRun draws the accepted events of a run of every kind of item, as a
// journal would give them back.
func anyRun(t *rapid.T) []runbooks.Event {
	var run runbooks.Run
	var accepted []runbooks.Event
	at := noon
	step := func(item string, attempt int, p runbooks.Payload) {
		e := newEvent(t, at, item, attempt, p)
		e.Seq = uint64(len(accepted) + 1)
		if next, err := run.Apply(e); err == nil {
			run, accepted = next, append(accepted, e)
		}
	}
	step("", 0, runbooks.RunOpened{Site: "lms", Runbook: "daily", Section: "daily", Steps: mixed})
	for range rapid.IntRange(1, 120).Draw(t, "events") {
		at = at.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
		item := rapid.SampledFrom([]string{"", "disk", "disk", "tidy", "tidy", "tidy", "untidy", "wait", "wait", "errors", "look", "go"}).Draw(t, "item")
		attempt, payload := 0, anyPayload
		if it, ok := run.Item(item); ok {
			attempt = it.Attempts.Len() + rapid.SampledFrom([]int{0, 0, 0, 1, 1, -1}).Draw(t, "attempt")
		}
		if item == "tidy" || item == "untidy" || item == "wait" || item == "" && rapid.Bool().Draw(t, "more") {
			payload = moreOf
		}
		step(item, attempt, payload(t, at))
	}
	return throughJSON(t, accepted)
}

// TestGoingOnIsFoldingFromTheStart: a folder that is asked after any event has
// what folding all events from the start gives, and what it handed out before
// does not change. Folded in brief, the states are the same.
func TestGoingOnIsFoldingFromTheStart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := anyRun(t)
		var folder runbooks.Folder
		inBrief := runbooks.Folder{Brief: true}
		var handedOut []runbooks.Run
		var frozen []string
		for n, e := range events {
			folder.Add(e)
			inBrief.Add(e)
			if rapid.IntRange(0, 3).Draw(t, "ask") > 0 && n < len(events)-1 {
				continue
			}
			runs, err := folder.Runs()
			if err != nil || len(runs) != 1 {
				t.Fatalf("%d runs after %d events: %v", len(runs), n+1, err)
			}
			afresh, err := runbooks.Fold(events[:n+1])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(freeze(t, afresh), freeze(t, runs[0])); diff != "" {
				t.Fatalf("after %d events:\n%s", n+1, diff)
			}
			shortly, err := inBrief.Runs()
			if err != nil {
				t.Fatal(err)
			}
			sameStates(t, afresh, shortly[0])
			handedOut, frozen = append(handedOut, runs[0]), append(frozen, freeze(t, runs[0]))
		}
		for i, run := range handedOut {
			if diff := cmp.Diff(frozen[i], freeze(t, run)); diff != "" {
				t.Fatalf("what was handed out changed:\n%s", diff)
			}
		}
	})
}

// TestARecordFoldsOneRunAsFoldDoes, in full; with the newest attempts whole
// and in brief the states are the same, and the newest results are there.
func TestARecordFoldsOneRunAsFoldDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events := anyRun(t)
		record := runbooks.ReadRecord(func(yield func(runbooks.Event, error) bool) {
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		})
		want, err := runbooks.Fold(events)
		if err != nil || record.Fault() != nil {
			t.Fatal(err, record.Fault())
		}
		if (record.Ended(want.ID) != "") != want.State.Ended() {
			t.Fatalf("a run that is %s ended by %q", want.State, record.Ended(want.ID))
		}
		for _, d := range []runbooks.Detail{runbooks.InFull, runbooks.Newest, runbooks.InBrief} {
			got, err := record.Fold(want.ID, d)
			if err != nil {
				t.Fatal(err)
			}
			sameStates(t, want, got)
			if diff := cmp.Diff(freeze(t, want), freeze(t, got)); d == runbooks.InFull && diff != "" {
				t.Fatal(diff)
			}
			for i, it := range got.Items {
				if diff := cmp.Diff(want.Items[i].Result(), it.Result()); d == runbooks.Newest && diff != "" {
					t.Fatal(diff)
				}
			}
		}
	})
}

// sameStates compares what a list shows of two folds.
func sameStates(t *rapid.T, want, got runbooks.Run) {
	if want.State != got.State || want.Reason != got.Reason || want.Level() != got.Level() || want.Driver != got.Driver || !want.ClosedAt.Equal(got.ClosedAt) {
		t.Fatalf("%s %s, want %s %s", got.State, got.Level(), want.State, want.Level())
	}
	for i, it := range got.Items {
		other := want.Items[i]
		if it.State != other.State || it.Attempts.Len() != other.Attempts.Len() || it.Choice != other.Choice || (it.Override == nil) != (other.Override == nil) {
			t.Fatalf("%s is %s, want %s", it.ID, it.State, other.State)
		}
		for k := range it.Attempts.Len() {
			a, b := it.Attempts.At(k), other.Attempts.At(k)
			if a.State != b.State || a.Reason != b.Reason || a.Took() != b.Took() || !a.Ended.Equal(b.Ended) {
				t.Fatalf("attempt %d of %s is %s %q, want %s %q", k+1, it.ID, a.State, a.Reason, b.State, b.Reason)
			}
		}
	}
}
