package pane

import (
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	tea "github.com/charmbracelet/bubbletea"
)

// A Confirm is an overlay that asks before something happens. Without a Word
// it wants the letter y; with one it wants the word typed: the name of what
// will be changed. Neither enter alone nor a paste ever confirms.
type Confirm struct {
	Head  string
	Lines []string // what will happen, to what, and how to undo it
	Word  string   // to be typed; "" for y
	Yes   func() tea.Cmd
	No    func() tea.Cmd // nil: nothing

	field   Field
	problem string
}

// Title is the title of the frame.
func (c *Confirm) Title() string { return c.Head }

// Size fits the sentences.
func (c *Confirm) Size(most Size) Size {
	w := min(most.W, max(56, widest(c.Lines)))
	return Size{w, min(most.H, len(wrapAll(c.Lines, w))+3)}
}

// Handle takes a key.
func (c *Confirm) Handle(msg tea.KeyMsg) (Outcome, tea.Cmd) {
	switch {
	case msg.Paste:
		c.problem = "a paste does not confirm: type it"
		return Stay, nil
	case msg.Type == tea.KeyEsc, c.Word == "" && msg.String() == "n":
		return Close, c.no()
	case c.Word == "":
		if msg.String() == "y" {
			return Close, c.Yes()
		}
		c.problem = "y or n"
		return Stay, nil
	case msg.Type == tea.KeyEnter:
		return c.enter()
	}
	c.field.Handle(msg)
	c.problem = ""
	return Stay, nil
}

func (c *Confirm) no() tea.Cmd {
	if c.No == nil {
		return nil
	}
	return c.No()
}

func (c *Confirm) enter() (Outcome, tea.Cmd) {
	if c.field.Text() != c.Word {
		c.problem = "that is not " + c.Word
		return Stay, nil
	}
	return Close, c.Yes()
}

// View draws what will happen and what confirms it.
func (c *Confirm) View(f Frame) string {
	lines := wrapAll(c.Lines, f.W)
	lines = lines[:min(len(lines), max(0, f.H-2))]
	if c.Word == "" {
		lines = append(lines, f.Theme.Strong.Render(f.Cut("y=do it  n=leave", f.W)))
	} else {
		ask := f.Cut("type "+Plain(c.Word)+": ", max(0, f.W-12))
		lines = append(lines, ask+c.field.View(f, f.W-Width(ask)))
	}
	foot := f.Theme.Faint.Render(f.Cut("esc=leave", f.W))
	if c.problem != "" {
		foot = f.Theme.Level(checks.Crit).Render(f.Cut("! "+Plain(c.problem), f.W))
	}
	return strings.Join(append(lines, foot), "\n")
}
