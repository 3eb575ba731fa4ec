package pane

// A Column of a Table. Widths are measured from the rows, between Min and Max.
// Where there is no room, columns shrink to Min, the least Keep first, and
// then disappear, the least Keep first. Numbers are never cut, they go; the
// first column stays. A table that was shifted shows its columns in their whole
// width instead, as many as there is room for beside the first.
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

// leastCut is the least of a column of words that is worth showing.
const leastCut = 4

// Shift moves the columns after the first by n to the left, and back again by
// less than 0.
func (t *Table) Shift(n int) { t.left = clamp(t.left+n, 0, len(t.Columns)-2) }

// Shifted is how many columns after the first are out of sight at the left.
func (t *Table) Shifted() int { return t.left }

// InSight is how many of the columns a frame of that width shows.
func (t *Table) InSight(w int) int {
	n := 0
	for _, width := range t.widths(w - t.gutter()) {
		if width > 0 {
			n++
		}
	}
	return n
}

// widths fits the columns into w cells; 0 means the column is not shown.
func (t *Table) widths(w int) []int {
	widths, least := t.wanted()
	if t.left > 0 {
		return t.shifted(widths, w)
	}
	whole := append([]int(nil), widths...)
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
	t.regrow(widths, whole, order, w)
	t.stretch(widths, w)
	return widths
}

// regrow gives room that columns left when they went to those that had shrunk
// for nothing, the highest Keep first.
func (t *Table) regrow(widths, whole, order []int, w int) {
	for k := len(order) - 1; k >= 0; k-- {
		i := order[k]
		if left := w - total(widths); left > 0 && widths[i] > 0 && !t.Columns[i].Fill {
			widths[i] += min(left, max(0, whole[i]-widths[i]))
		}
	}
}

// wanted is the width of each column if there is room for all, and what it can
// be shrunk to.
func (t *Table) wanted() (widths, least []int) {
	widths, least = make([]int, len(t.Columns)), make([]int, len(t.Columns))
	for i, c := range t.Columns {
		title := Width(c.Title)
		if i == t.By-1 {
			title++ // the mark of the order
		}
		least[i] = c.Min
		if least[i] == 0 {
			least[i] = max(1, title)
		}
		want := least[i]
		if t.Head {
			want = max(want, title)
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
	return widths, least
}

// shifted leaves out what is beyond the left and the right edge. The first
// column is always there; the last may be cut, if it is words.
func (t *Table) shifted(wanted []int, w int) []int {
	widths := make([]int, len(wanted))
	widths[0] = min(wanted[0], max(1, w))
	room := w - widths[0]
	for i := 1 + t.left; i < len(wanted); i++ {
		room -= columnGap
		if wanted[i] > room && (t.Columns[i].Right || room < leastCut) {
			break
		}
		widths[i] = min(wanted[i], room)
		room -= widths[i]
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
