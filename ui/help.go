package ui

import (
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// helpLine is the last line of the screen: the keys that matter now.
func (m *Model) helpLine(f pane.Frame) string {
	if m.typing != nil {
		return f.Theme.Faint.Render(f.Cut(" enter=accept  esc=leave  tab=complete  up=before", f.W))
	}
	if len(m.overlays) > 0 {
		return f.Theme.Faint.Render(f.Cut(" esc=back  :=command  ctrl-c=quit", f.W))
	}
	var line strings.Builder
	room := f.W
	if m.layout.single && !m.zoom && room > 40 {
		line.WriteString(" " + f.Theme.Key.Render("0-"+strconv.Itoa(min(9, len(m.regions)-1))) + "=pane")
		room -= 9
	}
	for _, a := range m.shownActions() {
		k, text := a.Key.Help().Key, "="+a.Help
		if n := 1 + pane.Width(k) + pane.Width(text); n <= room {
			line.WriteString(" " + f.Theme.Key.Render(k) + text)
			room -= n
		}
	}
	return line.String()
}

// shownActions are those with a word for the help line, the pane's first but
// help and quit always in the room there is.
func (m *Model) shownActions() []pane.Action {
	var first, rest []pane.Action
	taken := map[string]bool{} // a key that the pane uses for itself
	for _, a := range m.actions() {
		name := a.Key.Help().Key
		hidden := taken[name]
		taken[name] = true
		switch {
		case a.Help == "" || a.Off != "" || hidden:
		case a.ID == "help" || a.ID == "quit":
			first = append(first, a)
		default:
			rest = append(rest, a)
		}
	}
	return append(first, rest...)
}

// help opens the page of all keys and commands, those of this pane first.
func (m *Model) help() tea.Cmd {
	r := m.regions[m.focus]
	m.push(&pane.Reader{Head: "keys and commands", Text: func(f pane.Frame) []string {
		lines := []string{f.Theme.Title.Render("this pane: " + strings.ToLower(r.spec.Title))}
		lines = append(lines, pane.KeyValues(f, keyPairs(r.actions(m)))...)
		lines = append(lines, "", f.Theme.Title.Render("everywhere"))
		lines = append(lines, pane.KeyValues(f, keyPairs(m.global()))...)
		lines = append(lines, "", f.Theme.Title.Render("commands"))
		lines = append(lines, pane.KeyValues(f, verbPairs())...)
		lines = append(lines, "", f.Theme.Title.Render("marks"))
		return append(lines, pane.KeyValues(f, markPairs())...)
	}})
	return nil
}

func keyPairs(acts []pane.Action) [][2]string {
	pairs := make([][2]string, 0, len(acts))
	for _, a := range acts {
		text := a.Key.Help().Desc
		if a.Off != "" {
			text += " (not now: " + a.Off + ")"
		}
		pairs = append(pairs, [2]string{strings.Join(a.Key.Keys(), " "), text})
	}
	return pairs
}

func verbPairs() [][2]string {
	var pairs [][2]string
	for _, v := range verbs() {
		pairs = append(pairs, [2]string{strings.TrimSpace(":" + v.name + " " + v.arg), v.doc})
	}
	return pairs
}

func markPairs() [][2]string {
	meaning := map[checks.Level]string{
		checks.Crit: "crit: broken", checks.Warn: "warn: will break, or is slow",
		checks.Unknown: "unknown, stuck or old: could not be found out", checks.Skipped: "skipped: this site has no such thing",
	}
	var pairs [][2]string
	for _, l := range checks.Levels() {
		if meaning[l] != "" {
			pairs = append(pairs, [2]string{strings.TrimSpace(theme.Mark(l)), meaning[l]})
		}
	}
	return append(pairs, [2]string{"(blank)", "ok"})
}

// readNotices opens the page of what the deck has said, newest first.
func (m *Model) readNotices() tea.Cmd {
	m.push(&pane.Reader{Head: "notices", Text: func(f pane.Frame) []string {
		var lines []string
		for i := len(m.notices.past) - 1; i >= 0; i-- {
			n := m.notices.past[i]
			line := n.at.UTC().Format("15:04:05Z") + " " + theme.Mark(n.level) + " "
			for j, part := range pane.Wrap(n.text, f.W-len(line)) {
				if j > 0 {
					line = strings.Repeat(" ", len(line))
				}
				lines = append(lines, line+part)
			}
		}
		if len(lines) == 0 {
			lines = []string{"nothing yet"}
		}
		return lines
	}})
	return nil
}
