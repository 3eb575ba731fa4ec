package pane

import (
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// A Cell is one plain text with its style, or a chart of verdicts, of numbers
// or of a share, as wide as its column.
type Cell struct {
	Text   string
	Style  theme.Style
	Strong bool   // stands out, where there is no other style
	Tree   []Twig // before the text: where its row hangs in a tree
	Ticks  []watch.Tick
	Spark  []float64
	Share  *float64 // a bar from 0 to 1
}

// draw is the cell in at most w cells, and the style to paint it with. A row
// in one style (flat) gets charts without their own.
func (c Cell) draw(f Frame, w int, flat bool) (string, theme.Style) {
	switch {
	case c.Ticks != nil:
		drawn := Ticks(f.Theme, c.Ticks, w)
		if flat {
			drawn = unstyled(drawn)
		}
		return drawn, theme.Style{}
	case c.Spark != nil:
		return Spark(f.Theme, c.Spark, w, 0), c.Style
	case c.Share != nil:
		drawn := Gauge(f.Theme, *c.Share, w)
		if flat {
			drawn = unstyled(drawn)
		}
		return drawn, theme.Style{}
	}
	style := c.Style
	if c.Strong && style == (theme.Style{}) {
		style = f.Theme.Strong
	}
	return f.Cut(twigs(f.Theme, c.Tree)+Plain(prefix(c.Text, max(1, w))), w), style
}

// width is what the cell would like to have.
func (c Cell) width() int { return len(c.Tree)*twigWidth + Width(Plain(c.Text)) }

// Cells makes unstyled cells.
func Cells(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, t := range texts {
		cells[i].Text = t
	}
	return cells
}

// A Row of a Table.
type Row struct {
	ID    string // stable identity: the cursor stays on it when rows move
	Level checks.Level
	Cells []Cell
	Sub   string // a faint line below the row that belongs to it; "" for none
	Faint bool   // old or unimportant
}

// A Table draws rows in columns, with a cursor, a filter and scrolling. Styles
// are applied after fitting. The zero Table is empty; embed it in a pane to
// get Find and Next.
type Table struct {
	Columns []Column
	Marks   bool   // each row begins with its level's mark
	Head    bool   // titles in the first line
	Empty   string // shown when there are no rows at all: the reason
	By      int    // the column the rows are in the order of, from 1; 0 for none
	Down    bool   // from the largest to the least
	Steady  bool   // columns do not get narrower while rows come and go

	scroll Scroll
	rows   []Row
	shown  []int  // indexes of rows that pass the filter
	widest []int  // measured per column
	at     string // ID of the row under the cursor
	moved  bool   // the cursor was put somewhere; until then it is on the first row
	filter string
	left   int // columns after the first that are out of sight at the left
}

// SetRows replaces the rows; the cursor stays on the row it was put on. One
// that nobody has moved, or that was moved back to the top, stays at the top,
// so that a list of what is worst shows the worst.
func (t *Table) SetRows(rows []Row) {
	t.rows = rows
	if !t.Steady || len(t.widest) != len(t.Columns) {
		t.widest = make([]int, len(t.Columns))
	}
	for _, r := range rows {
		for i, c := range r.Cells {
			if i < len(t.widest) {
				t.widest[i] = max(t.widest[i], c.width())
			}
		}
	}
	t.refilter()
}

// SetColumns puts other columns in place, with nothing known of their widths
// and all of them in sight.
func (t *Table) SetColumns(columns []Column) { t.Columns, t.widest, t.left = columns, nil, 0 }

// Find filters the rows: only those that contain the text stay, or with "!" in
// front those that do not. Case does not matter.
func (t *Table) Find(text string) {
	t.filter = strings.ToLower(text)
	t.refilter()
}

// Filter is the filter in force, "" if none.
func (t *Table) Filter() string { return t.filter }

// Next moves the cursor among the rows that are shown.
func (t *Table) Next(step int) { t.Move(step) }

// Move moves the cursor by n rows.
func (t *Table) Move(n int) {
	t.scroll.total = len(t.shown)
	t.scroll.Move(n)
	if row, ok := t.Selected(); ok {
		t.at = row.ID
	}
	t.moved = t.scroll.Cursor > 0
}

// Moves are the actions that move the cursor.
func (t *Table) Moves() []Action { return Moves(t.Move, t.scroll.Page) }

// Selected is the row under the cursor.
func (t *Table) Selected() (Row, bool) {
	if i := t.scroll.Cursor; i >= 0 && i < len(t.shown) {
		return t.rows[t.shown[i]], true
	}
	return Row{}, false
}

// Select puts the cursor on the row with that ID, if it is shown.
func (t *Table) Select(id string) {
	for i, at := range t.shown {
		if t.rows[at].ID == id {
			t.scroll.Cursor, t.at, t.moved = i, id, true
		}
	}
}

// Shown are the rows that pass the filter, in their order.
func (t *Table) Shown() []Row {
	rows := make([]Row, len(t.shown))
	for i, at := range t.shown {
		rows[i] = t.rows[at]
	}
	return rows
}

// Len is the number of rows that pass the filter, and of all.
func (t *Table) Len() (shown, all int) { return len(t.shown), len(t.rows) }

func (t *Table) refilter() {
	t.shown = t.shown[:0]
	for i, r := range t.rows {
		if matches(r, t.filter) {
			t.shown = append(t.shown, i)
		}
	}
	t.scroll.total = len(t.shown)
	t.scroll.Cursor = clamp(t.scroll.Cursor, 0, len(t.shown)-1)
	if t.moved {
		t.Select(t.at)
	} else {
		t.scroll.Cursor = clamp(0, 0, len(t.shown)-1)
	}
	if row, ok := t.Selected(); ok && (t.at == "" || !t.moved) {
		t.at = row.ID
	}
}

func matches(r Row, filter string) bool {
	want, inverse := strings.CutPrefix(filter, "!")
	if want == "" {
		return true
	}
	found := strings.Contains(strings.ToLower(r.ID), want) || strings.Contains(strings.ToLower(r.Sub), want)
	for _, c := range r.Cells {
		found = found || strings.Contains(strings.ToLower(c.Text), want)
	}
	return found != inverse
}

// View draws the table into the frame: titles if asked, then rows.
func (t *Table) View(f Frame) string { return strings.Join(t.Lines(f), "\n") }

// Lines is View as lines, at most f.H.
func (t *Table) Lines(f Frame) []string {
	var lines []string
	widths := t.widths(f.W - t.gutter())
	if t.Head && f.H > 1 {
		lines = append(lines, f.Theme.Faint.Render(t.headings(f, widths)))
	}
	if len(t.shown) == 0 {
		for _, part := range Wrap(t.nothing(), f.W-1) {
			lines = append(lines, f.Theme.Faint.Render(f.Cut(" "+part, f.W)))
		}
		return lines[:min(len(lines), max(1, f.H))]
	}
	room := f.H - len(lines)
	from, to := t.scroll.Window(len(t.shown), room)
	used := 0
	for i := from; i < to && used < room; i++ {
		row := t.rows[t.shown[i]]
		lines = append(lines, t.line(f, row, widths, i == t.scroll.Cursor))
		used++
		if row.Sub != "" && t.spare(from, to, i, room, used) {
			lines = append(lines, f.Theme.Faint.Render(f.Cut(spaces(t.gutter()+2)+Plain(row.Sub), f.W)))
			used++
		}
	}
	return lines
}

// spare reports whether a sub-line can be drawn and the cursor still be shown.
func (t *Table) spare(from, _, i, room, used int) bool {
	need := 0
	if t.scroll.Cursor > i {
		need = t.scroll.Cursor - i
	}
	return used+1+need <= room
}

func (t *Table) nothing() string {
	if t.filter != "" && len(t.rows) > 0 {
		return "nothing matches /" + t.filter
	}
	return t.Empty
}

// gutter is the width of the cursor and the mark before the first column.
func (t *Table) gutter() int {
	if t.Marks {
		return 1 + theme.MarkWidth + 1
	}
	return 1
}

func (t *Table) headings(f Frame, widths []int) string {
	cells := make([]Cell, len(t.Columns))
	for i := range t.Columns {
		cells[i].Text = t.heading(f.Theme, i)
	}
	return spaces(t.gutter()) + t.cells(f, cells, widths, nil)
}

// heading is a title with the mark of the order.
func (t *Table) heading(th *theme.Theme, i int) string {
	switch {
	case i != t.By-1:
		return t.Columns[i].Title
	case t.Down:
		return t.Columns[i].Title + th.Down
	}
	return t.Columns[i].Title + th.Up
}

func (t *Table) line(f Frame, r Row, widths []int, cursor bool) string {
	th := f.Theme
	if cursor && f.Focused {
		lead := th.Pointer
		if t.Marks {
			lead += theme.Mark(r.Level) + " "
		}
		text := lead + t.cells(f, r.Cells, widths, nil)
		return th.Cursor.Render(text)
	}
	lead := " "
	if t.Marks {
		lead += th.Mark(r.Level) + " "
	}
	return lead + t.cells(f, r.Cells, widths, func(s theme.Style, text string) string {
		if r.Faint {
			s = th.Faint
		}
		return s.Render(text)
	})
}

// cells draws the cells of a line. Only the text is styled, not the padding,
// so that unchanged bytes stay few. Without paint the line is one style.
func (t *Table) cells(f Frame, cells []Cell, widths []int, paint func(theme.Style, string) string) string {
	var b strings.Builder
	gap := 0
	for i, w := range widths {
		if w <= 0 {
			continue
		}
		var c Cell
		if i < len(cells) {
			c = cells[i]
		}
		text, style := c.draw(f, w, paint == nil)
		fill := w - Width(text)
		if t.Columns[i].Right {
			gap, fill = gap+fill, 0
		}
		b.WriteString(spaces(gap))
		if paint != nil {
			text = paint(style, text)
		}
		b.WriteString(text)
		gap = fill + columnGap
	}
	return b.String()
}
