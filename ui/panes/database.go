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

// Database is the pane of the PostgreSQL server: an overview, and the views of
// database_views.go behind it. An action that the site does not allow is not
// offered: forbids gives the reason for a module, "" if it is allowed, from
// memory and from any goroutine.
func Database(forbids func(module string) string) pane.Spec {
	return pane.Spec{
		ID: "database", Title: "DATABASE", Order: 3, Min: pane.Size{W: 22, H: 1},
		Needs: databaseNeeds,
		New: func(pane.Deps) pane.Pane {
			p := &database{list: newList("waiting for the first answers"), forbids: forbids}
			for _, v := range views {
				p.grids = append(p.grids, newGrid(v))
			}
			return p
		},
	}
}

// databaseNeeds are the checks of the overview that there are.
func databaseNeeds(s watch.Snapshot) []string {
	var ids []string
	for _, name := range databaseChecks {
		if id, ok := databaseCheck(s, name); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// databaseChecks are the modules that the overview reads. Those of the views
// are named by Looks while they are shown.
var databaseChecks = []string{
	"pg.ping", "pg.connections", "pg.locks", "pg.tps", "pg.slow", "pg.dbsize", "pg.deadtuples", "pg.tables",
	"pg.replication", "pg.wal", "pg.wraparound",
}

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
	back    int // the view that led into this one by a selection; 0 if none did
	snap    watch.Snapshot
	memory  memory
	nothing string // why there is nothing to show, "" if there is
	forbids func(module string) string
	session string // the timeouts of the session, as the server has them
}

// Show takes the newest snapshot.
func (p *database) Show(s watch.Snapshot) {
	p.snap, p.memory = s, p.memory.keep(s)
	p.nothing = absent(s)
	p.session = p.timeouts(s.At)
	p.set(p.readings(s.At), nil, 0)
	p.refresh()
}

// refresh gives the view its newest rows.
func (p *database) refresh() {
	if g := p.grid(); g != nil {
		s, _ := p.source(g.at().check, p.snap.At)
		g.show(s)
	}
}

func (p *database) source(module string, now time.Time) (source, bool) {
	id, ok := databaseCheck(p.snap, module)
	if !ok {
		return source{}, false
	}
	return p.memory.source(p.snap, id, now)
}

// timeouts are what bounds the checks at the server, as it reported them.
func (p *database) timeouts(now time.Time) string {
	s, ok := p.source("pg.ping", now)
	if !ok {
		return ""
	}
	return join(s.bare("statement_timeout", "statement_timeout", "", ""), s.bare("lock_timeout", "lock_timeout", "", ""))
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

// Looks are the checks on demand that the view shows; of a server that is away
// the host is looked at from outside.
func (p *database) Looks() []string {
	var modules, ids []string
	if g := p.grid(); g != nil {
		modules = append(modules, g.at().check)
	}
	if server, known := p.source("pg.ping", p.snap.At); known && gone(server) {
		modules = append(modules, "pg.host")
	}
	for _, module := range modules {
		id, ok := databaseCheck(p.snap, module)
		if st, _ := p.snap.State(id); ok && st.Check.OnDemand {
			ids = append(ids, id)
		}
	}
	return ids
}

// Handle takes nothing: the pane asks for nothing.
func (p *database) Handle(any) tea.Cmd { return nil }

// grid is the view that is a table, nil for the overview.
func (p *database) grid() *grid {
	if p.at == 0 || p.nothing != "" {
		return nil
	}
	return p.grids[p.at-1]
}

// goTo shows a view; a selection that led into the one before ends.
func (p *database) goTo(view int) {
	if g := p.grid(); g != nil {
		g.only = nil
	}
	filter := p.Filter()
	p.at, p.back = view, 0
	p.Find(filter)
	p.refresh()
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
		return clip(g.draw(f, p.session, p.without(f.Now)), f.W)
	}
	return p.draw(p.readings(f.Now), f)
}

// without draws what is known of a server that is away; nil while it is there.
func (p *database) without(now time.Time) func(pane.Frame) string {
	server, known := p.source("pg.ping", now)
	if !known || !gone(server) {
		return nil
	}
	return func(f pane.Frame) string { return p.draw(p.awayLines(server), f) }
}

func action(id, what, help string, do func() tea.Cmd, keys ...string) pane.Action {
	return pane.Action{ID: id, Help: help, Do: do, Key: key.NewBinding(key.WithKeys(keys...), key.WithHelp(keys[0], what))}
}
