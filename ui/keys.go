package ui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// press takes a key: whoever is on top gets it, and ctrl-c always leaves.
func (m *Model) press(msg tea.KeyMsg) tea.Cmd {
	if msg.Type == tea.KeyCtrlC {
		return m.quit()
	}
	m.rev++
	var cmds []tea.Cmd
	for _, one := range apart(msg) {
		cmds = append(cmds, m.pressOne(one))
	}
	return tea.Batch(cmds...)
}

// apart takes keys apart that arrived in one read: a held key over a slow
// line, or two keys typed fast. Anything longer is a paste from a terminal
// without bracketed paste, and marked as one.
func apart(msg tea.KeyMsg) []tea.KeyMsg {
	if msg.Type != tea.KeyRunes || msg.Paste || len(msg.Runes) < 2 {
		return []tea.KeyMsg{msg}
	}
	same := !slices.ContainsFunc(msg.Runes, func(r rune) bool { return r != msg.Runes[0] })
	if len(msg.Runes) > 2 && !same {
		msg.Paste = true
		return []tea.KeyMsg{msg}
	}
	var keys []tea.KeyMsg
	for _, r := range msg.Runes {
		keys = append(keys, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: msg.Alt})
	}
	return keys
}

func (m *Model) pressOne(msg tea.KeyMsg) tea.Cmd {
	if m.typing != nil {
		return m.typed(msg)
	}
	if len(m.overlays) > 0 {
		return m.pressOverlay(msg)
	}
	if msg.Paste {
		m.say("a paste does nothing here")
		return nil
	}
	if msg.String() != "y" {
		m.copied = copying{}
	}
	for _, a := range m.actions() {
		if key.Matches(msg, a.Key) {
			return m.act(a)
		}
	}
	if msg.Type == tea.KeyRunes {
		m.say("%q does nothing here, ? lists the keys", msg.String())
	}
	return nil
}

// act does what an action says, or says why not.
func (m *Model) act(a pane.Action) tea.Cmd {
	if a.Off != "" {
		m.say("%s: %s", a.Key.Help().Key, a.Off)
		return nil
	}
	return a.Do()
}

// pressOverlay gives a key to the overlay on top.
func (m *Model) pressOverlay(msg tea.KeyMsg) tea.Cmd {
	top := m.overlays[len(m.overlays)-1]
	var outcome pane.Outcome
	var cmd tea.Cmd
	if !m.overlaySafely(top, func() { outcome, cmd = top.Handle(msg) }) {
		return nil
	}
	switch outcome {
	case pane.Close:
		m.pop(top)
	case pane.Pass:
		if msg.Paste {
			return cmd
		}
		for _, a := range m.overOverlay() {
			if key.Matches(msg, a.Key) {
				return tea.Batch(cmd, m.act(a))
			}
		}
	}
	return cmd
}

// actions are those of the pane with the focus, then those of the deck: a pane
// may use a key of the deck for itself.
func (m *Model) actions() []pane.Action {
	return append(m.regions[m.focus].actions(m), m.global()...)
}

// global are the actions of the deck.
func (m *Model) global() []pane.Action {
	acts := []pane.Action{
		act("help", "all keys", "help", m.help, "?"),
		act("find", "filter or search; ! in front inverts", "find", m.startFind, "/"),
		act("command", "type a command", "cmd", m.startCommand, ":"),
		act("next-pane", "next pane", "pane", func() tea.Cmd { m.cycle(1); return nil }, "tab", "l", "right"),
		act("pane-before", "pane before", "", func() tea.Cmd { m.cycle(-1); return nil }, "shift+tab", "h", "left"),
		m.pointed(act("open", "debug view of the check", "open", m.inspectPointed, "enter")),
		act("back", "acknowledge, clear the filter, leave the zoom", "", m.back, "esc"),
		m.pointed(act("rerun", "run the check again", "rerun", m.rerun, "r")),
		act("rerun-all", "run all checks of this pane again", "", m.rerunAll, "R"),
		act("pause", "hold the view; sampling goes on", "pause", m.togglePause, "p"),
		act("zoom", "this pane alone", "zoom", m.toggleZoom, "z"),
		act("copy", "copy by the terminal: value, line, pane, Markdown", "copy", m.copyNext, "y"),
		act("next", "next match", "", func() tea.Cmd { m.step(1); return nil }, "n"),
		act("match-before", "match before", "", func() tea.Cmd { m.step(-1); return nil }, "N"),
		act("color", "colour on and off", "", m.toggleColor, "c"),
		act("ascii", "ASCII drawing on and off", "", m.toggleASCII, "u"),
		act("quit", "leave; runs and sampling by others go on", "quit", m.quit, "q"),
	}
	for i := range m.regions {
		if i < 10 {
			acts = append(acts, act("pane "+strconv.Itoa(i), "go to "+strings.ToLower(m.regions[i].spec.Title), "",
				func() tea.Cmd { m.focusOn(i); return nil }, strconv.Itoa(i)))
		}
	}
	return acts
}

// overOverlay are the actions of the deck that an overlay may leave to it.
func (m *Model) overOverlay() []pane.Action {
	return slices.DeleteFunc(m.global(), func(a pane.Action) bool {
		return !slices.Contains([]string{"color", "ascii", "command", "pause"}, a.ID)
	})
}

func act(id, what, help string, do func() tea.Cmd, keys ...string) pane.Action {
	return pane.Action{ID: id, Help: help, Do: do, Key: key.NewBinding(key.WithKeys(keys...), key.WithHelp(keys[0], what))}
}

// pointed turns an action off where no check is under the cursor.
func (m *Model) pointed(a pane.Action) pane.Action {
	if m.regions[m.focus].point(m).Check == "" {
		a.Off = "no check under the cursor"
	}
	return a
}

func (m *Model) cycle(step int) {
	n := len(m.regions)
	m.focusOn(((m.focus+step)%n + n) % n)
}

func (m *Model) quit() tea.Cmd {
	select {
	case <-m.leave:
	default:
		close(m.leave)
	}
	return tea.Quit
}

// back undoes one thing at a time: a notice, a filter, the zoom.
func (m *Model) back() tea.Cmd {
	switch {
	case m.notices.acknowledge():
	case m.regions[m.focus].filter != "":
		m.filter(m.focus, "")
	case m.zoom:
		return m.toggleZoom()
	}
	return nil
}

func (m *Model) step(n int) {
	r := m.regions[m.focus]
	if finder, ok := r.pane.(pane.Finder); ok {
		r.safely(m, "stepping", func() { finder.Next(n) })
	}
}

func (m *Model) rerun() tea.Cmd {
	id := m.regions[m.focus].point(m).Check
	m.deps.Monitor.Again(id)
	m.say("running %s again", id)
	return nil
}

func (m *Model) rerunAll() tea.Cmd {
	r := m.regions[m.focus]
	ids := slices.Compact(slices.Sorted(slices.Values(append(r.needs(m), r.looks(m)...))))
	m.deps.Monitor.Again(ids...)
	m.say("running %s of %s again", plural(len(ids), "check"), strings.ToLower(r.spec.Title))
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// togglePause holds what is shown, or goes live with the newest.
func (m *Model) togglePause() tea.Cmd {
	if m.paused.IsZero() {
		m.paused = m.now
		return nil
	}
	m.paused = time.Time{}
	m.show(m.newest)
	return nil
}

func (m *Model) toggleZoom() tea.Cmd {
	m.zoom = !m.zoom
	m.arrange()
	return nil
}
