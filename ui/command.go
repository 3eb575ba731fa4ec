package ui

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// A verb is one command of the line after ":".
type verb struct {
	name, arg, doc string
	words          func(*Model) []string // completions of the argument
	do             func(m *Model, arg string) (tea.Cmd, error)
}

// keepCommands is how many commands are remembered.
const keepCommands = 50

// verbs lists the commands in the order of the help page.
func verbs() []verb {
	return []verb{
		{"check", "ID", "debug view of a check", (*Model).checkIDs, (*Model).openCheck},
		{"rerun", "ID", "run a check again; without ID all of this pane", (*Model).checkIDs, (*Model).rerunNamed},
		{"pane", "NAME", "go to a pane by name or digit", (*Model).paneIDs, (*Model).goTo},
		{"filter", "TEXT", "filter this pane; without TEXT end the filter", nil, (*Model).filterNamed},
		{"zoom", "", "this pane alone, or all again", nil, plain((*Model).toggleZoom)},
		{"pause", "", "hold the view, or go live", nil, plain((*Model).togglePause)},
		{"theme", "NAME", "color, mono, plain, ascii or unicode", themeNames, (*Model).setTheme},
		{"notices", "", "what the deck has said", nil, plain((*Model).readNotices)},
		{"help", "", "all keys and commands", nil, plain((*Model).help)},
		{"quit", "", "leave", nil, plain((*Model).quit)},
	}
}

func plain(do func(*Model) tea.Cmd) func(*Model, string) (tea.Cmd, error) {
	return func(m *Model, _ string) (tea.Cmd, error) { return do(m), nil }
}

// command runs a typed line. A verb may be shortened as long as it is clear:
// ":q", ":ch api". The actions of the pane can be typed as well, by their ID.
func (m *Model) command(line string) tea.Cmd {
	name, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	if name == "" {
		return nil
	}
	if len(m.past) == 0 || m.past[len(m.past)-1] != line {
		m.past = append(m.past, line)
		m.past = m.past[max(0, len(m.past)-keepCommands):]
	}
	v, ok := verbNamed(name)
	if !ok {
		return m.actionNamed(name)
	}
	cmd, err := v.do(m, strings.TrimSpace(arg))
	if err != nil {
		m.notify(pane.NoticeMsg{Level: checks.Warn, Text: err.Error()})
	}
	return cmd
}

func verbNamed(name string) (verb, bool) {
	var found []verb
	for _, v := range verbs() {
		if v.name == name {
			return v, true
		}
		if strings.HasPrefix(v.name, name) {
			found = append(found, v)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return verb{}, false
}

func (m *Model) actionNamed(name string) tea.Cmd {
	acts := m.actions()
	for _, a := range acts {
		if a.ID == name {
			return m.act(a)
		}
	}
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	m.notify(pane.NoticeMsg{Level: checks.Warn, Text: fmt.Sprintf("there is no command %q: %s", name, checks.Nearest(name, names))})
	return nil
}

func (m *Model) checkIDs() []string {
	ids := make([]string, len(m.snap.States))
	for i, st := range m.snap.States {
		ids[i] = st.Check.ID
	}
	slices.Sort(ids)
	return ids
}

func (m *Model) paneIDs() []string {
	ids := make([]string, len(m.regions))
	for i, r := range m.regions {
		ids[i] = r.spec.ID
	}
	return ids
}

func themeNames(*Model) []string { return []string{"color", "mono", "plain", "ascii", "unicode"} }

func (m *Model) openCheck(id string) (tea.Cmd, error) {
	if _, ok := m.snap.State(id); !ok {
		return nil, fmt.Errorf("there is no check %q: %s", id, checks.Nearest(id, m.checkIDs()))
	}
	return m.inspect(id), nil
}

func (m *Model) rerunNamed(id string) (tea.Cmd, error) {
	if id == "" {
		return m.rerunAll(), nil
	}
	if _, ok := m.snap.State(id); !ok {
		return nil, fmt.Errorf("there is no check %q: %s", id, checks.Nearest(id, m.checkIDs()))
	}
	m.deps.Monitor.Again(id)
	m.say("running %s again", id)
	return nil, nil
}

func (m *Model) goTo(name string) (tea.Cmd, error) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(m.regions) {
		m.focusOn(n)
		return nil, nil
	}
	i := m.find(name)
	if i < 0 {
		return nil, fmt.Errorf("there is no pane %q: %s", name, checks.Nearest(name, m.paneIDs()))
	}
	m.focusOn(i)
	return nil, nil
}

func (m *Model) filterNamed(text string) (tea.Cmd, error) {
	if _, ok := m.regions[m.focus].pane.(pane.Finder); !ok {
		return nil, fmt.Errorf("there is nothing to filter in this pane")
	}
	m.filter(m.focus, text)
	return nil, nil
}

func (m *Model) setTheme(name string) (tea.Cmd, error) {
	o := m.theme.Options
	switch name {
	case "color":
		o.Color = theme.Sixteen
	case "mono":
		o.Color = theme.Mono
	case "plain":
		o.Color = theme.Plain
	case "ascii":
		o.ASCII = true
	case "unicode":
		o.ASCII = false
	default:
		return nil, fmt.Errorf("there is no theme %q: %s", name, checks.Nearest(name, themeNames(m)))
	}
	m.theme = m.theme.With(o)
	return nil, nil
}

// toggleColor goes between colour and the same without.
func (m *Model) toggleColor() tea.Cmd {
	o := m.theme.Options
	if o.Color == theme.Sixteen {
		o.Color = pick(m.deps.Theme.Color == theme.Plain, theme.Plain, theme.Mono)
	} else {
		o.Color = theme.Sixteen
	}
	m.theme = m.theme.With(o)
	m.say("drawing in %s", o.Color)
	return nil
}

func (m *Model) toggleASCII() tea.Cmd {
	o := m.theme.Options
	o.ASCII = !o.ASCII
	m.theme = m.theme.With(o)
	return nil
}

// complete extends the command being typed as far as it is clear, and lists
// what is possible from there.
func (m *Model) complete() {
	t := m.typing
	line := t.field.Text()
	head, last := "", line
	words := []string{}
	if i := strings.IndexByte(line, ' '); i >= 0 {
		head, last = line[:i+1], line[i+1:]
		if v, ok := verbNamed(line[:i]); ok && v.words != nil {
			words = v.words(m)
		}
	} else {
		for _, v := range verbs() {
			words = append(words, v.name)
		}
	}
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, last) })
	if len(words) == 0 {
		return
	}
	text := commonPrefix(words)
	if len(words) == 1 && head == "" {
		text += " "
	}
	t.field.Set(head + text)
	t.hints = words
}

func commonPrefix(words []string) string {
	prefix := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}
