package ui

import (
	"strings"

	"github.com/advanced-lms/opsdeck/ui/pane"
)

// View is the screen. bubbletea asks for it after every message and, having no
// renderer, does nothing with it: the painter is given it. It is composed only
// when something changed.
func (m *Model) View() string {
	defer m.logPanic()
	if m.stale {
		m.screen = m.compose()
		m.stale = false
		m.painter.show(frame{epoch: m.epoch, text: m.screen})
	}
	return m.screen
}

// compose puts the screen together, exactly as many lines as there are rows.
func (m *Model) compose() string {
	w, h := m.size.W, m.size.H
	if w <= 0 || h <= 0 {
		return ""
	}
	f := pane.Frame{W: w, H: h, Theme: m.theme, Now: m.now}
	lines := make([]string, 0, h)
	lines = append(lines, m.header(f))
	lines = append(lines, m.body(f.In(w, h-1-m.layout.foot))...)
	lines = append(lines, m.footer(f.In(w, m.layout.foot))...)
	if len(m.overlays) > 0 {
		o := m.overlays[len(m.overlays)-1]
		if !m.overlaySafely(o, func() { lines = m.overlaid(f, o, lines) }) {
			return m.compose() // the overlay is gone: draw what was below it
		}
	}
	lines = lines[:min(len(lines), h)]
	for i, line := range lines {
		lines[i] = m.finish(line, w)
	}
	return strings.Join(lines, "\n")
}

// finish is the last fence: nothing wider than the screen, nothing but ASCII
// where the terminal knows nothing else, and no blanks at the end of a line,
// because they cost bytes.
func (m *Model) finish(line string, w int) string {
	if m.theme.ASCII {
		line = ascii(line)
	}
	return strings.TrimRight(pane.Cut(line, w, ""), " ")
}

// ascii replaces what is not ASCII by as many "?" as it has cells. In a locale
// that is not UTF-8 the bytes of a character could be control codes.
func ascii(line string) string {
	for i := range len(line) {
		if line[i] < 0x80 {
			continue
		}
		var b strings.Builder
		for _, r := range line {
			if r < 0x80 {
				b.WriteRune(r)
				continue
			}
			b.WriteString(strings.Repeat("?", pane.Width(string(r))))
		}
		return b.String()
	}
	return line
}

// body draws the regions of the layout, one band of regions after the other.
func (m *Model) body(f pane.Frame) []string {
	rows := make([]string, 0, max(0, f.H))
	for y := 1; y <= f.H; y++ {
		var line strings.Builder
		x := 0
		for _, p := range m.layout.places {
			if y < p.y || y >= p.y+p.h || p.x < x {
				continue
			}
			line.WriteString(m.cellLine(p, y-p.y, f))
			x = p.x + p.w
		}
		rows = append(rows, line.String())
	}
	return rows
}

// cellLine is one line of a region at its place: its rule, or its content with
// the separator to its left.
func (m *Model) cellLine(p place, row int, f pane.Frame) string {
	f.Focused = p.region == m.focus && len(m.overlays) == 0
	f.Now = m.shownAt
	r, th := m.regions[p.region], m.theme
	edge := ""
	w := p.w
	if p.x > 0 {
		w--
		edge = th.Rule.Render(th.Vertical)
		if row == 0 {
			edge = th.Rule.Render(m.joint(p))
		}
	}
	lines := r.view(m, f.In(w, p.h-1))
	if row == 0 {
		return edge + pane.Rule(f, m.title(p.region), r.note, w)
	}
	return edge + lines[row-1]
}

// joint is the glyph where the rule of a region meets the separator at its left.
func (m *Model) joint(p place) string {
	above, below, left := false, true, false
	for _, q := range m.layout.places {
		above = above || q.x == p.x && q.y+q.h == p.y
		left = left || q.x+q.w == p.x && q.y == p.y
	}
	switch {
	case above && below && left:
		return m.theme.Cross
	case left:
		return m.theme.DownTee
	}
	return m.theme.RightTee
}

// title is the digit and the name of a region.
func (m *Model) title(region int) string {
	title := m.regions[region].spec.Title
	if region > 0 {
		title = string(rune('0'+region)) + " " + title
	}
	if m.zoom {
		title += " (z)"
	}
	return title
}

// overlaid draws an overlay over what is there. Overlays below the top one
// stay hidden: one question at a time.
func (m *Model) overlaid(f pane.Frame, o pane.Overlay, back []string) []string {
	most := pane.Size{W: f.W, H: f.H - 1 - m.layout.foot}
	f.Focused = true
	if most.W < 30 || most.H < 6 { // no room for a frame
		return pane.Over(back, pane.Fit(o.View(f.In(most.W, most.H)), most.W, most.H), 0, 1)
	}
	inner := pane.Size{W: most.W - 4, H: most.H - 2}
	size := o.Size(inner)
	size.W, size.H = min(inner.W, max(1, size.W)), min(inner.H, max(1, size.H))
	view := strings.Split(o.View(f.In(size.W, size.H)), "\n")
	box := pane.Box(f, o.Title(), view, size.W+4, size.H+2)
	return pane.Over(back, box, (most.W-size.W-4)/2, 1+(most.H-size.H-2)/2)
}
