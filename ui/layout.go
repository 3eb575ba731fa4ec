package ui

import "github.com/advanced-lms/opsdeck/ui/pane"

// A place is where one region is drawn: its rule in the first row, its content
// below.
type place struct {
	region     int // index into Model.regions; 0 is the worst-first list
	x, y, w, h int
}

// A layout is the whole screen: the header in row 0, regions, and the footer
// in the last foot rows. It is a function of the size, the number of regions,
// the focus and the zoom, and of nothing else.
type layout struct {
	size   pane.Size
	foot   int
	places []place
	single bool // one region at a time; digits switch
}

// The least sizes of a deck with several regions; below them there is one.
const (
	gridWidth   = 80
	minPaneRows = 5   // a rule and four lines
	wideWidth   = 140 // from here the last pane stands in a column of its own
)

// arrange lays out n regions, the worst-first list included.
func arrange(size pane.Size, n, focus int, zoom bool) layout {
	l := layout{size: size, foot: footRows(size.H)}
	body := size.H - 1 - l.foot
	if size.W <= 0 || body <= 0 {
		return l
	}
	worst := worstRows(body)
	if zoom || size.W < gridWidth || n < 2 || body-worst < minPaneRows || focus > 4 {
		l.single = true
		l.places = []place{{focus, 0, 1, size.W, body}}
		return l
	}
	l.places = []place{{0, 0, 1, size.W, worst}}
	l.grid(1+worst, body-worst, min(n-1, 4), focus)
	return l
}

// footRows: a line for notices and state, a line for keys, where there is room.
func footRows(h int) int {
	switch {
	case h >= 16:
		return 2
	case h >= 4:
		return 1
	}
	return 0
}

// worstRows is the height of the worst-first list with its rule.
func worstRows(body int) int { return max(4, min(12, (body+2)/3)) }

// grid places up to four panes in h rows from row y on. Where there is room
// for one row of panes only, it is the row that has the focus.
func (l *layout) grid(y, h, panes, focus int) {
	if l.size.W >= wideWidth && panes == 4 && h >= 2*minPaneRows {
		l.wide(y, h)
		return
	}
	top, bottom := pair(1, min(2, panes)), pair(3, panes)
	switch {
	case len(bottom) == 0 || h < 2*minPaneRows && focus < 3:
		l.row(y, h, top)
	case h < 2*minPaneRows:
		l.row(y, h, bottom)
	default:
		upper := (h + 1) / 2
		l.row(y, upper, top)
		l.row(y+upper, h-upper, bottom)
	}
}

// wide gives the fourth pane, the runbook, a column of the whole height.
func (l *layout) wide(y, h int) {
	third := l.size.W / 3
	upper := (h + 1) / 2
	left := l.size.W - third
	l.places = append(l.places,
		place{1, 0, y, left / 2, upper},
		place{2, left / 2, y, left - left/2, upper},
		place{3, 0, y + upper, left, h - upper},
		place{4, left, y, third, h},
	)
}

func (l *layout) row(y, h int, regions []int) {
	x := 0
	for i, r := range regions {
		w := (l.size.W - x) / (len(regions) - i)
		l.places = append(l.places, place{r, x, y, w, h})
		x += w
	}
}

func pair(from, to int) []int {
	var list []int
	for i := from; i <= to; i++ {
		list = append(list, i)
	}
	return list
}
