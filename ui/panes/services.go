package panes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// Services is the pane of everything the site consists of: every check that
// does not belong to the host or to the standing ones of the database.
var Services = pane.Spec{
	ID: "services", Title: "SERVICES", Order: 2, Min: pane.Size{W: 22, H: 1},
	Needs: func(s watch.Snapshot) []string {
		var ids []string
		for _, st := range s.States {
			if isService(st.Check.ID) {
				ids = append(ids, st.Check.ID)
			}
		}
		return ids
	},
	New: func(pane.Deps) pane.Pane {
		return &services{Table: pane.Table{
			Marks: true, Head: true, Empty: "no services: name them under services: in opsdeck.yaml",
			Columns: []pane.Column{
				{Title: "service", Min: 7, Max: 20, Keep: 9},
				{Title: "now", Min: 7, Max: 10, Keep: 8},
				{Title: "p50", Min: 4, Max: 7, Right: true, Keep: 3},
				{Title: "p95", Min: 4, Max: 7, Right: true, Keep: 4},
				{Title: "why", Min: 8, Keep: 7, Fill: true},
				{Title: "since", Min: 5, Max: 5, Right: true, Keep: 6},
				{Title: "state", Min: 5, Max: 7, Keep: 2},
				{Title: "history", Min: 10, Max: 16, Keep: 5},
			},
		}}
	},
}

// whyColumn is the place of the column that says why; it keeps leastWhy cells
// before others are dropped.
const (
	whyColumn      = 4
	leastWhy       = 16
	narrowServices = 44 // below this a service's name gives way
)

// isService tells the services from what the other panes show.
func isService(id string) bool {
	return !strings.HasPrefix(id, "sys.") && !strings.HasPrefix(id, "pg.")
}

type services struct {
	pane.Table
	snap   watch.Snapshot
	memory memory
	list   []source
	pinned bool
}

// Show takes the newest snapshot.
func (p *services) Show(s watch.Snapshot) {
	p.snap, p.memory = s, p.memory.keep(s)
	p.set(s.At, nil, 0)
}

// set makes the rows: in the order of the site file if h rows hold them all,
// else those that are not well first.
func (p *services) set(now time.Time, th *theme.Theme, h int) {
	p.list = p.list[:0]
	for _, st := range p.snap.States {
		if !isService(st.Check.ID) {
			continue
		}
		if s, ok := p.memory.source(p.snap, st.Check.ID, now); ok {
			p.list = append(p.list, s)
		}
	}
	if h > 0 && len(p.list) > h {
		slices.SortStableFunc(p.list, func(a, b source) int { return serviceUrgency(a) - serviceUrgency(b) })
	}
	rows := make([]pane.Row, len(p.list))
	for i, s := range p.list {
		rows[i] = serviceRow(s, th)
	}
	p.SetRows(rows)
	if !p.pinned {
		p.Move(-farUp)
	}
}

// serviceUrgency puts what a cause explains behind what it does not.
func serviceUrgency(s source) int {
	u := 2 * urgency(shown(s.State, s.now))
	if s.HeldBy != "" {
		return 2*urgency(checks.Warn) + 1
	}
	return u
}

func serviceRow(s source, th *theme.Theme) pane.Row {
	level := shown(s.State, s.now)
	r := pane.Row{ID: s.Check.ID, Level: level, Faint: level == checks.Skipped || s.HeldBy != "", Cells: make([]pane.Cell, 8)}
	p50, p95 := quantiles(s)
	for i, text := range []string{s.Check.ID, headline(s), p50, p95, reason(s), clock(s.State, s.now), word(s), ""} {
		r.Cells[i].Text = text
	}
	r.Cells[7].Ticks = s.Ticks
	if th == nil {
		return r
	}
	switch {
	case s.old:
		r.Cells[1].Style = th.Faint
	case level != checks.OK:
		r.Cells[1].Style, r.Cells[6].Style = th.Level(level), th.Level(level)
	}
	return r
}

// reason is why the service is not well, or what is worth knowing of it.
func reason(s source) string {
	switch {
	case s.HeldBy != "":
		return "held: " + s.HeldBy + " explains it"
	case s.trouble != "":
		return s.trouble
	}
	text := s.facts.Note
	if b, ok := worstBreach(s.facts.Why); ok && b.Value.Type != fact.Bool {
		text = join(b.Rule, b.Label, text)
	}
	return text
}

// clock is when the level began: a time for today, an age for older.
func clock(st watch.State, now time.Time) string {
	passed := now.Sub(st.Since)
	switch {
	case st.Since.IsZero() || !st.Known():
		return ""
	case passed >= 20*time.Hour:
		return ago(passed)
	}
	return st.Since.UTC().Format("15:04")
}

// word is the state in one word: the level, or what hides it.
func word(s source) string {
	switch {
	case s.Stuck:
		return "stuck"
	case s.HeldBy != "":
		return "held"
	case s.Flapping:
		return "flaps"
	case s.Stale(s.now):
		return "old"
	case !s.Known():
		return "-"
	case s.Confirming() && s.Need > 0:
		return strconv.Itoa(s.Streak) + "/" + strconv.Itoa(s.Need)
	}
	return s.Level.String()
}

// Handle takes nothing: the pane asks for nothing.
func (p *services) Handle(any) tea.Cmd { return nil }

// Actions are the movements; enter, r and y are the deck's.
func (p *services) Actions() []pane.Action { return pinning(p.Moves(), p.pin) }

// Next moves among the services that match.
func (p *services) Next(step int) {
	p.Move(step)
	p.pin()
}

func (p *services) pin() { p.pinned = pinned(&p.Table) }

// Summary counts those that are well.
func (p *services) Summary() string {
	well, all := 0, 0
	for _, s := range p.list {
		if l := shown(s.State, s.now); l != checks.Skipped && (s.Known() || s.Stuck) {
			all++
			if l == checks.OK {
				well++
			}
		}
	}
	if all == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d ok", well, all)
}

// View draws the services that fit.
func (p *services) View(f pane.Frame) string {
	p.Head = f.H >= 8
	room := f.H
	if p.Head {
		room--
	}
	p.set(f.Now, f.Theme, room)
	names := 7
	for _, s := range p.list {
		names = max(names, pane.Width(pane.Plain(s.Check.ID)))
	}
	p.Columns[0].Min, p.Columns[whyColumn].Min = min(names, mostName), leastWhy
	if f.W < narrowServices {
		p.Columns[0].Min, p.Columns[whyColumn].Min = min(names, narrowName+1), leastWhy-2
	}
	return clip(p.Table.View(f), f.W)
}

// Point is the service under the cursor.
func (p *services) Point() pane.Point {
	row, ok := p.Selected()
	if !ok {
		return pane.Point{}
	}
	return pane.Point{Check: row.ID, Value: row.Cells[1].Text, Line: join(row.ID+":", row.Cells[1].Text, row.Cells[4].Text)}
}
