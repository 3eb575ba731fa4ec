package pane

import (
	"errors"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	tea "github.com/charmbracelet/bubbletea"
)

// A Form is an overlay that asks for one or more lines of text: a reason, a
// note, the evidence of a step. Enter goes to the next entry and, at the last,
// hands all texts to Done if every entry's Check accepts; tab moves between
// entries; esc leaves without a word.
type Form struct {
	Head    string   // title of the frame
	Lines   []string // plain text above the entries
	Entries []Entry
	Done    func(texts []string) tea.Cmd

	at      int
	problem string
}

// An Entry is one line of a Form.
type Entry struct {
	Label string
	Field Field                   // Set gives a default
	Check func(text string) error // nil: anything but nothing at all
}

// errEmpty is what an entry without a Check says to nothing at all.
var errEmpty = errors.New("type something, or esc to leave")

// Prompt is a Form with one entry.
func Prompt(head string, lines []string, check func(string) error, done func(string) tea.Cmd) *Form {
	return &Form{
		Head: head, Lines: lines, Entries: []Entry{{Check: check}},
		Done: func(texts []string) tea.Cmd { return done(texts[0]) },
	}
}

// Title is the title of the frame.
func (p *Form) Title() string { return p.Head }

// Size is wide enough for a sentence.
func (p *Form) Size(most Size) Size {
	w := min(most.W, max(56, widest(p.Lines)))
	return Size{w, min(most.H, len(wrapAll(p.Lines, w))+len(p.Entries)+2)}
}

// Handle takes a key.
func (p *Form) Handle(msg tea.KeyMsg) (Outcome, tea.Cmd) {
	p.problem = ""
	switch {
	case msg.Type == tea.KeyEsc:
		return Close, nil
	case msg.Type == tea.KeyEnter && !msg.Paste:
		return p.enter()
	case msg.Type == tea.KeyTab, msg.Type == tea.KeyDown:
		p.at = (p.at + 1) % len(p.Entries)
	case msg.Type == tea.KeyShiftTab, msg.Type == tea.KeyUp:
		p.at = (p.at + len(p.Entries) - 1) % len(p.Entries)
	default:
		p.Entries[p.at].Field.Handle(msg)
	}
	return Stay, nil
}

func (p *Form) enter() (Outcome, tea.Cmd) {
	if err := p.Entries[p.at].accept(); err != nil {
		p.problem = err.Error()
		return Stay, nil
	}
	if p.at < len(p.Entries)-1 {
		p.at++
		return Stay, nil
	}
	texts := make([]string, len(p.Entries))
	for i := range p.Entries {
		if err := p.Entries[i].accept(); err != nil {
			p.at, p.problem = i, err.Error()
			return Stay, nil
		}
		texts[i] = p.Entries[i].text()
	}
	return Close, p.Done(texts)
}

func (e *Entry) text() string { return strings.TrimSpace(e.Field.Text()) }

func (e *Entry) accept() error {
	switch {
	case e.Check != nil:
		return e.Check(e.text())
	case e.text() == "":
		return errEmpty
	}
	return nil
}

// View draws the question, the entries and what is wrong with an answer.
func (p *Form) View(f Frame) string {
	lines := wrapAll(p.Lines, f.W)
	lines = lines[:min(len(lines), max(0, f.H-len(p.Entries)-2))]
	labels := 0
	for _, e := range p.Entries {
		labels = max(labels, min(Width(Plain(e.Label)), f.W/3))
	}
	for i := range p.Entries {
		lines = append(lines, p.entry(f, i, labels))
	}
	foot := f.Theme.Faint.Render(f.Cut("enter=accept  esc=leave", f.W))
	if p.problem != "" {
		foot = f.Theme.Level(checks.Crit).Render(f.Cut("! "+Plain(p.problem), f.W))
	}
	return strings.Join(append(lines, "", foot), "\n")
}

func (p *Form) entry(f Frame, i, labels int) string {
	e := &p.Entries[i]
	lead := "  "
	if i == p.at {
		lead = f.Theme.Pointer + " "
	}
	if labels > 0 {
		lead += f.Pad(Plain(e.Label), labels) + " "
	}
	room := f.W - Width(lead)
	if i != p.at {
		return lead + f.Cut(e.Field.Text(), room)
	}
	return lead + e.Field.View(f, room)
}

func widest(lines []string) int {
	w := 0
	for _, l := range lines {
		w = max(w, Width(Plain(l)))
	}
	return w
}

func wrapAll(lines []string, w int) []string {
	var out []string
	for _, l := range lines {
		out = append(out, Wrap(l, w)...)
	}
	return out
}
