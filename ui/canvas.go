package ui

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/advanced-lms/opsdeck/ui/pane"
)

// A canvas knows what the terminal shows and finds the bytes that turn it into
// the next screen. It does no I/O.
type canvas struct {
	epoch int      // of the screen that is shown
	shown []string // its lines
	pen   string   // the style that the terminal writes in; "" is none
	out   []byte

	was, is []cell // scratch
}

// A frame is one screen. Another epoch means that the terminal may have moved
// what it shows, as it does when its size changes: everything is sent again.
type frame struct {
	epoch int
	text  string
}

// A cell is one column of a line: a rune that is one column wide in every
// terminal, and the sequences that give it its style.
type cell struct {
	char  rune
	style string
}

var blank = cell{char: ' '}

// bridge is how many unchanged cells are sent again because going around them
// would cost as much.
const bridge = 4

// draw returns what to send for the next screen. It is valid until the next
// call, and empty if there is nothing to change.
func (c *canvas) draw(f frame) []byte {
	c.out = c.out[:0]
	if f.epoch != c.epoch {
		c.out = append(c.out, "\x1b[2J"...)
		c.epoch, c.shown = f.epoch, nil
	}
	lines := strings.Split(f.text, "\n")
	for y := range max(len(lines), len(c.shown)) {
		var was, is string
		if y < len(c.shown) {
			was = c.shown[y]
		}
		if y < len(lines) {
			is = lines[y]
		}
		if was != is {
			c.line(y, was, is)
		}
	}
	c.shown = lines
	c.dip("")
	return c.out
}

// line turns a line into another one. Where a character's width is not beyond
// doubt, columns cannot be counted on, and the line is sent whole.
func (c *canvas) line(y int, was, is string) {
	var known, plain bool
	c.was, known = cells(c.was[:0], was)
	c.is, plain = cells(c.is[:0], is)
	if !known || !plain {
		c.dip("")
		c.move(y, 0)
		c.out = append(c.out, "\x1b[K"...)
		c.out = append(c.out, is...)
		c.out = append(c.out, "\x1b[m"...)
		return
	}
	c.changes(y)
}

// changes sends the cells that differ, and erases what is left of a longer line.
func (c *canvas) changes(y int) {
	at := -1 // the cursor's column, once it is in this line
	for x, char := range c.is {
		if char == cellAt(c.was, x) {
			continue
		}
		switch {
		case at < 0:
			c.move(y, x)
		case x-at > bridge:
			c.skip(x - at)
		default:
			for ; at < x; at++ {
				c.put(c.is[at])
			}
		}
		c.put(char)
		at = x + 1
	}
	for x := len(c.is); x < len(c.was); x++ {
		if c.was[x] == blank {
			continue
		}
		c.dip("") // erasing takes the background of the pen
		if at != len(c.is) {
			c.move(y, len(c.is))
		}
		c.out = append(c.out, "\x1b[K"...)
		return
	}
}

func cellAt(line []cell, x int) cell {
	if x < len(line) {
		return line[x]
	}
	return blank
}

// move puts the cursor on a cell; y and x count from 0.
func (c *canvas) move(y, x int) {
	c.out = append(c.out, "\x1b["...)
	c.out = strconv.AppendInt(c.out, int64(y+1), 10)
	if x > 0 {
		c.out = append(c.out, ';')
		c.out = strconv.AppendInt(c.out, int64(x+1), 10)
	}
	c.out = append(c.out, 'H')
}

// skip moves the cursor to the right.
func (c *canvas) skip(n int) {
	c.out = append(c.out, "\x1b["...)
	c.out = strconv.AppendInt(c.out, int64(n), 10)
	c.out = append(c.out, 'C')
}

// put sends one cell.
func (c *canvas) put(char cell) {
	c.dip(char.style)
	c.out = utf8.AppendRune(c.out, char.char)
}

// dip changes the style that is written in.
func (c *canvas) dip(style string) {
	if c.pen == style {
		return
	}
	if c.pen != "" {
		c.out = append(c.out, "\x1b[m"...)
	}
	c.out = append(c.out, style...)
	c.pen = style
}

// cells takes a line apart. It is plain if it consists of nothing but styles
// and characters that are one column wide everywhere.
func cells(list []cell, line string) (_ []cell, plain bool) {
	style := ""
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			n := styleLen(line[i:])
			if n == 0 {
				return list, false
			}
			style = restyled(style, line[i:i+n])
			i += n
			continue
		}
		char, n := rune(line[i]), 1
		if char >= utf8.RuneSelf {
			char, n = utf8.DecodeRuneInString(line[i:])
		}
		if !narrow(char) {
			return list, false
		}
		list = append(list, cell{char: char, style: style})
		i += n
	}
	return list, true
}

// styleLen is the length of the style sequence (SGR) at the start of s, 0 if
// what is there is something else.
func styleLen(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c < '0' || c > ';':
			return 0
		}
	}
	return 0
}

// restyled is a style after one more sequence: everything since the last reset.
func restyled(style, seq string) string {
	switch {
	case seq == "\x1b[m" || seq == "\x1b[0m":
		return ""
	case style == "":
		return seq
	}
	return style + seq
}

// narrow reports whether a rune takes one column by itself in every terminal
// and joins with none before it.
func narrow(r rune) bool {
	switch {
	case r < 0x7f:
		return r >= 0x20
	case r < 0x300: // before the combining marks; a soft hyphen may be invisible
		return r > 0xa0 && r != 0xad
	case r >= 0x2500 && r < 0x25a0, r >= 0x2800 && r < 0x2900: // boxes, blocks, braille
		return true
	case r >= 0x2010 && r < 0x2c00: // punctuation, arrows, mathematics, symbols
		return pane.Width(string(r)) == 1
	}
	return false
}
