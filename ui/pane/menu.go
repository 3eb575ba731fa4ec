package pane

import (
	tea "github.com/charmbracelet/bubbletea"
)

// A Menu is an overlay to choose one of several: by its letter, or by moving
// to it and enter. Letters that move (j, k, g, G) and q cannot be an item's.
type Menu struct {
	Head  string
	Items []MenuItem
	At    int // the item under the cursor

	// Choose is done with the item that was chosen, by its index.
	Choose func(i int) tea.Cmd

	scroll Scroll
}

// A MenuItem is one line of a Menu.
type MenuItem struct {
	Key  string // one letter
	Name string
	Note string // what is known of it, faint
}

// Title is the title of the frame.
func (m *Menu) Title() string { return m.Head }

// Size is what the items need.
func (m *Menu) Size(most Size) Size {
	w := 24
	for _, it := range m.Items {
		w = max(w, m.names()+8+Width(Plain(it.Note)))
	}
	return Size{W: min(w, most.W), H: min(len(m.Items)+1, most.H)}
}

// Handle takes a key.
func (m *Menu) Handle(msg tea.KeyMsg) (Outcome, tea.Cmd) {
	if msg.Paste {
		return Stay, nil
	}
	switch msg.String() {
	case "esc", "q":
		return Close, nil
	case "enter":
		return m.chosen(m.At)
	}
	for i, it := range m.Items {
		if msg.String() == it.Key {
			return m.chosen(i)
		}
	}
	if act, ok := pressed(msg, Moves(m.move, m.scroll.Page)); ok {
		return Stay, act.Do()
	}
	return Pass, nil
}

func (m *Menu) chosen(i int) (Outcome, tea.Cmd) {
	if i < 0 || i >= len(m.Items) {
		return Stay, nil
	}
	return Close, m.Choose(i)
}

func (m *Menu) move(n int) { m.At = clamp(m.At+n, 0, len(m.Items)-1) }

func (m *Menu) names() int {
	w := 0
	for _, it := range m.Items {
		w = max(w, Width(Plain(it.Name)))
	}
	return w
}

// View draws the items around the cursor, and the keys.
func (m *Menu) View(f Frame) string {
	m.scroll.Cursor = m.At
	from, to := m.scroll.Window(len(m.Items), f.H-1)
	names, view := m.names(), ""
	for i := from; i < to; i++ {
		it := m.Items[i]
		name := Pad(Plain(it.Name), names)
		switch {
		case i == m.At:
			view += f.Theme.Cursor.Render(f.Cut(f.Theme.Pointer+it.Key+"  "+name+"  "+Plain(it.Note), f.W)) + "\n"
		default:
			line := " " + f.Theme.Key.Render(it.Key) + "  " + f.Cut(name, f.W-4)
			view += line + f.Theme.Faint.Render(f.Cut("  "+Plain(it.Note), f.W-Width(line))) + "\n"
		}
	}
	return view + f.Theme.Faint.Render(f.Cut(" enter=choose  esc=back", f.W))
}
