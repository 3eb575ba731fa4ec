package panes

import (
	"strconv"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// Actions change the view and move in it.
func (p *database) Actions() []pane.Action {
	acts := append(p.moves(),
		action("view", "next view; w lists them", "view", done(func() { p.step(1) }), "v"),
		action("view-before", "view before", "", done(func() { p.step(-1) }), "V"),
		action("views", "choose a view by its letter", "views", p.choose, "w"))
	g := p.grid()
	if g == nil {
		return append(acts, p.evidence())
	}
	acts = append(append(acts, p.into(g), p.facets(g)), p.acting(g)...)
	if p.back > 0 {
		acts = append(acts, action("back-to", "back to "+p.grids[p.back-1].view.name, "back", done(p.leave), "esc", "backspace"))
	}
	return append(append(acts, p.ordering(g)...), p.evidence())
}

// done is a deed that asks for nothing.
func done(do func()) func() tea.Cmd {
	return func() tea.Cmd {
		do()
		return nil
	}
}

func (p *database) moves() []pane.Action {
	if g := p.grid(); g != nil {
		return g.Moves()
	}
	return p.Moves()
}

// step goes to a neighbour of the view.
func (p *database) step(n int) {
	all := len(p.grids) + 1
	p.goTo((p.at + n + all) % all)
}

// into opens the row, or shows the sessions that a pivot counts.
func (p *database) into(g *grid) pane.Action {
	act := action("row", "the row in full", "row", g.open, "enter")
	if g.at().into != "" {
		act = action("row", "the sessions that the row counts", "sessions", done(p.drill), "enter")
	}
	if _, ok := g.Selected(); !ok {
		act.Off = "no row under the cursor"
	}
	return act
}

// facets goes through the tables or selections of a view.
func (p *database) facets(g *grid) pane.Action {
	next := (g.facet + 1) % len(g.view.facets)
	act := action("part", "next part of the view", "", done(func() { p.part(next) }), "f")
	if len(g.view.facets) == 1 {
		act.Off = g.view.name + " has one part"
		return act
	}
	act.Help = "part"
	return act
}

func (p *database) part(to int) {
	p.grid().turn(to)
	p.refresh()
}

// ordering chooses what rows are ordered by, and the columns that are in sight.
func (p *database) ordering(g *grid) []pane.Action {
	by := func(n int) func() tea.Cmd { return done(func() { g.order(n); p.refresh() }) }
	next, before := action("order", "order by the next column", "order", by(1), ">"), action("order-before", "order by the column before", "", by(-1), "<")
	flip := action("flip", "turn the order round", "", done(func() { g.down = !g.down; p.refresh() }), "s")
	if g.at().tree {
		next.Off = "a tree has its own order"
		before.Off, flip.Off = next.Off, next.Off
	}
	if g.by < 0 && flip.Off == "" {
		flip.Off = "choose a column first, with > or <"
	}
	return []pane.Action{
		next, before, flip,
		action("columns", "further columns to the right, the first stays", "", done(func() { g.Shift(1) }), "right"),
		action("columns-before", "columns back to the left", "", done(func() { g.Shift(-1) }), "left"),
	}
}

// drill shows the sessions of the row of a pivot.
func (p *database) drill() {
	from := p.grid()
	r, ok := from.selected()
	if !ok {
		return
	}
	column, back := from.at().into, p.at
	for i, g := range p.grids {
		if g.view.name == "sessions" {
			g.turn(0)
			p.goTo(i + 1)
			g.only, p.back = &selection{column, r.cell("name").String()}, back
		}
	}
	p.refresh()
}

// leave goes back to the view that led into this one.
func (p *database) leave() { p.goTo(p.back) }

// choose opens the list of views.
func (p *database) choose() tea.Cmd {
	menu := &pane.Menu{Head: "views", At: p.at, Choose: func(i int) tea.Cmd { p.goTo(i); return nil }}
	menu.Items = append(menu.Items, pane.MenuItem{Key: overview.letter, Name: overview.name, Note: overview.what})
	for _, g := range p.grids {
		menu.Items = append(menu.Items, pane.MenuItem{Key: g.view.letter, Name: g.view.name, Note: join(g.view.what, p.told(g))})
	}
	return pane.Push(menu)
}

// told is how many rows a view has now, where that is known, and that its
// check is not well.
func (p *database) told(g *grid) string {
	s, ok := p.source(g.view.facets[0].check, p.snap.At)
	if !ok || !s.Known() {
		return ""
	}
	text := ""
	if t, ok := s.facts.Table(g.view.facets[0].table); ok {
		text = "(" + strconv.Itoa(len(t.Rows)) + ")"
	}
	if l := shown(s.State, p.snap.At); l != checks.OK && l != checks.Skipped {
		text += " " + l.String()
	}
	return text
}
