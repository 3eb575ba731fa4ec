package pane

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// A ProposeMsg asks for a guarded action outside of the section that is
// walked: whichever pane keeps the record previews it, has it confirmed and
// records what came of it. Nothing is changed by asking.
type ProposeMsg struct {
	Use        string         // module: "pg.terminate"
	Connection string         // of the server that the wish is about; "" means main
	Title      string         // one line
	With       map[string]any // its parameters
}

// Propose asks for a guarded action.
func Propose(m ProposeMsg) tea.Cmd { return func() tea.Msg { return m } }

// An AttachMsg gives a frozen frame to the record, as evidence for the item
// that is at hand.
type AttachMsg struct {
	Title string    // which view of which pane
	Seen  time.Time // when what it shows was found out
	Text  string
}

// Attach gives a frozen frame to the record.
func Attach(title string, seen time.Time, text string) tea.Cmd {
	return func() tea.Msg { return AttachMsg{title, seen, text} }
}

// A Recorder is the pane that keeps the record: it takes what other panes
// propose and attach.
type Recorder interface {
	Propose(ProposeMsg) tea.Cmd
	Attach(AttachMsg) tea.Cmd
}
