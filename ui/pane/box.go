package pane

import (
	"strings"
)

// Rule is a horizontal rule of w cells with a title in it: "-1 SYSTEM  4/8 ---".
// The title is styled by the focus, the note stays faint.
func Rule(f Frame, title, note string, w int) string {
	if w <= 0 {
		return ""
	}
	th := f.Theme
	style := th.Title
	if f.Focused {
		style = th.Focus
	}
	title = f.Cut(Plain(title), w-2)
	used := 1 + Width(title)
	text := th.Rule.Render(th.Horizontal) + style.Render(title)
	if note = Plain(note); note != "" && w-used > 4 {
		note = f.Cut(note, w-used-3)
		text += "  " + note + " "
		used += 3 + Width(note)
	}
	if used > w {
		return Pad(text, w)
	}
	return text + th.Rule.Render(strings.Repeat(th.Horizontal, w-used))
}

// Box draws a frame with a title around lines and fits them to it: the result
// is exactly w×h with one column and one row of frame at each side.
func Box(f Frame, title string, lines []string, w, h int) []string {
	th := f.Theme
	if w < 4 || h < 3 {
		return Fit(strings.Join(lines, "\n"), w, h)
	}
	title = f.Cut(Plain(title), w-6)
	top := th.TopLeft + th.Horizontal
	rest := w - 3
	if title != "" {
		top, rest = top+" ", rest-2-Width(title)
	}
	head := th.Rule.Render(top) + th.Title.Render(title)
	if title != "" {
		head += " "
	}
	head += th.Rule.Render(strings.Repeat(th.Horizontal, rest) + th.TopRight)
	out := append(make([]string, 0, h), head)
	side := th.Rule.Render(th.Vertical)
	for _, line := range Fit(strings.Join(lines, "\n"), w-4, h-2) {
		out = append(out, side+" "+line+" "+side)
	}
	return append(out, th.Rule.Render(th.BottomLeft+strings.Repeat(th.Horizontal, w-2)+th.BottomRight))
}

// Beside joins blocks of lines side by side with a gap between them. Each
// block must already be fitted; shorter ones are filled with blank lines.
func Beside(gap string, blocks ...[]string) []string {
	h := 0
	for _, b := range blocks {
		h = max(h, len(b))
	}
	lines := make([]string, h)
	var text strings.Builder
	for i := range lines {
		text.Reset()
		for j, b := range blocks {
			if j > 0 {
				text.WriteString(gap)
			}
			switch {
			case i < len(b):
				text.WriteString(b[i])
			case len(b) > 0:
				text.WriteString(spaces(Width(b[0])))
			}
		}
		lines[i] = text.String()
	}
	return lines
}

// Over lays a block of fitted lines over a background at column x, row y. Both
// may be styled; what is under the block is cut by cells.
func Over(back, block []string, x, y int) []string {
	out := append([]string(nil), back...)
	for i, line := range block {
		if row := y + i; row >= 0 && row < len(out) {
			out[row] = splice(out[row], line, x)
		}
	}
	return out
}
