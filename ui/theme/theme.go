// Package theme holds every style and every glyph of the deck.
//
// It uses the sixteen colours of the terminal on the default background, bold,
// reverse and faint, so that light and dark terminals both work and nothing
// has to be asked. Meaning is never carried by colour alone: every level has a
// mark, and every glyph an ASCII twin. Nothing else in the program may create a
// lipgloss style. Start with Theme; Detect decides what a terminal can show.
package theme

import (
	"github.com/advanced-lms/opsdeck/checks"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// Color says how much styling a terminal gets.
type Color uint8

// The amounts of styling. The zero value suits every terminal ever built.
const (
	Plain   Color = iota // no escape sequences in the text at all
	Mono                 // bold, faint and reverse, no colour (NO_COLOR)
	Sixteen              // and the sixteen colours of the terminal
)

var colorNames = [...]string{"plain", "mono", "color"}

// String is the word the command line and ":theme" use.
func (c Color) String() string { return colorNames[c] }

// Options is what differs from terminal to terminal.
type Options struct {
	ASCII bool  // draw with ASCII alone
	Color Color // how much styling
}

// A Style is a pair of escape sequences, frozen when the theme is made: cheap
// enough to use for every span of every frame. The zero Style does nothing.
type Style struct{ open, shut string }

// Render wraps text, which must be free of control characters and of newlines.
func (s Style) Render(text string) string {
	if s.open == "" || text == "" {
		return text
	}
	return s.open + text + s.shut
}

// A Theme is the look of one terminal. It is immutable; toggles make a new one.
type Theme struct {
	Options
	Glyphs

	Text   Style // ordinary text
	Strong Style // what the eye should find: names, numbers that decided
	Faint  Style // what is there for completeness: units, hints, old values
	Title  Style // titles of regions
	Focus  Style // the title of the region that has the keys
	Rule   Style // separators and frames
	Key    Style // a key in a help line
	Cursor Style // the line under the cursor
	Match  Style // what a search found
	Badge  Style // PAUSED, READ-ONLY

	crit, warn, unknown, ok, skipped Style

	renderer *lipgloss.Renderer
}

// New makes the theme for a renderer, which must not be shared with another
// theme: New sets its colour profile.
func New(r *lipgloss.Renderer, o Options) *Theme {
	profile := termenv.ANSI
	if o.Color == Plain {
		profile = termenv.Ascii
	}
	r.SetColorProfile(profile)
	r.SetHasDarkBackground(true)
	t := &Theme{Options: o, Glyphs: unicodeGlyphs, renderer: r}
	if o.ASCII {
		t.Glyphs = asciiGlyphs
	}
	plain := r.NewStyle()
	ink := func(color string, s lipgloss.Style) Style {
		if o.Color == Sixteen && color != "" {
			s = s.Foreground(lipgloss.Color(color))
		}
		return freeze(s)
	}
	bold, faint, reverse := plain.Bold(true), plain.Faint(true), plain.Reverse(true)
	t.Strong, t.Faint, t.Rule = ink("", bold), ink("", faint), ink("", faint)
	t.Title, t.Focus, t.Key = ink("", bold), ink("", bold.Reverse(true)), ink("6", bold)
	t.Cursor, t.Match, t.Badge = ink("", reverse), ink("3", reverse), ink("", reverse)
	t.crit, t.warn, t.unknown = ink("1", bold), ink("3", plain), ink("5", plain)
	t.ok, t.skipped = ink("2", plain), ink("", faint)
	return t
}

// With is the same terminal with other options.
func (t *Theme) With(o Options) *Theme { return New(t.renderer, o) }

// Level is the style of a level's mark and of the words that decided it.
func (t *Theme) Level(l checks.Level) Style {
	switch l {
	case checks.Crit:
		return t.crit
	case checks.Warn:
		return t.warn
	case checks.OK:
		return t.ok
	case checks.Skipped:
		return t.skipped
	default:
		return t.unknown
	}
}

// Mark is the level's mark, always two cells, styled: it says without colour
// what the colour says.
func (t *Theme) Mark(l checks.Level) string { return t.Level(l).Render(Mark(l)) }

// freeze takes lipgloss apart once, so that drawing is concatenation.
func freeze(s lipgloss.Style) Style {
	const probe = "x"
	text := s.Render(probe)
	for i := range text {
		if text[i] == probe[0] {
			return Style{text[:i], text[i+1:]}
		}
	}
	return Style{}
}
