package checklist_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/incident"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

// propose asks for the scene's action, as another pane would.
func (pl *player) propose() {
	pl.t.Helper()
	pl.run(pl.p.(pane.Recorder).Propose(pane.ProposeMsg{Use: "pg.set", Title: "turn the log down"}))
}

// runs are those that the desk's record holds.
func (pl *player) runs() []runbooks.Run {
	pl.t.Helper()
	runs, err := runbooks.FoldAll(pl.desk.Events())
	if err != nil {
		pl.t.Fatal(err)
	}
	return runs
}

func TestAProposedActionIsPreviewedConfirmedAndRecordedAsARunOfItsOwn(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.propose()
		contains(t, pl.overlay(), "advanced_lms_prod")
		pl.press("y")
		time.Sleep(time.Second)
		pl.run(nil)
		runs := pl.runs()
		if len(runs) != 1 || runs[0].State != runbooks.Completed || runs[0].Opened.Runbook != runbooks.AdHocBook {
			t.Fatalf("the record has %+v", runs)
		}
		it, _ := runs[0].Item(runbooks.AdHocItem)
		if it.State != runbooks.Passed || it.Title != "turn the log down" {
			t.Errorf("the item is %s: %s", it.State, it.Title)
		}
	})
}

// A second proposal may be opened below the preview of the first.
func TestAPreviewIsOfItsOwnRunAndNoOther(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.propose()
		first := pl.overlays
		pl.run(pl.p.(pane.Recorder).Propose(pane.ProposeMsg{Use: "pg.set", Title: "turn the log up"}))
		pl.overlays = first
		contains(t, pl.overlay(), "another run is open by now")
		pl.press("y")
		pl.said("another run is open by now")
		for e, err := range pl.desk.Events() {
			if err != nil || e.Kind == (runbooks.ActionConfirmed{}).Kind() {
				t.Errorf("%s %s: %v", e.Kind, e.Item, err)
			}
		}
	})
}

func TestAProposedActionThatIsTakenBackLeavesNoOpenRun(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.propose()
		pl.press("d")
		if runs := pl.runs(); len(runs) != 1 || runs[0].State != runbooks.Aborted || !strings.Contains(runs[0].Reason, "nothing was done") {
			t.Errorf("the record has %+v", runs)
		}
	})
}

func TestAProposedActionThatIsRefusedSaysWhyAndLeavesNoOpenRun(t *testing.T) {
	desk := incident.NewDesk()
	desk.Refuses = "pid 4711 is gone"
	play(t, desk, func(pl *player) {
		pl.propose()
		pl.said("pid 4711 is gone")
		if runs := pl.runs(); len(runs) != 1 || runs[0].State != runbooks.Aborted {
			t.Errorf("the record has %+v", runs)
		}
	})
}

func TestAProposalThatCannotBeOpenedIsSaid(t *testing.T) {
	desk := incident.NewDesk()
	desk.Fail = errors.New("the journal is on a network file system")
	play(t, desk, func(pl *player) {
		pl.propose()
		pl.said("the journal is on a network file system")
	})
}

func TestAFrameIsAttachedToTheItemAtHand(t *testing.T) {
	frame := pane.AttachMsg{Title: "database: blocking tree", Seen: incident.Night, Text: "4411 lms-worker\n  4502 lms-api"}
	play(t, incident.NewDesk(), func(pl *player) {
		pl.run(pl.p.(pane.Recorder).Attach(frame))
		pl.said("no run is open")
	})
	play(t, incident.NewDesk(), func(pl *player) {
		pl.begin()
		pl.on("Which disk")
		pl.run(pl.p.(pane.Recorder).Attach(frame))
		pl.said("attached to Which disk is full")
		it, _ := pl.runs()[0].Item("which")
		if len(it.Exhibits) != 1 || it.Exhibits[0].Text != frame.Text || it.Exhibits[0].Title != frame.Title || !it.Exhibits[0].Seen.Equal(incident.Night) {
			t.Fatalf("the record has %+v", it.Exhibits)
		}
		pl.press("enter")
		contains(t, pl.overlay(), "4502 lms-api")
	})
}
