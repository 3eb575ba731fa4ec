package runbooks

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
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
func (l *Local) joins(r Run, period string) bool {
	return r.Opened.Period == period || l.window() != nil && l.section.InWindow()
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
