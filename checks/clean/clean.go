// Package clean is the gate that every foreign text passes before it is shown
// or recorded: log lines, HTTP bodies, SQL, names of containers and files.
//
// It is an allow-list of our own. x/ansi's Strip is not one: it lets CR, BEL,
// backspace, C1 controls and bidirectional overrides through, and a carriage
// return alone lets a log line rewrite what is on the screen. What is not
// allowed becomes a visible mark, so that nothing disappears either.
//
// The package knows text only. Secrets are in redact.go.
package clean

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

const (
	ellipsis     = "..."
	tab          = "    "
	newlineMark  = `\n`
	maxCombining = 8 // per cell: more is a way to paint over the lines above
)

// Line makes one line of s: newlines become visible marks and the result is at
// most maxCells wide, cut with "...". maxCells <= 0 means no limit.
func Line(s string, maxCells int) string {
	if plain(s) {
		return cutPlain(s, maxCells)
	}
	// A byte becomes at most four cells and a rune at least none, so text far
	// beyond the limit need not be looked at.
	if maxCells > 0 && len(s) > 64*(maxCells+16) {
		s = s[:64*(maxCells+16)]
	}
	return Cut(scrub(s, false), maxCells)
}

// Block keeps newlines and cuts at maxBytes with a line that says how much is
// missing. maxBytes <= 0 means no limit.
func Block(s string, maxBytes int) string {
	missing := 0
	if maxBytes > 0 && len(s) > maxBytes {
		end := maxBytes
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		missing = len(s) - end
		s = s[:end]
	}
	s = scrub(s, true)
	if missing > 0 {
		s += fmt.Sprintf("\n[%d bytes more]", missing)
	}
	return s
}

// Cells is how many terminal cells a clean text takes.
func Cells(s string) int {
	if plain(s) {
		return len(s)
	}
	cells := 0
	for _, r := range s {
		cells += width(r)
	}
	return cells
}

// Cut shortens a clean text to at most maxCells cells, with "..." where
// something was cut. maxCells <= 0 means no limit.
func Cut(s string, maxCells int) string {
	if maxCells <= 0 || Cells(s) <= maxCells {
		return s
	}
	mark := ellipsis
	if maxCells < len(ellipsis) {
		mark = ellipsis[:maxCells]
	}
	cells := 0
	for i, r := range s {
		if cells += width(r); cells > maxCells-len(mark) {
			return s[:i] + mark
		}
	}
	return s
}

func cutPlain(s string, maxCells int) string {
	if maxCells <= 0 || len(s) <= maxCells {
		return s
	}
	if maxCells < len(ellipsis) {
		return ellipsis[:maxCells]
	}
	return s[:maxCells-len(ellipsis)] + ellipsis
}

// plain reports whether s is printable ASCII, which needs no work.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func scrub(s string, keepNewlines bool) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	combining := 0
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size <= 1 {
			fmt.Fprintf(&b, `\x%02X`, s[0])
			s = s[1:]
			continue
		}
		s = s[size:]
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			combining++
		} else {
			combining = 0
		}
		write(&b, r, keepNewlines, combining)
	}
	return b.String()
}

func write(b *strings.Builder, r rune, keepNewlines bool, combining int) {
	switch {
	case r == '\n' && keepNewlines:
		b.WriteByte('\n')
	case r == '\n':
		b.WriteString(newlineMark)
	case r == '\t':
		b.WriteString(tab)
	case r < ' ':
		b.WriteByte('^')
		b.WriteByte(byte(r) + '@')
	case r == 0x7f:
		b.WriteString("^?")
	case combining > maxCombining:
		return
	case !allowed(r):
		fmt.Fprintf(b, "<U+%04X>", r)
	default:
		b.WriteRune(r)
	}
}

// allowed is the allow-list above ASCII: letters, marks, numbers, punctuation,
// symbols and plain spaces, less the characters that join, hide or turn what
// is around them.
func allowed(r rune) bool {
	if r < 0x7f {
		return true
	}
	switch {
	case r == 0x00AD, r == 0x034F, r == 0x061C, r == 0x115F, r == 0x1160, r == 0x17B4, r == 0x17B5, r == 0x3164, r == 0xFFA0, r == 0xFFFC:
		return false // invisible letters, fillers, the soft hyphen
	case r >= 0x180B && r <= 0x180F, r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0000:
		return false // variation selectors, tags, planes without text
	case unicode.Is(unicode.Zs, r):
		return true
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

// width is a rune's cells. Ambiguous characters count as one, as terminals
// outside East Asian locales draw them.
func width(r rune) int {
	return narrow.RuneWidth(r)
}

// narrow measures the same way whatever the process's locale says.
var narrow = &runewidth.Condition{EastAsianWidth: false, StrictEmojiNeutral: true}
