package pane

import (
	"slices"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
)

// A Field is one line of text being typed. It is small on purpose: the bubbles
// text input draws with a global renderer and blinks, which costs a line on
// the wire twice a second.
type Field struct {
	Limit int // runes; 0 means 500
	text  []rune
	at    int
}

const fieldLimit = 500

// Text is what was typed.
func (f *Field) Text() string { return string(f.text) }

// Set replaces the text and puts the cursor at its end.
func (f *Field) Set(text string) {
	f.text = nil
	f.at = 0
	f.insert([]rune(text))
}

// Handle takes a key and reports whether it was for the field.
func (f *Field) Handle(msg tea.KeyMsg) bool {
	switch msg.Type {
	case tea.KeyRunes, tea.KeySpace:
		f.insert(msg.Runes)
	case tea.KeyBackspace:
		f.remove(f.at-1, f.at)
	case tea.KeyDelete:
		f.remove(f.at, f.at+1)
	case tea.KeyLeft:
		f.at = max(0, f.at-1)
	case tea.KeyRight:
		f.at = min(len(f.text), f.at+1)
	case tea.KeyHome, tea.KeyCtrlA:
		f.at = 0
	case tea.KeyEnd, tea.KeyCtrlE:
		f.at = len(f.text)
	case tea.KeyCtrlU:
		f.remove(0, f.at)
	case tea.KeyCtrlK:
		f.remove(f.at, len(f.text))
	case tea.KeyCtrlW:
		f.remove(f.wordStart(), f.at)
	default:
		return false
	}
	return true
}

// insert adds typed or pasted text; what is not printable becomes a space or "?".
func (f *Field) insert(typed []rune) {
	limit := f.Limit
	if limit == 0 {
		limit = fieldLimit
	}
	clean := []rune(Plain(string(typed)))
	clean = clean[:min(len(clean), max(0, limit-len(f.text)))]
	f.text = slices.Insert(f.text, f.at, clean...)
	f.at += len(clean)
}

func (f *Field) remove(from, to int) {
	from, to = clamp(from, 0, len(f.text)), clamp(to, 0, len(f.text))
	f.text = slices.Delete(f.text, from, to)
	f.at = from
}

func (f *Field) wordStart() int {
	i := f.at
	for i > 0 && unicode.IsSpace(f.text[i-1]) {
		i--
	}
	for i > 0 && !unicode.IsSpace(f.text[i-1]) {
		i--
	}
	return i
}

// View draws the field in w cells with the cursor in reverse, or as "_" where
// there is no reverse; the part around the cursor is shown.
func (f *Field) View(fr Frame, w int) string {
	if w <= 0 {
		return ""
	}
	from := f.at
	for used := 1; from > 0; from-- {
		if used += Width(string(f.text[from-1])); used > w {
			break
		}
	}
	before := string(f.text[from:f.at])
	under, after := " ", ""
	if f.at < len(f.text) {
		under, after = string(f.text[f.at]), string(f.text[f.at+1:])
	}
	cursor := fr.Theme.Cursor.Render(under)
	if cursor == " " {
		cursor = "_"
	}
	return Pad(before+cursor+after, w)
}
