package checklist

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// facts are the facts of a result, a line each.
func facts(f pane.Frame, r checks.Result) []string {
	var pairs [][2]string
	for _, fa := range r.Facts {
		pairs = append(pairs, [2]string{strings.TrimSpace(fa.Name + " " + fa.Label), fa.Value.String()})
	}
	return pane.KeyValues(f, pairs)
}

// table is a small table as text, its columns as wide as they need.
func table(f pane.Frame, t checks.Table) []string {
	widths := make([]int, len(t.Columns))
	cell := func(row, col int) string {
		if row < 0 {
			return t.Columns[col].Name
		}
		return pane.Plain(t.Rows[row][col].String())
	}
	for row := -1; row < len(t.Rows); row++ {
		for col := range t.Columns {
			if row < 0 || col < len(t.Rows[row]) {
				widths[col] = max(widths[col], min(40, pane.Width(cell(row, col))))
			}
		}
	}
	var lines []string
	for row := -1; row < len(t.Rows); row++ {
		var b strings.Builder
		for col := range t.Columns {
			if row >= 0 && col >= len(t.Rows[row]) {
				break
			}
			text := f.Cut(cell(row, col), widths[col])
			b.WriteString(text + strings.Repeat(" ", max(0, widths[col]-pane.Width(text))+2))
		}
		lines = append(lines, f.Cut(strings.TrimRight(b.String(), " "), f.W))
	}
	if len(lines) > 0 {
		lines[0] = f.Theme.Faint.Render(lines[0])
	}
	return lines
}

// story is what happened to an action, step by step.
func story(f pane.Frame, a runbooks.Attempt) []string {
	if a.Armed == nil {
		return nil
	}
	pairs := [][2]string{{"previewed", stamp(a.Started) + " by " + a.Actor.String()}}
	add := func(name, text string) { pairs = append(pairs, [2]string{name, text}) }
	for _, s := range a.Signatures {
		add("signed", stamp(s.At)+" by "+s.Actor.String()+role(s.Text))
	}
	if a.Confirmed != nil {
		text := stamp(a.Confirmed.At) + " by " + a.Confirmed.Actor.String()
		if a.Typed != "" {
			text += ", typed " + a.Typed
		}
		add("confirmed", text)
	}
	if a.Intent != nil {
		add("intended", "as "+a.Intent.Token+", to be over by "+stamp(a.Intent.Deadline))
	}
	if a.Process != nil {
		add("process", fmt.Sprintf("%d", a.Process.PID))
	}
	if o := a.Outcome; o != nil {
		add("outcome", word(runbooks.StateOf(o.Result.Level))+": "+cmpText(o.Result.Note, o.Result.Err))
		add("output", fmt.Sprintf("%d bytes, sha256 %.16s", o.Output, o.OutputHash.String()))
		for _, left := range o.Left {
			add("left behind", left)
		}
	}
	if v := a.Verified; v != nil {
		add("from outside", v.Level.String()+": "+cmpText(v.Note, v.Err))
	}
	if a.Resolved != nil {
		add("resolved", stamp(a.Resolved.At)+" by "+a.Resolved.Actor.String()+": "+a.Resolved.Text)
	}
	return pane.KeyValues(f, pairs)
}

func role(text string) string {
	if text == "" {
		return ""
	}
	return " as " + text
}

func cmpText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// watched is how far a hold is.
func holdNote(w *runbooks.Watch, now time.Time) string {
	left := w.Until.Sub(now)
	text := "until " + w.Until.Format("15:04 MST") + ", " + ago(left) + " left"
	if w.Samples > 0 {
		text += fmt.Sprintf(", %d looks, worst %s", w.Samples, w.Worst)
	}
	return text
}

// window is that of the runbook, in its zone or the site's; nil if it has none.
func (c *checklist) window() *civil.Window {
	n := c.run.news
	if n.window == nil {
		return nil
	}
	zone := n.zone
	if zone == nil {
		zone = c.zone()
	}
	w := n.window.In(zone)
	return &w
}

// windowLine is how the window of the run stands: before, inside with its
// budget, or over.
func (c *checklist) windowLine(f pane.Frame) (checks.Level, string, bool) {
	n, window := c.run.news, c.window()
	if window == nil || !n.section.InWindow() || n.run.State.Ended() {
		return checks.OK, "", false
	}
	override := ""
	if !n.run.Window.Expired(f.Now) {
		override = "; overridden until " + n.run.Window.Until.Format("15:04 MST")
	}
	o, inside := window.At(f.Now)
	if over := n.run.Opened.Overdue; !inside && n.run.Touched() && !over.IsZero() && f.Now.After(over) {
		return checks.Crit, "THE WINDOW ENDED " + ago(f.Now.Sub(over)) + " ago: open the site, or leave the run (A)" + override, true
	}
	if !inside {
		next := window.Next(f.Now)
		if next.IsZero() {
			return checks.Warn, "the window never opens" + override, true
		}
		return checks.OK, "window opens " + next.Start.Format("Mon 2006-01-02 15:04 MST") + ", in " + ago(next.Start.Sub(f.Now)) + nightNote(next) + override, true
	}
	remaining, unknown := n.run.Remaining(n.estimates)
	b := o.Budget(f.Now, remaining)
	text := fmt.Sprintf("window %s left of %s, abort point %s", ago(b.Left), ago(o.Length()), o.Abort.Format("15:04"))
	switch {
	case b.PastAbort:
		text = "PAST THE ABORT POINT, " + ago(b.Left) + " left: what is not done is put back"
	case b.Overrun > 0:
		text += "; what is left takes " + ago(remaining) + ", " + ago(b.Overrun) + " too long"
	case remaining > 0:
		text += "; what is left takes about " + ago(remaining)
	}
	if unknown > 0 {
		text += fmt.Sprintf(" and %d of unknown length", unknown)
	}
	return b.Level, text + nightNote(o) + override, true
}

// nightNote is what the clocks do that night.
func nightNote(o civil.Opening) string {
	if notes := o.Notes(); len(notes) > 0 {
		return "; " + strings.Join(notes, "; ")
	}
	return ""
}
