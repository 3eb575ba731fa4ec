// Package screen is test support: it shows what a terminal would show.
//
// Text and SVG feed a view, styles and all, to a terminal emulator and read
// its cells back, so that goldens and the pictures of the README are what a
// person sees and cannot drift from the program. Start runs a real program on
// a real pseudo-terminal (pty.go). The package is not part of the binary.
package screen

import (
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/vt"
)

// Text is what a terminal of w columns and h rows shows of a view, without
// styles and without blanks at the end of lines.
func Text(view string, w, h int) string { return text(emulate(view, w, h)) }

// emulate shows a view, whose lines end in "\n", on a new terminal.
func emulate(view string, w, h int) *vt.Emulator {
	e := vt.NewEmulator(w, h)
	lines := strings.Split(view, "\n")
	for i, line := range lines[:min(len(lines), h)] {
		if i > 0 {
			write(e, "\r\n")
		}
		write(e, line)
	}
	return e
}

// write writes to the emulator, which keeps everything in memory.
func write(e *vt.Emulator, s string) {
	if _, err := e.WriteString(s); err != nil {
		panic(err) // only a closed emulator refuses, and none here is
	}
}

func text(e *vt.Emulator) string {
	var b strings.Builder
	for y := range e.Height() {
		var line strings.Builder
		for x := 0; x < e.Width(); {
			content, w := cell(e.CellAt(x, y))
			line.WriteString(content)
			x += w
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		if y < e.Height()-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// cell is what stands in a cell, and how many cells it takes.
func cell(c *uv.Cell) (content string, width int) {
	if c == nil || c.Content == "" {
		return " ", 1
	}
	return c.Content, max(1, c.Width)
}
