package panes

import (
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// A view is one table of the database pane: which check has it, the columns in
// the order of the screen, and what an empty one means.
type view struct {
	name, check, table string
	columns            []string
	empty              string
}

// views are the tables in the order of the key v. The last column of each
// takes the room that is left.
var views = []view{
	{"sessions", "pg.connections", "sessions", []string{"pid", "state", "age", "transaction", "wait", "user", "app", "client", "query"}, "no other session"},
	{"blocked", "pg.locks", "blocked", []string{"pid", "blocked_by", "wait", "mode", "relation", "user", "app", "query"}, "nobody waits for a lock"},
	{"blockers", "pg.locks", "roots", []string{"pid", "frees", "age", "state", "user", "app", "client", "query"}, "nobody holds anybody up"},
	{"statements", "pg.slow", "statements", []string{"share", "mean", "calls", "total", "stddev", "rows", "query"}, "no statement was called often enough to count"},
	{"tables", "pg.tables", "tables", []string{"total", "rows", "heap", "indexes", "toast", "table"}, "no tables"},
	{"vacuum", "pg.deadtuples", "tables", []string{"ratio", "dead", "live", "times", "vacuumed", "autovacuum", "table"}, "no table has many dead rows"},
}

// A grid is a view with its rows, cursor and filter.
type grid struct {
	pane.Table
	view   view
	source source
}

// leastText is the room the last column keeps before others are dropped, and
// leastWord that of a column of words.
const (
	leastText = 18
	leastWord = 12
)

func newGrid(v view) *grid {
	g := &grid{view: v, Table: pane.Table{Head: true, Empty: v.empty}}
	for i, name := range v.columns {
		c := pane.Column{Title: strings.ReplaceAll(name, "_", " "), Max: 20, Keep: 10 - i}
		if i == len(v.columns)-1 {
			c.Min, c.Max, c.Keep, c.Fill = leastText, 0, 9, true
		}
		g.Columns = append(g.Columns, c)
	}
	return g
}

// show takes the newest result; what is old stays, faint.
func (g *grid) show(s source) {
	g.source = s
	t, ok := s.facts.Table(g.view.table)
	g.Empty = g.view.empty
	if !ok || s.blank() {
		g.Empty = why(s)
	}
	rows := make([]pane.Row, len(t.Rows))
	seen := map[string]int{}
	for i, row := range t.Rows {
		rows[i] = g.row(t, row, s.old)
		seen[rows[i].ID]++
		if n := seen[rows[i].ID]; n > 1 {
			rows[i].ID += fmt.Sprint("#", n)
		}
	}
	g.SetRows(rows)
}

// row picks the columns; what the table lacks stays empty.
func (g *grid) row(t checks.Table, row []fact.Value, old bool) pane.Row {
	r := pane.Row{Faint: old, Cells: make([]pane.Cell, len(g.view.columns))}
	cell := cells(t, row)
	for i, name := range g.view.columns {
		v := cell(name)
		if v.Type.Numeric() {
			g.Columns[i].Right = i < len(g.view.columns)-1
		}
		r.Cells[i].Text = brief(v)
		if name == "pid" {
			r.Cells[i].Text = v.String()
		}
		if c := &g.Columns[i]; i < len(g.view.columns)-1 {
			c.Min = min(leastWord, max(c.Min, pane.Width(c.Title), pane.Width(pane.Plain(r.Cells[i].Text))))
		}
	}
	r.ID = r.Cells[0].Text
	if g.view.columns[0] != "pid" {
		r.ID = r.Cells[len(r.Cells)-1].Text
	}
	return r
}

// brief is a value for a narrow column.
func brief(v fact.Value) string {
	switch v.Type {
	case fact.Percent:
		return percent(v.Num)
	case fact.Count:
		if v.Num == float64(int64(v.Num)) && v.Num < 1e6 {
			return fact.FormatNumber(v.Num)
		}
		return short(v.Num)
	}
	return v.String()
}

// draw draws the table below one line that says what it is and how old.
func (g *grid) draw(f pane.Frame) string {
	if f.H < 3 {
		return g.View(f)
	}
	shown, all := g.Len()
	head := g.view.name + " " + fmt.Sprint(shown)
	if shown != all {
		head += " of " + fmt.Sprint(all)
	}
	note := ""
	if g.source.trouble != "" && !g.source.blank() {
		note = g.source.trouble
	} else if g.source.Known() {
		note = ago(g.source.Age(f.Now)) + " ago"
	}
	head = " " + f.Theme.Strong.Render(head) + "  " + f.Theme.Faint.Render(f.Cut(pane.Plain(note), max(0, f.W-pane.Width(head)-4)))
	return head + "\n" + g.View(f.In(f.W, f.H-1))
}

func (g *grid) point() pane.Point {
	row, ok := g.Selected()
	if !ok {
		return pane.Point{Check: g.source.Check.ID}
	}
	texts := make([]string, len(row.Cells))
	for i, c := range row.Cells {
		texts[i] = c.Text
	}
	return pane.Point{Check: g.source.Check.ID, Value: row.ID, Line: join(texts...)}
}

// open shows every column of the row in full.
func (g *grid) open() tea.Cmd {
	row, ok := g.Selected()
	if !ok {
		return nil
	}
	pairs := make([][2]string, len(row.Cells))
	for i, c := range row.Cells {
		pairs[i] = [2]string{g.Columns[i].Title, c.Text}
	}
	return pane.Push(&pane.Reader{Head: g.view.name + " " + row.Cells[0].Text, Text: func(f pane.Frame) []string { return pane.KeyValues(f, pairs) }})
}
