package checklist

import (
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// items is the list of a run's items below their headings.
type items struct {
	pane.Table
	order    []string // ids of rows, headings included
	todo     map[string]bool
	narrow   bool // notes stand below their items
	headings bool
}

// headingID begins the id of a row that is a heading.
const headingID = "heading "

// narrowRun is the width below which notes stand below their items.
const narrowRun = 76

func (l *items) init() {
	filter := l.Filter()
	l.Table = pane.Table{Marks: true, Empty: "this section has no items"}
	l.headings = true
	l.Find(filter)
	l.columns(true)
}

// columns fits the columns to the width.
func (l *items) columns(narrow bool) {
	l.narrow = narrow
	if narrow {
		l.Columns = []pane.Column{{Title: "item", Min: 10, Keep: 9, Fill: true}, {Title: "when", Min: 5, Max: 8, Right: true, Keep: 4}}
		return
	}
	l.Columns = []pane.Column{
		{Title: "item", Min: 28, Max: 48, Keep: 9}, {Title: "note", Min: 16, Keep: 8, Fill: true},
		{Title: "who", Min: 6, Max: 10, Keep: 3}, {Title: "when", Min: 5, Max: 8, Right: true, Keep: 4},
	}
}

// set makes the rows of a run as it is known.
func (l *items) set(n news, now time.Time, narrow bool) { l.draw(n, nil, now, narrow) }

func (l *items) draw(n news, th *theme.Theme, now time.Time, narrow bool) {
	if narrow != l.narrow || len(l.Columns) == 0 {
		l.columns(narrow)
	}
	var rows []pane.Row
	l.order, l.todo = l.order[:0], map[string]bool{}
	group := ""
	for _, it := range n.run.Items {
		if it.Group != group && l.headings && it.Group != "" {
			rows = append(rows, heading(it.Group, th))
			l.order = append(l.order, headingID+it.Group)
		}
		group = it.Group
		rows = append(rows, l.row(it, n, th, now))
		l.order = append(l.order, it.ID)
		l.todo[it.ID] = !it.State.Decided() && !it.State.Busy()
	}
	l.SetRows(rows)
}

func heading(title string, th *theme.Theme) pane.Row {
	r := pane.Row{ID: headingID + title, Level: checks.OK, Cells: pane.Cells(title)}
	if th != nil {
		r.Cells[0].Style = th.Strong
	}
	return r
}

func (l *items) row(it runbooks.ItemRun, n news, th *theme.Theme, now time.Time) pane.Row {
	level := it.State.Level()
	if it.State == runbooks.Pending || it.State.Busy() {
		level = checks.OK // nothing is wrong with it yet
	}
	note := remark(it, n, now)
	who, when := last(it)
	r := pane.Row{ID: it.ID, Level: level, Faint: it.State == runbooks.Skipped || it.State == runbooks.NotApplicable}
	title := box(it.State, th) + " " + it.Title
	if l.narrow {
		r.Cells = pane.Cells(title, when)
		if note != "" && it.State != runbooks.NotApplicable && (it.State != runbooks.Pending || n.run.Computed(it.ID, now).Blocked != "") {
			r.Sub = "  " + note // below the title
		}
		return r
	}
	r.Cells = pane.Cells(title, note, who, when)
	if th != nil {
		r.Cells[2].Style, r.Cells[3].Style = th.Faint, th.Faint
		if level != checks.OK {
			r.Cells[1].Style = th.Level(level)
		}
	}
	return r
}

// box is the state of an item as it would be on paper.
func box(s runbooks.State, th *theme.Theme) string {
	done, todo := "x", " "
	if th != nil {
		done, todo = th.Done, th.Todo
	}
	switch {
	case s == runbooks.Skipped, s == runbooks.NotApplicable, s == runbooks.Cancelled:
		done = "-"
	case s.Busy():
		done = "~"
	case s == runbooks.Failed:
		done = "!"
	case s == runbooks.Errored, s == runbooks.Interrupted:
		done = "?"
	case !s.Decided():
		done = todo
	}
	return "[" + done + "]"
}

// step moves the cursor and past headings.
func (l *items) step(n int) {
	l.Move(n)
	row, ok := l.Selected()
	if !ok || !strings.HasPrefix(row.ID, headingID) {
		return
	}
	way := 1
	if n < 0 {
		way = -1
	}
	l.Move(way)
	if at, _ := l.Selected(); strings.HasPrefix(at.ID, headingID) {
		l.Move(1) // the first line is a heading: nothing is above it
	}
}

// Moves are the movements, past headings.
func (l *items) Moves() []pane.Action {
	return pane.Moves(l.step, func() int { return max(1, len(l.order)/4) })
}

// goOn puts the cursor on the next item that is not decided, after the given
// one; if there is none it stays.
func (l *items) goOn(after string) {
	ids := l.order
	start := 0
	for i, id := range ids {
		if id == after {
			start = i + 1
		}
	}
	for i := range ids {
		id := ids[(start+i)%len(ids)]
		if l.todo[id] {
			l.Select(id)
			return
		}
	}
	if after == "" {
		l.step(-1 << 20)
	}
}
