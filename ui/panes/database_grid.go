package panes

import (
	"fmt"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

// A grid is a view with its rows, cursor, filter and order. Rows are made when
// there is something new to make them of; drawing only lays them out.
type grid struct {
	pane.Table
	view  view
	facet int
	by    int // the column the rows are ordered by; -1 for the module's order
	down  bool
	only  *selection // of a pivot: the rows of one of its lines

	marked map[string]bool // rows by identity, for an action on several
	marks  int             // counts changes of the marks

	source source
	found  bool // the module's result has the table
	all    []record
	counts []int  // rows by facet
	chips  []chip // the line above the rows
	made   made
}

// A record is a row of the module's table, with what tells it from others.
type record struct {
	id    string
	cells map[string]fact.Value
	level checks.Level
}

func (r record) cell(name string) fact.Value {
	if v, ok := r.cells[name]; ok {
		return v
	}
	return fact.WordValue("")
}

// A selection is a value that a column must have.
type selection struct{ column, value string }

// made is all that the rows depend on: while it is the same they stay.
type made struct {
	known bool
	old   bool
	level checks.Level
	facet int
	by    int
	down  bool
	only  selection
	marks int
}

func newGrid(v view) *grid {
	g := &grid{view: v, by: -1, Table: pane.Table{Head: true, Steady: true}}
	g.turn(0)
	return g
}

// at is the facet that is shown.
func (g *grid) at() facet { return g.view.facets[g.facet] }

// turn shows another facet. Where its columns are the same, order and place
// stay.
func (g *grid) turn(to int) {
	before := g.at().columns
	g.facet = to
	after := g.at()
	if g.Columns != nil && slices.Equal(before, after.columns) {
		return
	}
	g.by, g.down = -1, false
	list := make([]pane.Column, len(after.columns))
	for i, c := range after.columns {
		list[i] = c.layout(i)
	}
	g.SetColumns(list)
}

// order sorts by another column, n further on, numbers from the largest and
// words from the first; beyond the last there is the module's own order.
func (g *grid) order(n int) {
	columns := g.at().columns
	for {
		g.by = (g.by+1+n+len(columns)+1)%(len(columns)+1) - 1
		if g.by < 0 || columns[g.by].as != barred {
			break
		}
	}
	g.down = g.by >= 0 && g.numeric(columns[g.by].name)
}

func (g *grid) numeric(name string) bool {
	for _, r := range g.all {
		if v := r.cell(name); v.Type != fact.Text {
			return true
		}
	}
	return false
}

// show takes the newest result; what is old stays, faint.
func (g *grid) show(s source) {
	fresh := g.source.facts.At != s.facts.At || g.source.facts.Module != s.facts.Module
	g.source = s
	want := made{old: s.old, known: s.Known(), level: s.Level, facet: g.facet, by: g.by, down: g.down, marks: g.marks}
	if g.only != nil {
		want.only = *g.only
	}
	if !fresh && want == g.made {
		return
	}
	g.made = want
	g.take()
	g.place()
}

// take reads the table of the result.
func (g *grid) take() {
	f := g.at()
	t, ok := g.source.facts.Table(f.table)
	g.found = ok
	levels := g.levels()
	g.all = g.all[:0]
	seen := map[string]int{}
	for _, values := range t.Rows {
		r := record{cells: named(t, values)}
		r.id = f.id(r.cell)
		if seen[r.id]++; seen[r.id] > 1 {
			r.id += fmt.Sprint(" #", seen[r.id])
		}
		r.level = checks.OK
		if l, ok := levels[r.cell(f.names()[0]).String()]; ok {
			r.level = l
		}
		g.all = append(g.all, r)
	}
	g.counts = g.tally()
	g.chips = chips(g.source, f, g.all)
}

// named are the values of a row by their columns.
func named(t checks.Table, values []fact.Value) map[string]fact.Value {
	cells := make(map[string]fact.Value, len(t.Columns))
	for i, c := range t.Columns {
		if i < len(values) {
			cells[c.Name] = values[i]
		}
	}
	return cells
}

// levels are what the check's rules made of the objects they name.
func (g *grid) levels() map[string]checks.Level {
	levels := map[string]checks.Level{}
	if g.source.old {
		return levels
	}
	for _, b := range g.source.facts.Why {
		if have, ok := levels[b.Label]; b.Label != "" && (!ok || b.Level.Worse(have)) {
			levels[b.Label] = b.Level
		}
	}
	return levels
}

// tally counts the rows of the facets that select from the same table.
func (g *grid) tally() []int {
	counts := make([]int, len(g.view.facets))
	for i, f := range g.view.facets {
		counts[i] = -1
		if f.check != g.at().check || f.table != g.at().table {
			continue
		}
		counts[i] = 0
		for _, r := range g.all {
			if f.only == nil || f.only(r.cell) {
				counts[i]++
			}
		}
	}
	return counts
}

// nothing says why there are no rows.
func (g *grid) nothing() string {
	s := g.source
	switch {
	case s.Check.ID == "":
		return "this site or this build has no check " + g.at().check
	case !s.Known() && !s.Stuck:
		return "waiting for the first answer"
	case s.Level == checks.Skipped && s.facts.Note != "":
		return s.facts.Note
	case s.blank() || s.trouble != "":
		return why(s)
	case !g.found:
		return "? " + g.at().check + " gave no " + g.at().table
	case g.only != nil:
		return "no session with " + g.only.column + " " + g.only.value + " any more"
	}
	return g.at().empty
}

// selected is the record under the cursor.
func (g *grid) selected() (record, bool) {
	row, ok := g.Selected()
	if !ok {
		return record{}, false
	}
	return g.record(row.ID)
}

// record is the one of that identity in the newest answer.
func (g *grid) record(id string) (record, bool) {
	i := slices.IndexFunc(g.all, func(r record) bool { return r.id == id })
	if i < 0 {
		return record{}, false
	}
	return g.all[i], true
}

// point is what is under the cursor, for copying.
func (g *grid) point() pane.Point {
	p := pane.Point{Check: g.source.Check.ID}
	r, ok := g.selected()
	if !ok {
		return p
	}
	var texts []string
	for _, c := range g.at().columns {
		if c.as != barred {
			texts = append(texts, c.write(r.cell(c.name)))
		}
	}
	p.Value, p.Line, p.Query = r.cell(g.at().names()[0]).String(), join(texts...), r.cell("query").Text
	return p
}
