package pane

import (
	"strings"
	"unicode/utf8"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Reading is one line of a pane: "! /var  100 %  0 B free   ..:-=##".
// All texts are plain; Chart may be styled.
type Reading struct {
	Level checks.Level
	Name  string // "cpu"
	Value string // "31 %": in the level's style when it is not ok
	Note  string // "run 2/8 cpu  steal 0"
	Chart string // at the right edge: a Spark, a Gauge; dropped where there is no room
	Old   bool   // the value is from before the last failure: faint
}

// nameWidth is the widest a name gets; longer ones are cut.
const nameWidth = 14

// Readings draws one line per reading, with names and values in columns. The
// mark is always there, so meaning does not depend on colour.
func Readings(f Frame, readings []Reading) []string {
	names, values := 0, 0
	for _, r := range readings {
		names = max(names, Width(Plain(r.Name)))
		values = max(values, Width(Plain(r.Value)))
	}
	names, values = min(names, nameWidth), min(values, max(8, f.W/3))
	lines := make([]string, len(readings))
	for i, r := range readings {
		lines[i] = f.reading(r, names, values)
	}
	return lines
}

func (f Frame) reading(r Reading, names, values int) string {
	th := f.Theme
	left := f.W - 3 - names - 1
	text := th.Mark(r.Level) + " " + f.Pad(Plain(r.Name), names) + " "
	value := f.Cut(Plain(r.Value), min(values, max(0, left)))
	style := th.Level(r.Level)
	switch {
	case r.Old:
		style = th.Faint
	case r.Level == checks.OK:
		style = th.Text
	}
	text += style.Render(value)
	left -= Width(value)
	chart := r.Chart
	if n := Width(chart); n > 0 && n+2 <= left && (r.Note == "" || left-n >= 12) {
		left -= n + 1
	} else {
		chart = ""
	}
	if gap := values - Width(value); r.Note != "" && left > gap+3 {
		note := f.Cut(Plain(r.Note), left-gap-2)
		text += spaces(gap+2) + noteStyle(f, r, note)
		left -= gap + 2 + Width(note)
	}
	if chart != "" {
		text += spaces(left+1) + chart
	}
	return text
}

func noteStyle(f Frame, r Reading, note string) string {
	if r.Old {
		return f.Theme.Faint.Render(note)
	}
	return note
}

// KeyValues draws "name  value" lines with the names faint and aligned, values
// wrapped to the width: for pages such as the debug view.
func KeyValues(f Frame, pairs [][2]string) []string {
	names := 0
	for _, p := range pairs {
		names = max(names, Width(Plain(p[0])))
	}
	names = min(names, max(8, f.W/3))
	var lines []string
	for _, p := range pairs {
		for i, part := range Wrap(p[1], f.W-names-2) {
			name := spaces(names)
			if i == 0 {
				name = f.Theme.Faint.Render(f.Pad(Plain(p[0]), names))
			}
			lines = append(lines, name+"  "+part)
		}
	}
	return lines
}

// Wrap breaks plain text into lines of at most w cells, at spaces where it
// can. It gives at least one line.
func Wrap(text string, w int) []string {
	w = max(1, w)
	var lines []string
	for _, block := range strings.Split(text, "\n") {
		lines = append(lines, wrapLine(Plain(block), w)...)
	}
	return lines
}

func wrapLine(text string, w int) []string {
	var lines []string
	for {
		head := Cut(prefix(text, w), w, "")
		if len(head) == len(text) {
			return append(lines, text)
		}
		if head == "" { // one character wider than the space
			_, n := utf8.DecodeRuneInString(text)
			lines, text = append(lines, "?"), text[n:]
			continue
		}
		rest := text[len(head):]
		if i := strings.LastIndexByte(head, ' '); i > 0 && !strings.HasPrefix(rest, " ") {
			head, rest = text[:i], text[i:]
		}
		lines = append(lines, strings.TrimRight(head, " "))
		text = strings.TrimLeft(rest, " ")
	}
}

// prefix is the part of a text that w cells can show, generously: measuring
// the whole rest for every line would make long texts cost their square.
func prefix(text string, w int) string {
	n := 32 * w
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
