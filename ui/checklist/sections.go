package checklist

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks/schedule"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// sections is the list of what there is to do.
type sections struct {
	pane.Table
	list   []SectionInfo
	err    error
	chosen bool // the cursor was put somewhere once
}

func (s *sections) init() {
	s.Table = pane.Table{Marks: true, Empty: "no runbooks were found", Columns: []pane.Column{
		{Title: "section", Max: 28, Keep: 9},
		{Title: "stands", Max: 20, Keep: 8},
		{Title: "run", Max: 9, Keep: 7},
		{Title: "last", Min: 12, Keep: 6, Fill: true},
		{Title: "cadence", Min: 9, Max: 9, Keep: 3},
	}}
}

// set takes the list anew: unfinished runs first, then by cadence, and what is
// overdue before the rest of its cadence.
func (s *sections) set(list []SectionInfo, err error, now time.Time) {
	s.list, s.err = slices.Clone(list), err
	s.Empty = "no runbooks were found"
	if err != nil {
		s.Empty = err.Error() // not known is not the same as none
	}
	slices.SortStableFunc(s.list, func(a, b SectionInfo) int {
		return cmp.Or(order(a)-order(b), cadenceOrder(a.Plan)-cadenceOrder(b.Plan), urgency(a, now)-urgency(b, now))
	})
	s.draw(nil, now)
	if !s.chosen && len(s.list) > 0 {
		s.chosen = true
		s.Select(s.urgent(now))
	}
}

func order(i SectionInfo) int {
	switch {
	case i.Unfinished != nil:
		return 0
	case i.Problem != "":
		return 2
	}
	return 1
}

// urgent is the section to offer: one that was begun, else one that is
// overdue, else the first that is due.
func (s *sections) urgent(now time.Time) string {
	best, rank := "", 9
	for _, i := range s.list {
		if r := urgency(i, now); r < rank {
			best, rank = i.ID, r
		}
	}
	return best
}

func urgency(i SectionInfo, now time.Time) int {
	switch st := i.status(now); {
	case i.Problem != "":
		return 8
	case i.Unfinished != nil:
		return 0
	case st.State == schedule.Overdue:
		return 1
	case st.State == schedule.DueNow, st.State == schedule.Never:
		return 2
	}
	return 3
}

func (i SectionInfo) status(now time.Time) schedule.Status { return i.Plan.Status(now, i.Last) }

// name is the section's title, or the document's where it has none.
func (i SectionInfo) name() string { return cmp.Or(i.Title, i.Runbook) }

func (s *sections) draw(th *theme.Theme, now time.Time) {
	rows := make([]pane.Row, len(s.list))
	widest := [3]int{7, 6, 0}
	for n, i := range s.list {
		rows[n] = i.row(th, now)
		for k := range widest {
			widest[k] = max(widest[k], pane.Width(pane.Plain(rows[n].Cells[k].Text)))
		}
	}
	s.Columns[0].Min, s.Columns[1].Min, s.Columns[2].Min = min(12, widest[0]), min(20, widest[1]), max(1, min(9, widest[2]))
	s.SetRows(rows)
}

func (i SectionInfo) row(th *theme.Theme, now time.Time) pane.Row {
	st := i.status(now)
	level := levelOf(i, st)
	r := pane.Row{ID: i.ID, Level: level, Cells: make([]pane.Cell, 5)}
	for n, text := range []string{i.name(), stands(st, now), i.progress(), i.last(now), string(i.Plan.Cadence)} {
		r.Cells[n].Text = text
	}
	switch {
	case i.Problem != "":
		r.Cells[1].Text, r.Cells[3].Text = "broken", i.Problem
	case i.Plan.Cadence == schedule.None:
		r.Cells[4].Text = ""
	}
	if th != nil {
		if level != checks.OK {
			r.Cells[1].Style = th.Level(level)
		}
		r.Cells[3].Style, r.Cells[4].Style = th.Faint, th.Faint
		if i.Unfinished != nil {
			r.Cells[2].Style = th.Strong
		}
	}
	return r
}

