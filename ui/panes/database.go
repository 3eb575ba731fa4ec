package panes

import (
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// Database is the pane of the PostgreSQL server: an overview, and the tables
// of sessions, waits, statements and relations behind it.
var Database = pane.Spec{
	ID: "database", Title: "DATABASE", Order: 3, Min: pane.Size{W: 22, H: 1},
	Needs: func(s watch.Snapshot) []string {
		var ids []string
		for _, name := range databaseChecks {
			if id, ok := databaseCheck(s, name); ok {
				ids = append(ids, id)
			}
		}
		return ids
	},
	New: func(pane.Deps) pane.Pane {
		p := &database{list: newList("waiting for the first answers")}
		for _, v := range views {
			p.grids = append(p.grids, newGrid(v))
		}
		return p
	},
}

// databaseChecks are the modules the pane reads.
var databaseChecks = []string{"pg.ping", "pg.connections", "pg.locks", "pg.tps", "pg.slow", "pg.dbsize", "pg.deadtuples", "pg.tables"}

// databaseCheck is the check of a module: the standing one, else the first of
// the site.
func databaseCheck(s watch.Snapshot, module string) (id string, ok bool) {
	for _, st := range s.States {
		switch {
		case st.Check.ID == module:
			return module, true
		case !ok && st.Check.Module != nil && st.Check.Module.Name == module:
			id, ok = st.Check.ID, true
		}
	}
	return id, ok
}

type database struct {
	*list   // the overview
	grids   []*grid
	at      int // the view: 0 is the overview, then the grids
	snap    watch.Snapshot
	memory  memory
	nothing string // why there is nothing to show, "" if there is
}

// Show takes the newest snapshot.
func (p *database) Show(s watch.Snapshot) {
	p.snap, p.memory = s, p.memory.keep(s)
	p.nothing = absent(s)
	p.set(p.readings(s.At), nil, 0)
	for _, g := range p.grids {
		if src, ok := p.source(g.view.check, s.At); ok {
			g.show(src)
		}
	}
}

func (p *database) source(module string, now time.Time) (source, bool) {
	id, ok := databaseCheck(p.snap, module)
	if !ok {
		return source{}, false
	}
	return p.memory.source(p.snap, id, now)
}

// absent says how to get a database into the pane, if the site has none.
func absent(s watch.Snapshot) string {
	there := false
	for _, name := range databaseChecks {
		id, ok := databaseCheck(s, name)
		if st, _ := s.State(id); ok && st.Level != checks.Skipped {
			return ""
		}
		there = there || ok
	}
	if there || len(s.States) > 0 {
		return "no database: add connections: {postgres: {main: {dsn: \"postgres://user@host/db\"}}} to opsdeck.yaml"
	}
	return ""
}

// Handle takes nothing: the pane asks for nothing.
func (p *database) Handle(any) tea.Cmd { return nil }

// Actions change the view and move in it.
func (p *database) Actions() []pane.Action {
	acts := append(p.moves(),
		action("view", "next view: overview, sessions, blocked, blockers, statements, tables, vacuum", "view", func() tea.Cmd { p.turn(1); return nil }, "v"),
		action("view-before", "view before", "", func() tea.Cmd { p.turn(-1); return nil }, "V"))
	if g := p.grid(); g != nil {
		row := action("row", "the row in full", "row", g.open, "enter")
		if _, ok := g.Selected(); !ok {
			row.Off = "no row under the cursor"
		}
		acts = append(acts, row)
	}
	return acts
}

func action(id, what, help string, do func() tea.Cmd, keys ...string) pane.Action {
	return pane.Action{ID: id, Help: help, Do: do, Key: key.NewBinding(key.WithKeys(keys...), key.WithHelp(keys[0], what))}
}

func (p *database) moves() []pane.Action {
	if g := p.grid(); g != nil {
		return g.Moves()
	}
	return p.Moves()
}

// grid is the view that is a table, nil for the overview.
func (p *database) grid() *grid {
	if p.at == 0 || p.nothing != "" {
		return nil
	}
	return p.grids[p.at-1]
}

func (p *database) turn(step int) {
	n := len(p.grids) + 1
	filter := p.Filter()
	p.at = (p.at + step + n) % n
	p.Find(filter)
}

// Find filters the overview and every table.
func (p *database) Find(text string) {
	p.list.Find(text)
	for _, g := range p.grids {
		g.Find(text)
	}
}

// Next moves in the view.
func (p *database) Next(step int) {
	if g := p.grid(); g != nil {
		g.Next(step)
		return
	}
	p.list.Next(step)
}

// Point is what is under the cursor of the view.
func (p *database) Point() pane.Point {
	if g := p.grid(); g != nil {
		return g.point()
	}
	return p.list.Point()
}

// Summary is the worst line, or the view.
func (p *database) Summary() string {
	switch {
	case p.nothing != "":
		return "none configured"
	case p.at > 0:
		return p.grids[p.at-1].view.name
	case len(p.lines) > 0 && p.lines[0].id == "away":
		return "away " + p.lines[0].since
	}
	return p.summary("ok")
}

// View draws the overview or a table.
func (p *database) View(f pane.Frame) string {
	if p.nothing != "" {
		lines := pane.Wrap(p.nothing, f.W-4)
		for i := range lines {
			lines[i] = "  " + f.Theme.Faint.Render(lines[i])
		}
		return strings.Join(lines[:min(len(lines), f.H)], "\n")
	}
	if g := p.grid(); g != nil {
		return clip(g.draw(f), f.W)
	}
	return p.draw(p.readings(f.Now), f)
}
