package ui

import (
	"strings"

	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// typing is the line at the bottom while the operator types: a command after
// ":" or a filter after "/".
type typing struct {
	sign   string // ":" or "/"
	field  pane.Field
	past   int // how far back in the history
	region int // whose filter it is
	hints  []string
}

func (t *typing) view(f pane.Frame) string {
	hint := ""
	if len(t.hints) > 1 {
		hint = "  " + strings.Join(t.hints, " ")
	}
	hint = f.Cut(hint, f.W/2)
	return t.sign + t.field.View(f, f.W-1-pane.Width(hint)) + f.Theme.Faint.Render(hint)
}

func (m *Model) startCommand() tea.Cmd {
	m.typing = &typing{sign: ":"}
	return nil
}

func (m *Model) startFind() tea.Cmd {
	if _, ok := m.regions[m.focus].pane.(pane.Finder); !ok {
		m.say("there is nothing to filter in this pane")
		return nil
	}
	m.typing = &typing{sign: "/", region: m.focus}
	m.typing.field.Set(m.regions[m.focus].filter)
	return nil
}

// typed takes a key while a line is being typed.
func (m *Model) typed(msg tea.KeyMsg) tea.Cmd {
	t := m.typing
	t.hints = nil
	switch {
	case msg.Type == tea.KeyEsc:
		m.typing = nil
		if t.sign == "/" {
			m.filter(t.region, "")
		}
		return nil
	case msg.Type == tea.KeyEnter && !msg.Paste:
		m.typing = nil
		if t.sign == ":" {
			return m.command(t.field.Text())
		}
		return nil
	case t.sign == ":" && msg.Type == tea.KeyTab:
		m.complete()
	case t.sign == ":" && (msg.Type == tea.KeyUp || msg.Type == tea.KeyDown):
		m.recall(msg.Type == tea.KeyUp)
	case msg.Type == tea.KeyBackspace && t.field.Text() == "":
		m.typing = nil
	default:
		t.field.Handle(msg)
	}
	if t.sign == "/" {
		m.filter(t.region, t.field.Text())
	}
	return nil
}

// filter gives a pane the text to filter by.
func (m *Model) filter(region int, text string) {
	r := m.regions[region]
	r.filter = text
	r.safely(m, "filtering", func() {
		if finder, ok := r.pane.(pane.Finder); ok {
			finder.Find(text)
		}
	})
}

// recall goes back and forth in the commands typed before.
func (m *Model) recall(back bool) {
	t := m.typing
	if back {
		t.past = min(len(m.past), t.past+1)
	} else {
		t.past = max(0, t.past-1)
	}
	if t.past == 0 {
		t.field.Set("")
		return
	}
	t.field.Set(m.past[len(m.past)-t.past])
}