// levelOf marks what should have been done.
func levelOf(i SectionInfo, st schedule.Status) checks.Level {
	switch {
	case i.Problem != "":
		return checks.Unknown
	case st.State == schedule.Overdue:
		return checks.Warn
	}
	return checks.OK
}

// stands is how a section stands, in words that need no zone.
func stands(st schedule.Status, now time.Time) string {
	switch st.State {
	case schedule.Overdue:
		if st.Missed > 1 {
			return fmt.Sprintf("overdue, %d missed", st.Missed)
		}
		return "overdue " + ago(now.Sub(st.Since))
	case schedule.Never:
		return "never done"
	case schedule.DueNow:
		return turn(st, now)
	case schedule.Done:
		return "done"
	}
	return "when needed"
}

// turn is how long there is still time, or how late it is.
func turn(st schedule.Status, now time.Time) string {
	if now.Before(st.Due) {
		return "due in " + ago(st.Due.Sub(now))
	}
	return "due, " + ago(now.Sub(st.Due)) + " late"
}

// progress is how far the run is that was begun.
func (i SectionInfo) progress() string {
	if u := i.Unfinished; u != nil {
		return fmt.Sprintf("%d/%d", u.Decided, u.Total)
	}
	return ""
}

// last is when something was last done in it, by whom, and what came of it;
// or when it has to be done for the first time.
func (i SectionInfo) last(now time.Time) string {
	if u := i.Unfinished; u != nil {
		return "left " + ago(now.Sub(u.Last)) + " ago by " + u.Driver
	}
	if st := i.status(now); st.State == schedule.Never {
		return turn(st, now)
	}
	if i.Last.IsZero() {
		return ""
	}
	text := ago(now.Sub(i.Last)) + " ago"
	if i.LastBy != "" {
		text += " by " + i.LastBy
	}
	if i.LastBad > 0 {
		text += fmt.Sprintf(", %d failed", i.LastBad)
	}
	return text
}

func (s *sections) summary(now time.Time) string {
	counts := map[schedule.State]int{}
	open := 0
	for _, i := range s.list {
		if i.Problem == "" {
			counts[i.status(now).State]++
		}
		if i.Unfinished != nil {
			open++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{open, "unfinished"}, {counts[schedule.Overdue], "overdue"}, {counts[schedule.DueNow], "due"}, {counts[schedule.Never], "never done"}} {
		if p.n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case s.err != nil && len(s.list) == 0:
		return "not known yet"
	}
	return "nothing is due"
}

func (s *sections) point() pane.Point {
	row, ok := s.Selected()
	if !ok {
		return pane.Point{}
	}
	texts := make([]string, len(row.Cells))
	for i, cell := range row.Cells {
		texts[i] = cell.Text
	}
	return pane.Point{Value: row.ID, Line: strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), "  ")}
}

// viewSections draws what the operator must know, then the list.
func (c *checklist) viewSections(f pane.Frame) string {
	var lines []string
	say := func(level checks.Level, text string) {
		if text != "" && len(lines) < f.H-1 {
			lines = append(lines, banner(f, level, text))
		}
	}
	if c.run != nil && c.run.news.driver != "" {
		say(checks.Warn, "observing: "+c.run.news.driver+" drives")
	}
	if c.opening != "" {
		say(checks.OK, "opening "+c.opening)
	}
	say(checks.Unknown, c.trouble)
	if c.sections.err != nil {
		say(checks.Unknown, c.sections.err.Error())
	}
	if u := c.sections.begun(); u != nil {
		say(checks.OK, fmt.Sprintf("unfinished: %s by %s; enter goes on", u.Run, u.Driver))
	}
	c.sections.Head = f.H-len(lines) >= 8 && f.W >= 60
	c.sections.draw(f.Theme, f.Now)
	return join(append(lines, c.sections.Lines(f.In(f.W, f.H-len(lines)))...))
}

// begun is the run that waits longest under the unfinished ones.
func (s *sections) begun() *Unfinished {
	for _, i := range s.list {
		if i.Unfinished != nil {
			return i.Unfinished
		}
	}
	return nil
}
