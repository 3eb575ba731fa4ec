package pane

// A Column of a Table. Widths are measured from the rows, between Min and Max.
// Where there is no room, columns shrink to Min, the least Keep first, and
// then disappear, the least Keep first. Numbers are never cut, they go; the
// first column stays.
type Column struct {
	Title string
	Min   int  // cells; 0 means the title's width
	Max   int  // cells; 0 means as wide as its widest cell
	Right bool // numbers
	Keep  int  // the higher the longer it stays
	Fill  bool // takes the cells that are left over
}

// columnGap is the space between two columns.
const columnGap = 2

// widths fits the columns into w cells; 0 means the column is not shown.
func (t *Table) widths(w int) []int {
	widths, least := make([]int, len(t.Columns)), make([]int, len(t.Columns))
	for i, c := range t.Columns {
		least[i] = c.Min
		if least[i] == 0 {
			least[i] = max(1, Width(c.Title))
		}
		want := least[i]
		if t.Head {
			want = max(want, Width(c.Title))
		}
		if i < len(t.widest) {
			want = max(want, t.widest[i])
		}
		if c.Max > 0 {
			want = min(want, c.Max)
		}
		if widths[i] = want; c.Right {
			least[i] = want
		}
	}
	order := t.expendable()
	for _, i := range order {
		if over := total(widths) - w; over > 0 {
			widths[i] -= min(over, max(0, widths[i]-least[i]))
		}
	}
	for _, i := range order {
		if total(widths) > w && i > 0 {
			widths[i] = 0
		}
	}
	if len(widths) > 0 {
		widths[0] = min(widths[0], max(1, w))
	}
	t.stretch(widths, w)
	return widths
}

// stretch gives what is left over to the column that fills.
func (t *Table) stretch(widths []int, w int) {
	left := w - total(widths)
	for i, c := range t.Columns {
		if c.Fill && widths[i] > 0 && left > 0 {
			widths[i] += left
			return
		}
	}
}

// expendable orders columns by Keep, the least first; of equals the rightmost.
func (t *Table) expendable() []int {
	order := make([]int, 0, len(t.Columns))
	for i := len(t.Columns) - 1; i >= 0; i-- {
		order = append(order, i)
	}
	for i := 1; i < len(order); i++ { // insertion sort: stable, and never more than a dozen
		for j := i; j > 0 && t.Columns[order[j]].Keep < t.Columns[order[j-1]].Keep; j-- {
			order[j], order[j-1] = order[j-1], order[j]
		}
	}
	return order
}

func total(widths []int) int {
	sum, shown := 0, 0
	for _, w := range widths {
		if w > 0 {
			sum += w
			shown++
		}
	}
	return sum + max(0, shown-1)*columnGap
}
