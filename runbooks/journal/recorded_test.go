package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// recordedBy is the journal that an earlier build recorded; see its README.
const recordedBy = "testdata/recorded-by-df5d9bb"

// recordedKinds are the events that the build of df5d9bb knew.
var recordedKinds = strings.Fields(`
	run.opened run.closed run.aborting run.aborted run.expired run.suspended run.resumed run.taken_over
	check.started check.finished
	item.confirmed item.decided item.skipped item.acknowledged item.overridden item.retried item.not_applicable
	item.interrupted item.cancelling item.cancelled item.resolved item.probed item.rolled_back
	noted attached signed driver.left driver.returned window.overridden clock.jumped
	action.armed action.refused action.barred action.disarmed action.confirmed action.claimed action.intent
	action.started action.outcome action.verified
	hold.started hold.sampled hold.ended`)

// recorded is a journal on a copy of what df5d9bb recorded.
func recorded(t *testing.T) *Journal {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"journal.db", "head"} {
		raw, err := os.ReadFile(filepath.Join(recordedBy, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j, err := Open(dir, Holder{User: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestWhatAnEarlierBuildRecordedHasEveryKindOfEvent(t *testing.T) {
	found := map[string]bool{}
	for e, err := range recorded(t).Events() {
		if err != nil {
			t.Fatal(err)
		}
		found[string(e.Kind)] = true
		if _, err := e.Payload(); err != nil {
			t.Error(err)
		}
	}
	for _, kind := range recordedKinds {
		if !found[kind] {
			t.Errorf("no %s", kind)
		}
	}
	if len(recordedKinds) != 43 || len(found) != 43 {
		t.Errorf("%d kinds listed, %d found", len(recordedKinds), len(found))
	}
}

func TestWhatAnEarlierBuildRecordedIsIntactAndFoldsToTheSame(t *testing.T) {
	j := recorded(t)
	if report := Verify(j.Dir(), nil); report.Status != Intact || report.Events != 147 {
		t.Fatalf("%s: %s", report.Status, report.Problem)
	}
	runs, err := runbooks.FoldAll(j.Events())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range runs {
		writeStates(&b, r)
	}
	golden := filepath.Join(recordedBy, "states.txt")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

// TestWhatAnEarlierBuildRecordedIsGoneOnWithAsFoldedAfresh: after each of its
// events the state that went on is the one that a fold from the start gives.
func TestWhatAnEarlierBuildRecordedIsGoneOnWithAsFoldedAfresh(t *testing.T) {
	var goingOn runbooks.Folder
	var events []runbooks.Event
	for e, err := range recorded(t).Events() {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
		goingOn.Add(e)
		got, err := goingOn.Runs()
		if err != nil {
			t.Fatal(err)
		}
		want, err := runbooks.FoldAll(func(yield func(runbooks.Event, error) bool) {
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		var a, b strings.Builder
		for i := range want {
			writeStates(&a, want[i])
			writeStates(&b, got[i])
		}
		if diff := cmp.Diff(a.String(), b.String()); diff != "" {
			t.Fatalf("after event %d:\n%s", e.Seq, diff)
		}
	}
}

func TestAnEarlierBuildsJournalTakesMoreEvents(t *testing.T) {
	j := recorded(t)
	runs, err := runbooks.FoldAll(j.Events())
	if err != nil {
		t.Fatal(err)
	}
	open := runs[slices.IndexFunc(runs, func(r runbooks.Run) bool { return r.State == runbooks.Open })]
	e, err := runbooks.NewEvent(open.Last, open.Driver, open.ID, "", 0, runbooks.Noted{Text: "still here"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(e); err != nil {
		t.Fatal(err)
	}
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
	if report := Verify(j.Dir(), nil); report.Status != Intact || report.Events != 148 {
		t.Errorf("%s: %s", report.Status, report.Problem)
	}
}

// writeStates writes what a run has become: a line for the run, for each item,
// each attempt and each thing that somebody said.
func writeStates(b *strings.Builder, r runbooks.Run) {
	fmt.Fprintf(b, "run %s %s %q opened %s by %s closed %s driven by %s, event %d\n",
		r.ID, r.State, r.Reason, stamp(r.OpenedAt), r.OpenedBy, stamp(r.ClosedAt), r.Driver, r.Seq)
	fmt.Fprintf(b, "  %s/%s/%s period %q level %s hash %s\n", r.Opened.Site, r.Opened.Runbook, r.Opened.Section, r.Opened.Period, r.Level(), r.Opened.Hash)
	said(b, "  ", "note", r.Notes.List()...)
	said(b, "  ", "signed", r.Signatures...)
	frames(b, "  ", r.Exhibits)
	for a := range r.Absences.All() {
		fmt.Fprintf(b, "  away %s %s to %s from %v\n", a.Actor, stamp(a.From), stamp(a.To), a.Items)
	}
	optional(b, "  ", map[string]*runbooks.Remark{"aborting": r.Aborting, "window": r.Window})
	for _, it := range r.Items {
		fmt.Fprintf(b, "  %s %s %s choice %q late %d\n", it.ID, it.Kind, it.State, it.Choice, it.Late.Len())
		optional(b, "    ", map[string]*runbooks.Remark{"acknowledged": it.Ack, "overridden": it.Override, "skipped": it.Skip})
		said(b, "    ", "note", it.Notes.List()...)
		said(b, "    ", "barred", it.Barred.List()...)
		said(b, "    ", "signed", it.Signatures...)
		frames(b, "    ", it.Exhibits)
		for a := range it.Attempts.All() {
			writeAttempt(b, a)
		}
	}
}

func writeAttempt(b *strings.Builder, a runbooks.Attempt) {
	fmt.Fprintf(b, "    %d %s by %s %s to %s took %v %q\n", a.N, a.State, a.Actor, stamp(a.Started), stamp(a.Ended), a.Took(), a.Reason)
	if a.Result != nil {
		fmt.Fprintf(b, "      result %s %s %d facts %q\n", a.Result.Module, a.Result.Level, len(a.Result.Facts), a.Result.Note)
	}
	if len(a.Evidence) > 0 {
		fmt.Fprintf(b, "      evidence %v\n", a.Evidence)
	}
	if a.Armed != nil {
		fmt.Fprintf(b, "      armed danger %d signers %d of %s hash %s\n", a.Armed.Danger, a.Armed.Signers, a.Armed.Preview.Target, a.Armed.Hash)
	}
	said(b, "      ", "signed", a.Signatures...)
	optional(b, "      ", map[string]*runbooks.Remark{"confirmed": a.Confirmed, "resolved": a.Resolved})
	if a.Claim != nil && a.Intent != nil {
		fmt.Fprintf(b, "      claimed %v intended %s in %s\n", a.Claim.Locks, a.Intent.Token, a.Intent.Step)
	}
	if a.Process != nil {
		fmt.Fprintf(b, "      process %d of %d\n", a.Process.PID, a.Process.Start)
	}
	if a.Outcome != nil {
		fmt.Fprintf(b, "      outcome %s cancelled %t output %d left %v\n", a.Outcome.Result.Level, a.Outcome.Cancelled, a.Outcome.Output, a.Outcome.Left)
	}
	if a.Verified != nil {
		fmt.Fprintf(b, "      seen %s %q\n", a.Verified.Level, a.Verified.Note+a.Verified.Err)
	}
	if a.Hold != nil {
		fmt.Fprintf(b, "      watched until %s, %d looks, the worst %s\n", stamp(a.Hold.Until), a.Hold.Samples, a.Hold.Worst)
	}
}

func said(b *strings.Builder, indent, what string, list ...runbooks.Remark) {
	for _, r := range list {
		fmt.Fprintf(b, "%s%s %s %s %q until %s\n", indent, what, stamp(r.At), r.Actor, r.Text, stamp(r.Until))
	}
}

func optional(b *strings.Builder, indent string, remarks map[string]*runbooks.Remark) {
	for _, what := range []string{"acknowledged", "overridden", "skipped", "aborting", "window", "confirmed", "resolved"} {
		if r := remarks[what]; r != nil {
			said(b, indent, what, *r)
		}
	}
}

func frames(b *strings.Builder, indent string, list []runbooks.Exhibit) {
	for _, e := range list {
		fmt.Fprintf(b, "%sframe %s %s %q %q\n", indent, stamp(e.At), e.Actor, e.Title, e.Text)
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
