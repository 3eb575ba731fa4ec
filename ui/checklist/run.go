package checklist

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
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

// exception moves the cursor to the next item that is not well and that nobody
// has answered for, or that is not decided.
func (c *checklist) exception() tea.Cmd {
	ids := c.items.order
	at, _ := c.items.Selected()
	start := slices.Index(ids, at.ID) + 1
	for i := range ids {
		if id := ids[(start+i)%len(ids)]; c.isException(id) {
			c.items.Select(id)
			return nil
		}
	}
	return pane.Notice(checks.OK, "there is no exception left")
}

func (c *checklist) isException(id string) bool {
	it, ok := c.run.news.run.Item(id)
	switch {
	case !ok:
		return false
	case it.State == runbooks.Pending, it.State == runbooks.Interrupted:
		return true
	case it.State == runbooks.Warned, it.State == runbooks.Failed, it.State == runbooks.Errored:
		return it.Ack == nil && it.Override.Expired(c.now)
	}
	return false
}

// item is the item under the cursor.
func (c *checklist) item() (runbooks.ItemRun, bool) {
	if !c.inside {
		return runbooks.ItemRun{}, false
	}
	row, ok := c.items.Selected()
	if !ok {
		return runbooks.ItemRun{}, false
	}
	return c.run.news.run.Item(row.ID)
}

// viewRun draws what must be known of the run, its progress, and its items.
func (c *checklist) viewRun(f pane.Frame) string {
	n := c.run.news
	lines := []string{n.head(f)}
	for _, b := range c.banners() {
		if len(lines) < f.H-1 {
			lines = append(lines, banner(f, b.level, b.text))
		}
	}
	if f.H == 1 {
		return lines[0]
	}
	c.items.headings = f.H >= 10
	c.items.draw(n, f.Theme, f.Now, f.W < narrowRun)
	return join(append(lines, c.items.ahead(f.In(f.W, f.H-len(lines)))...))
}

// ahead draws the rows with what comes after the cursor in sight, down to the
// middle: the next steps matter more than those that are done.
func (l *items) ahead(f pane.Frame) []string {
	at, ok := l.Selected()
	if rows, _ := l.Len(); !ok || rows <= f.H {
		return l.Lines(f)
	}
	l.Move(f.H / 2)
	l.Lines(f)
	l.Select(at.ID)
	l.Move(0)
	return l.Lines(f)
}

type warning struct {
	level checks.Level
	text  string
}

// banners are what the operator must not overlook.
func (c *checklist) banners() []warning {
	n := c.run.news
	var list []warning
	if n.broken != nil {
		list = append(list, warning{checks.Crit, "nothing is recorded any more: " + n.broken.Error()})
	}
	if c.driver != "" {
		list = append(list, warning{checks.Warn, "observing: " + c.driver + " drives"})
	}
	if n.run.State.Ended() {
		text := "the run is " + strings.ReplaceAll(string(n.run.State), "_", " ")
		if n.run.Reason != "" {
			text += ": " + n.run.Reason
		}
		list = append(list, warning{checks.OK, text + "; b=sections"})
	}
	if n.outdated {
		list = append(list, warning{checks.Warn, "the document was changed since this run began: the run keeps its copy"})
	}
	if n.run.Opened.Rehearsal {
		list = append(list, warning{checks.OK, "a rehearsal: it does not count as done"})
	}
	return list
}

// head is one line: which run, how far it is, what is wrong in it.
func (n news) head(f pane.Frame) string {
	p := n.run.Progress(f.Now)
	name := n.run.Opened.Section + " " + n.run.Opened.Period
	count := fmt.Sprintf(" %d/%d ", p.Decided, p.Total)
	text := " " + f.Theme.Strong.Render(f.Cut(pane.Plain(strings.TrimSpace(name)), max(0, f.W-24))) + count
	share := 0.0
	if p.Total > 0 {
		share = float64(p.Decided) / float64(p.Total)
	}
	tail := n.tail(p, f.Now)
	if room := f.W - pane.Width(text) - pane.Width(tail) - 2; room >= 0 {
		text += pane.Gauge(f.Theme, share, min(22, max(8, room)))
	}
	if room := f.W - pane.Width(text) - 1; tail != "" && room > 4 {
		text += " " + f.Cut(pane.Plain(tail), room)
	}
	return text
}

// tail counts what is not simply done.
func (n news) tail(p runbooks.Progress, now time.Time) string {
	var parts []string
	for _, s := range []runbooks.State{runbooks.Failed, runbooks.Errored, runbooks.Warned, runbooks.Running, runbooks.Interrupted, runbooks.Skipped} {
		if p.ByState[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.ByState[s], word(s)))
		}
	}
	switch over := n.run.Opened.Overdue; {
	case n.run.State.Ended() || over.IsZero():
	case !now.Before(over):
		parts = append(parts, "overdue "+ago(now.Sub(over)))
	case !now.Before(n.run.Opened.Due):
		parts = append(parts, "due, "+ago(now.Sub(n.run.Opened.Due))+" late")
	}
	return strings.Join(parts, "  ")
}

func (n news) summary(now time.Time) string {
	p := n.run.Progress(now)
	text := fmt.Sprintf("%s %d/%d", n.run.Opened.Section, p.Decided, p.Total)
	switch {
	case n.broken != nil:
		return "NOT RECORDED"
	case p.ByState[runbooks.Failed] > 0:
		return fmt.Sprintf("%s, %d failed", text, p.ByState[runbooks.Failed])
	case p.ByState[runbooks.Errored] > 0:
		return fmt.Sprintf("%s, %d unknown", text, p.ByState[runbooks.Errored])
	}
	return text
}

// banner is one line the operator must not overlook.
func banner(f pane.Frame, level checks.Level, text string) string {
	return " " + f.Theme.Mark(level) + " " + f.Theme.Level(level).Render(f.Cut(pane.Plain(text), max(0, f.W-4)))
}

func join(lines []string) string { return strings.Join(lines, "\n") }

// clip cuts lines in a frame in which not even marks fit.
func clip(view string, w int) string {
	const enough = 16
	if w >= enough {
		return view
	}
	lines := strings.Split(view, "\n")
	for i := range lines {
		lines[i] = pane.Cut(lines[i], w, "")
	}
	return join(lines)
}

// leaveRun goes back to the sections; the run goes on.
func (c *checklist) leaveRun() tea.Cmd {
	c.inside = false
	return nil
}
