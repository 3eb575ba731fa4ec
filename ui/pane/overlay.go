package pane

import (
	tea "github.com/charmbracelet/bubbletea"
)

// An Outcome is what became of a key given to an overlay.
type Outcome uint8

// The outcomes.
const (
	Stay  Outcome = iota // the overlay keeps the keys
	Close                // the overlay is done and goes away
	Pass                 // not mine: the overlay stays, the deck may use the key
)

// An Overlay is drawn over the deck and has the keys while it is on top:
// a question, a form, a page to read. It is pushed with Push. Overlays are a
// stack; esc must close one, and a paste (msg.Paste) must never confirm.
//
// An overlay with a method Show(watch.Snapshot) is shown every new snapshot.
// One that waits for the answer to a command shares it with its pane, whose
// Handle gets the Msg. Form, Prompt, Confirm and Reader are ready made.
type Overlay interface {
	Title() string

	// Size is the space it wants inside its frame, given the most there is.
	// The deck gives no more than most and draws the frame around it.
	Size(most Size) Size

	Handle(msg tea.KeyMsg) (Outcome, tea.Cmd)

	// View draws the inside, like Pane.View.
	View(f Frame) string
}

// PushMsg puts an overlay on top.
type PushMsg struct{ Overlay Overlay }

// Push puts an overlay on top of the deck.
func Push(o Overlay) tea.Cmd {
	return func() tea.Msg { return PushMsg{o} }
}

// PopMsg takes an overlay away, if it is still there: for an overlay whose
// command has ended.
type PopMsg struct{ Overlay Overlay }

// Pop takes an overlay away.
func Pop(o Overlay) tea.Cmd {
	return func() tea.Msg { return PopMsg{o} }
}
