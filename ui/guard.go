package ui

import (
	"fmt"
	"runtime/debug"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// lostMsg says that a command panicked.
type lostMsg struct {
	what string
}

// guard wraps a command: a panic in it becomes a stack in the log and one red
// line on the deck. bubbletea would end the program and print the stack into
// the alternate screen, where nobody can read it.
func (m *Model) guard(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() (msg tea.Msg) {
		defer func() {
			if p := recover(); p != nil {
				m.deps.Log.Error("command panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				msg = lostMsg{what: fmt.Sprint(p)}
			}
		}()
		msg = cmd()
		if batch, ok := msg.(tea.BatchMsg); ok {
			for i := range batch {
				batch[i] = m.guard(batch[i])
			}
		}
		return msg
	}
}

// lost puts a panic on the deck.
func (m *Model) lost(msg lostMsg) {
	m.notify(pane.NoticeMsg{Level: checks.Crit, Text: "internal error: " + msg.what + "; " + m.seeLog()})
}

func (m *Model) seeLog() string {
	if m.deps.LogPath == "" {
		return "the log has the details"
	}
	return "see " + m.deps.LogPath
}

// logPanic keeps the stack of a panic of the deck itself. bubbletea restores
// the terminal and ends the program after it.
func (m *Model) logPanic() {
	if p := recover(); p != nil {
		m.deps.Log.Error("deck panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		panic(p)
	}
}
