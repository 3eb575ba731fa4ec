package runbooks

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// WindowGate is nil if the window lets the action begin now. Actions of a
// section that requires in_window begin inside it and before its abort point,
// or under an override; what leads out of a run, and what its block excepts
// with "window: any", begins at any time.
func WindowGate(run Run, section Section, window *civil.Window, it Item, now time.Time) error {
	if !section.InWindow() || it.AnyTime || window == nil || run.LeadsOut(it.ID) || !run.Window.Expired(now) {
		return nil
	}
	opening, inside := window.At(now)
	switch {
	case !inside:
		return &NotReadyError{Item: it.ID, Outside: true, Why: "outside the window" + opens(window.Next(now)) + "; an override needs a reason"}
	case !now.Before(opening.Abort):
		return &NotReadyError{Item: it.ID, Outside: true, Why: "past the abort point of " + opening.Abort.Format("15:04 MST") + ": what is left of the window is for rolling back; an override needs a reason"}
	}
	return nil
}

// opens is when the window of this run opens; zero if it has none.
func (l *Local) opens() time.Time {
	if l.window() == nil || !l.section.InWindow() {
		return time.Time{}
	}
	return l.run.Opened.Due
}

// openingFor is the opening that the item's action is held to now; ok is false
// if it is held to none: nothing wants a window, an override holds, or the item
// leads out of the run.
func (l *Local) openingFor(it Item) (opening civil.Opening, ok bool) {
	window, now := l.window(), l.o.Now()
	if window == nil || !l.section.InWindow() || it.AnyTime || l.run.LeadsOut(it.ID) || !l.run.Window.Expired(now) {
		return opening, false
	}
	return window.At(now)
}

// overrun says what an action that is begun now does to the time of its window:
// when it would end, by what it took before or by what its module expects, and
// whether the window's end ends it.
func (l *Local) overrun(it Item, check checks.Check, preview checks.Result) []string {
	opening, ok := l.openingFor(it)
	if !ok {
		return nil
	}
	var said []string
	takes := l.estimates[it.ID]
	if f, known := preview.Fact("estimate", ""); takes == 0 && known {
		takes = time.Duration(f.Num * float64(time.Millisecond))
	}
	switch ends := l.o.Now().Add(takes).In(opening.End.Location()); {
	case ends.After(opening.End):
		said = append(said, fmt.Sprintf("careful: it takes about %s and would end at %s, and the window closes at %s", fact.FormatDuration(takes), ends.Format("15:04"), opening.End.Format("15:04 MST")))
	case ends.After(opening.Abort):
		said = append(said, fmt.Sprintf("careful: it takes about %s and would end at %s, past the abort point of %s", fact.FormatDuration(takes), ends.Format("15:04"), opening.Abort.Format("15:04 MST")))
	}
	if check.Module.Bounded && l.o.Now().Add(check.Deadline()).After(opening.End) {
		said = append(said, "what is at work when the window closes, at "+opening.End.Format("15:04 MST")+", is cancelled")
	}
	return said
}

// period is the turn of the section that the instant belongs to. A section
// that waits for its window is about the next opening, however long before.
func (l *Local) period(now time.Time) schedule.Period {
	w := l.window()
	if w == nil || !l.section.InWindow() {
		return l.section.Plan.In(l.zone()).Period(now)
	}
	o := w.Next(now)
	return schedule.Period{Name: o.Start.Format(time.DateOnly), Start: o.Start, End: o.End, Due: o.Start, Overdue: o.End}
}

// joins reports whether an open run of the section is the one to go on with. A
// run that is about a window lasts until it is closed: notice is given before
// it, and what falls due later comes after it.
func (l *Local) joins(opened RunOpened, period string) bool {
	return opened.Period == period || l.window() != nil && l.section.InWindow()
}

func opens(o civil.Opening) string {
	if o.IsZero() {
		return ""
	}
	return ": it opens " + o.Start.Format("Mon 2006-01-02 15:04 MST")
}

// Remaining is how long what is not decided yet will take, by the estimates;
// unknown counts the items for which there is none.
func (r Run) Remaining(estimates map[string]time.Duration) (left time.Duration, unknown int) {
	for _, it := range r.Items {
		if it.State.Decided() || r.OnlyToAbort(it.ID) {
			continue
		}
		if took, ok := estimates[it.ID]; ok {
			left += took
		} else if it.Kind == Action {
			unknown++
		}
	}
	return left, unknown
}
