package checklist_test

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/incident"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// acting opens the run of a desk with the cursor on its action.
func acting(t *testing.T, desk *incident.Desk, do func(*player)) {
	t.Helper()
	desk.Loose = true
	play(t, desk, func(pl *player) {
		pl.begin()
		pl.on("log_statement back")
		do(pl)
	})
}

// overlay is what the overlay on top shows.
func (pl *player) overlay() string {
	pl.t.Helper()
	if len(pl.overlays) == 0 {
		pl.t.Fatal("there is no overlay")
	}
	th := newTheme(theme.Options{ASCII: true})
	return ansi.Strip(pl.overlays[len(pl.overlays)-1].View(pane.Frame{W: 100, H: 60, Theme: th, Now: pl.now()}))
}

func contains(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestAnActionIsShownBeforeItIsDone(t *testing.T) {
	acting(t, incident.NewDesk(), func(pl *player) {
		pl.press("x")
		for _, want := range []string{"advanced_lms_prod", "careful: 2 sessions", "log_statement", "danger", "7312/16384@db1", "41"} {
			contains(t, pl.overlay(), want)
		}
		if got := pl.state("reset"); got != runbooks.Armed {
			t.Fatalf("the item is %s", got)
		}
		pl.press("enter", "x", " ", "n")
		if got := pl.state("reset"); got != runbooks.Armed {
			t.Errorf("a key that is not y made it %s", got)
		}
		pl.press("y")
		time.Sleep(time.Second)
		pl.run(nil)
		if got := pl.state("reset"); got != runbooks.Passed {
			t.Errorf("the item is %s", got)
		}
		pl.press("enter")
		for _, want := range []string{"confirmed", "as opsdeck/k3vq", "ALTER SYSTEM", "from outside"} {
			contains(t, pl.overlay(), want)
		}
	})
}

func TestDangerTwoWantsTheNameTyped(t *testing.T) {
	desk := incident.NewDesk()
	desk.Danger = 2
	acting(t, desk, func(pl *player) {
		pl.press("x", "y")
		confirm := pl.overlays[len(pl.overlays)-1].(*pane.Confirm)
		if confirm.Word != "advanced_lms_prod" {
			t.Fatalf("it asks for %q", confirm.Word)
		}
		pl.press("y", "enter")
		if got := pl.state("reset"); got != runbooks.Armed {
			t.Errorf("a letter made it %s", got)
		}
		pl.press("esc", "x", "y")
		pl.write("advanced_lms_prod")
		time.Sleep(time.Second)
		pl.run(nil)
		if got := pl.state("reset"); got != runbooks.Passed {
			t.Errorf("the item is %s", got)
		}
	})
}

func TestDangerThreeWantsASecondPerson(t *testing.T) {
	desk := incident.NewDesk()
	desk.Danger = 3
	acting(t, desk, func(pl *player) {
		pl.press("x")
		contains(t, pl.overlay(), "0 of 1 by another login")
		pl.press("S")
		pl.write("dba")
		pl.said("another person signs")
		pl.press("x", "y")
		pl.write("advanced_lms_prod")
		pl.said("a second person must sign first")
		if got := pl.state("reset"); got != runbooks.Armed {
			t.Errorf("the item is %s", got)
		}
	})
}

func TestARunningActionIsSeenAndCanBeCancelled(t *testing.T) {
	desk := incident.NewDesk()
	desk.Wait = map[string]int{"pg.set": 60}
	acting(t, desk, func(pl *player) {
		pl.press("x", "y")
		for range 6 {
			time.Sleep(time.Second)
			pl.run(nil)
		}
		pl.shows("reloading 50 %")
		pl.press("enter")
		contains(t, pl.overlay(), "reloading backend 3")
		pl.press("esc", "C")
		pl.write("it takes too long")
		time.Sleep(time.Second)
		pl.run(nil)
		if got := pl.state("reset"); got != runbooks.Cancelled {
			t.Errorf("the item is %s", got)
		}
	})
}

func TestWhatNobodySawIsResolvedByLooking(t *testing.T) {
	desk := incident.NewDesk()
	desk.Wait, desk.Blind = map[string]int{"pg.set": 60}, true
	acting(t, desk, func(pl *player) {
		pl.press("x", "y")
		desk.Dies.Store(true)
		time.Sleep(time.Second)
		pl.run(nil)
		pl.shows("outcome unknown, verify")
		pl.press("x")
		pl.said("v looks again, R says what you found")
		pl.press("R")
		pl.write("perhaps", "")
		pl.press("esc", "R")
		pl.write("yes", "SHOW log_statement says none")
		if got := pl.state("reset"); got != runbooks.Passed {
			t.Errorf("the item is %s", got)
		}
	})
}

func TestAnActionThatCannotBeginSaysWhy(t *testing.T) {
	desk := incident.NewDesk()
	desk.Refuses = "it is a standby"
	acting(t, desk, func(pl *player) {
		pl.press("x")
		pl.said("it cannot be begun: it is a standby")
	})
	desk = incident.NewDesk()
	desk.MayNot = "opsdeck.yaml can be changed by others"
	acting(t, desk, func(pl *player) {
		pl.press("x")
		pl.said("opsdeck.yaml can be changed by others")
	})
}

func TestThePreviewLooksAsRecorded(t *testing.T) {
	desk := incident.NewDesk()
	desk.Danger, desk.Wait = 3, map[string]int{"pg.set": 60}
	acting(t, desk, func(pl *player) {
		pl.press("x")
		golden(t, "preview-80x24.txt", pl.screen(80, 24))
		golden(t, "preview-120x40.txt", pl.screen(120, 40))
	})
	desk = incident.NewDesk()
	desk.Wait = map[string]int{"pg.set": 60}
	acting(t, desk, func(pl *player) {
		pl.press("x", "y")
		for range 4 {
			time.Sleep(time.Second)
			pl.run(nil)
		}
		golden(t, "acting-120x30.txt", pl.screen(120, 30))
		pl.press("enter")
		golden(t, "acting-page-120x40.txt", pl.screen(120, 40))
	})
}

// TestNoSizeBreaksThePreview: a terminal that is resized from nothing to large
// while a preview is open.
func TestNoSizeBreaksThePreview(t *testing.T) {
	acting(t, incident.NewDesk(), func(pl *player) {
		pl.press("x")
		top := pl.overlays[len(pl.overlays)-1]
		for w := 20; w <= 300; w += 7 { // what is narrower is cut by the deck
			for h := 2; h <= 100; h += 3 {
				f := pane.Frame{W: w, H: h, Focused: true, Theme: newTheme(theme.Options{}), Now: pl.now()}
				for i, line := range strings.Split(top.View(f), "\n") {
					if i >= max(1, h) || pane.Width(line) > w {
						t.Fatalf("at %dx%d line %d is %d wide: %q", w, h, i, pane.Width(line), line)
					}
				}
			}
		}
	})
}
