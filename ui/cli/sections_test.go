package cli_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// ofTheHost are the families whose actions work at the host itself, or at what
// it does for everybody: a test looks at their previews and takes them back.
var ofTheHost = []string{"host.", "pkg.", "systemd.", "logrotate.", "npm.", "compose.", "docker."}

// TestEveryShippedSectionRunsToItsEndOnTheSandbox walks all that is shipped,
// the window apart, which has a walk of its own: checks run, actions are
// previewed and done where the sandbox is what they work at, questions are
// answered, holds are looked at once, and the run is finished.
func TestEveryShippedSectionRunsToItsEndOnTheSandbox(t *testing.T) {
	if testing.Short() {
		t.Skip("walks thirty sections")
	}
	site, _ := headlessDemo(t)
	for _, book := range shelf(t).Runbooks {
		for _, section := range book.Sections {
			if section.ID == "window" {
				continue
			}
			t.Run(section.ID, func(t *testing.T) {
				w := walker{t, openAt(t, site, book.Runbook, section.ID)}
				w.walk()
				w.ended()
			})
		}
	}
}

// walk goes on until every item is decided.
func (w walker) walk() {
	w.t.Helper()
	for range 3 * len(w.s.Section().Items) {
		if err := w.s.StartAll(); err != nil && !errors.Is(err, runbooks.ErrAllDone) && !strings.Contains(err.Error(), "needs") {
			w.t.Fatal(err)
		}
		w.atRest()
		it, ok := w.next()
		if !ok {
			return
		}
		w.deal(it)
		w.atRest()
	}
	w.t.Fatal("the section has no end")
}

// atRest waits until nothing runs.
func (w walker) atRest() {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		busy := ""
		for _, it := range w.s.Run().Items {
			if it.Kind != runbooks.Hold && (it.State == runbooks.Running || it.State == runbooks.Cancelling) {
				busy = it.ID
			}
		}
		if busy == "" {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s does not end", busy)
		}
	}
}

// next is the first item that waits for a person and could be dealt with; if
// all of them wait for another, the first of those.
func (w walker) next() (runbooks.ItemRun, bool) {
	var waiting runbooks.ItemRun
	found := false
	for _, it := range w.s.Run().Items {
		if it.State.Decided() || it.Kind == runbooks.Check && it.State == runbooks.Running {
			continue
		}
		if w.s.Run().Ready(it.ID, time.Now()) == nil {
			return it, true
		}
		if !found {
			waiting, found = it, true
		}
	}
	return waiting, found
}

// deal answers an item, does it, or leaves it out with the reason.
func (w walker) deal(it runbooks.ItemRun) {
	w.t.Helper()
	if err := w.s.Run().Ready(it.ID, time.Now()); err != nil {
		w.must(w.s.Skip(it.ID, "not on this day: "+err.Error(), time.Time{}))
		return
	}
	item, _ := w.s.Section().Item(it.ID)
	switch it.Kind {
	case runbooks.Action:
		w.act(it)
	case runbooks.Hold:
		w.must(w.s.Start(it.ID))
		until(w.t, it.ID+" has looked once", func() bool {
			now, a := w.item(it.ID)
			return now.State.Decided() || a.Hold != nil && a.Hold.Samples > 0
		})
		if now, _ := w.item(it.ID); !now.State.Decided() {
			w.must(w.s.Cancel(it.ID, "long for a test"))
			w.decided(it.ID)
		}
	case runbooks.Decide:
		w.must(w.s.Decide(it.ID, it.Options[0].Name))
	case runbooks.Check:
		w.must(w.s.Skip(it.ID, "it did not begin by itself", time.Time{}))
	default:
		w.must(w.s.Confirm(it.ID, answers(item)))
	}
	w.allow(it.ID)
}

// allow lets the rest go on over an item that failed. What could not be found
// out is not overridden: what needs it is left out.
func (w walker) allow(id string) {
	if it, _ := w.item(id); it.State == runbooks.Failed {
		w.must(w.s.Override(id, "on the sandbox", time.Now().Add(time.Hour)))
	}
}

func answers(item runbooks.Item) map[string]string {
	given := map[string]string{}
	for _, f := range item.Evidence {
		given[f.Name] = map[runbooks.FieldType]string{
			runbooks.TimeField: time.Now().UTC().Format(time.RFC3339), runbooks.URLField: "https://tickets.example.com/1",
			runbooks.TextField: "the test", runbooks.NumberField: "0", runbooks.BoolField: "yes",
		}[f.Type]
	}
	return given
}

// act previews an action and, where the sandbox is what it works at and one
// person may, does it.
func (w walker) act(it runbooks.ItemRun) {
	w.t.Helper()
	if err := w.s.Arm(w.t.Context(), it.ID); err != nil {
		w.must(w.s.Skip(it.ID, "it may not begin: "+err.Error(), time.Time{}))
		return
	}
	now, a := w.item(it.ID)
	if now.State != runbooks.Armed {
		return // refused, or nothing to do here: decided either way
	}
	why := ""
	for _, family := range ofTheHost {
		if strings.HasPrefix(it.Use, family) {
			why = "not on the host of a test"
		}
	}
	if a.Armed.Signers > 0 {
		why = "needs a second person"
	}
	if why != "" {
		w.must(w.s.Disarm(it.ID, why))
		w.must(w.s.Skip(it.ID, why, time.Time{}))
		return
	}
	w.must(w.s.Approve(it.ID, a.Armed.Preview.Target, a.Armed.Hash))
	w.atRest()
	if now, a := w.item(it.ID); now.State == runbooks.Failed || now.State == runbooks.Errored || now.State == runbooks.Interrupted {
		w.t.Errorf("%s is %s: %+v %+v", it.ID, now.State, a.Outcome, a.Verified)
	}
}

// ended finishes the run and holds what it found to be findings.
func (w walker) ended() {
	w.t.Helper()
	w.must(w.s.Finish(""))
	run := w.s.Run()
	if !run.State.Ended() {
		w.t.Errorf("the run is %s", run.State)
	}
	for _, it := range run.Items {
		a, _ := it.Latest()
		note := a.Reason
		if a.Result != nil {
			note = a.Result.Note + " " + a.Result.Err
			if a.Result.Class == checks.Internal {
				w.t.Errorf("%s: a bug: %s", it.ID, a.Result.Err)
			}
		}
		w.t.Logf("%-14s %-24s %-22s %s", it.State, it.ID, it.Use, note)
	}
}
