package panes

import (
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

// place puts the rows of the facet in order and into the table.
func (g *grid) place() {
	f := g.at()
	records := make([]record, 0, len(g.all))
	for _, r := range g.all {
		if (f.only == nil || f.only(r.cell)) && (g.only == nil || r.cell(g.only.column).String() == g.only.value) {
			records = append(records, r)
		}
	}
	g.By, g.Down = g.by+1, g.down
	if g.by >= 0 {
		name := f.columns[g.by].name
		slices.SortStableFunc(records, func(a, b record) int { return compare(a.cell(name), b.cell(name), g.down) })
	}
	g.Marks = slices.ContainsFunc(records, func(r record) bool { return r.level != checks.OK })
	g.Empty = g.nothing()
	g.SetRows(g.rows(records))
}

func (g *grid) rows(records []record) []pane.Row {
	f := g.at()
	var twigs [][]pane.Twig
	if f.tree {
		depths := make([]int, len(records))
		for i, r := range records {
			depths[i] = int(r.cell("depth").Num)
		}
		twigs = pane.Twigs(depths)
	}
	rows := make([]pane.Row, len(records))
	for i, r := range records {
		rows[i] = pane.Row{ID: r.id, Level: r.level, Faint: g.source.old, Cells: make([]pane.Cell, len(f.columns))}
		for j, c := range f.columns {
			rows[i].Cells[j] = c.cell(r.cell(c.name))
			g.fit(j, c, r.cell(c.name), rows[i].Cells[j].Text)
		}
		if f.tree {
			rows[i].Cells[0] = hang(r, twigs[i])
			g.Columns[0].Min = max(g.Columns[0].Min, 2*len(twigs[i])+len(rows[i].Cells[0].Text))
		}
		if g.marked[r.id] {
			rows[i].Cells[0].Text, rows[i].Cells[0].Strong = "*"+rows[i].Cells[0].Text, true
		}
	}
	return rows
}

// hang is the first cell of a row in a tree. A prepared transaction has no
// session that could be named.
func hang(r record, twigs []pane.Twig) pane.Cell {
	c := pane.Cell{Text: r.cell("pid").String(), Tree: twigs, Strong: len(twigs) == 0}
	if r.cell("pid").Type == fact.Count && r.cell("pid").Num == 0 {
		c.Text = "prepared"
	}
	return c
}

// fit tells the layout of a column what its values are: numbers stand at the
// right and are never cut, words keep a few cells.
func (g *grid) fit(i int, c column, v fact.Value, text string) {
	l := &g.Columns[i]
	if c.as == whole || c.as == rest || c.as == barred {
		return
	}
	if v.Type.Numeric() && c.as != hung {
		l.Right = true
	}
	least := leastWord
	if i == 0 && c.long {
		least = mostWord
	}
	l.Min = min(least, max(l.Min, pane.Width(l.Title), pane.Width(pane.Plain(text))))
}
