package pane

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// The kit. Text comes in as plain words and is styled after it was cut to its
// place, so an escape sequence is never cut in two and never counted as width.
//
// Plain, Width, Cut, Pad, Fit: below. Table: table.go, columns.go. Readings ("cpu 31 %"):
// readings.go. Gauge and Spark: charts.go. Box, Rule and Beside: box.go.
// Scroll: scroll.go. Field, the line editor: field.go. Ready-made overlays
// (Form, Prompt, Confirm, Reader): form.go, confirm.go, reader.go.

// Plain makes one line of printable text: what a terminal could take for
// anything but a character becomes "?" or a space, variation selectors go.
// Texts in results are already clean; this is the second fence.
func Plain(s string) string {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return strings.Map(printable, strings.ToValidUTF8(s, "?"))
		}
	}
	return s
}

func printable(r rune) rune {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return ' '
	case r < 0x7f && r >= 0x20:
		return r
	case r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0100 && r <= 0xe01ef:
		return -1 // variation selectors: terminals disagree on the width they cause
	case unicode.IsSpace(r):
		return ' '
	case !unicode.IsPrint(r):
		return '?' // C0, C1, bidi and other format characters, private use
	}
	return r
}

// Width is the number of cells a line takes; styles count nothing.
func Width(s string) int {
	w := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x20 && c < 0x7f:
			w++
		case c == ansi.ESC:
			n := styleLen(s[i:])
			if n == 0 {
				return ansi.StringWidth(s)
			}
			i += n - 1
		default:
			return ansi.StringWidth(s)
		}
	}
	return w
}

// styleLen is the length of the SGR sequence s begins with, 0 if it is another.
func styleLen(s string) int {
	if len(s) < 3 || s[1] != '[' {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && c != ':' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// Cut shortens a line to w cells; what was cut is marked by tail, which is
// part of the w cells.
func Cut(s string, w int, tail string) string {
	if w <= 0 {
		return ""
	}
	if Width(s) <= w {
		return s
	}
	return ansi.Truncate(s, w, tail)
}

// Pad makes a line exactly w cells wide: cut, or filled with spaces.
func Pad(s string, w int) string {
	s = Cut(s, w, "")
	return s + spaces(w-Width(s))
}

// PadLeft is Pad for what stands at the right: numbers.
func PadLeft(s string, w int) string {
	s = Cut(s, w, "")
	return spaces(w-Width(s)) + s
}

// Cut shortens with the theme's ellipsis.
func (f Frame) Cut(s string, w int) string { return Cut(s, w, f.Theme.Ellipsis) }

// Pad makes text exactly w cells wide, with the theme's ellipsis where it was cut.
func (f Frame) Pad(s string, w int) string { return Pad(f.Cut(s, w), w) }

const blank = "                                                                                "

func spaces(n int) string {
	switch {
	case n <= 0:
		return ""
	case n <= len(blank):
		return blank[:n]
	}
	return strings.Repeat(" ", n)
}

// Fit makes a view exactly h lines of exactly w cells, whatever it was given.
// Only styles pass; other control characters become "?".
func Fit(view string, w, h int) []string {
	lines := make([]string, 0, max(0, h))
	for rest, more := view, true; more && len(lines) < h; {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		lines = append(lines, FitLine(line, w))
	}
	for len(lines) < h {
		lines = append(lines, spaces(w))
	}
	return lines
}

// FitLine is Fit for one line.
func FitLine(line string, w int) string {
	line, styled := safe(line)
	line = Pad(line, w)
	if styled && !strings.HasSuffix(strings.TrimRight(line, " "), reset) && !strings.HasSuffix(line, reset) {
		line += reset
	}
	return line
}

const reset = "\x1b[0m"

// safe lets printable characters and styles through and nothing else.
func safe(line string) (clean string, styled bool) {
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == ansi.ESC:
			n := styleLen(line[i:])
			if n == 0 {
				return scrub(line), true
			}
			styled = true
			i += n - 1
		case c < 0x20 || c == 0x7f:
			return scrub(line), true
		case c >= 0x80:
			r, n := utf8.DecodeRuneInString(line[i:])
			if printable(r) != r || r == utf8.RuneError {
				return scrub(line), true
			}
			i += n - 1
		}
	}
	return line, styled
}

func scrub(line string) string {
	var b strings.Builder
	for len(line) > 0 {
		if line[0] == ansi.ESC {
			if n := styleLen(line); n > 0 {
				b.WriteString(line[:n])
				line = line[n:]
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(line)
		if r == utf8.RuneError {
			r = '?'
		}
		if r = printable(r); r >= 0 {
			b.WriteRune(r)
		}
		line = line[n:]
	}
	return b.String()
}
