package checklist

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

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
	case it.State == runbooks.Pending, it.State == runbooks.Interrupted, it.State == runbooks.Armed:
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
	if level, text, ok := c.windowLine(f); ok && f.H > 2 {
		lines = append(lines, banner(f, level, text))
	}
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
	if n.driver != "" {
		list = append(list, warning{checks.Warn, "observing: " + n.driver + " drives"})
	}
	if ways := n.run.WaysOut(); n.run.State == runbooks.Aborting && len(ways) > 0 {
		list = append(list, warning{checks.Crit, "leaving this run (" + n.run.Aborting.Text + "): do " + titles(ways) + ", or skip it with a reason"})
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
