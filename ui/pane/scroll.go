package pane

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// A Scroll is the position in a list of lines: a cursor, and the first line
// that is shown. The zero Scroll is at the top. Window must be called by View
// before the other methods mean anything.
type Scroll struct {
	Cursor int
	top    int
	height int
	total  int
}

// Window tells how many lines there are and how many fit, and returns the
// range to draw. It keeps the cursor inside.
func (s *Scroll) Window(total, height int) (from, to int) {
	s.total, s.height = total, max(0, height)
	s.Cursor = clamp(s.Cursor, 0, total-1)
	if s.Cursor < s.top {
		s.top = s.Cursor
	}
	if s.Cursor >= s.top+s.height {
		s.top = s.Cursor - s.height + 1
	}
	s.top = clamp(s.top, 0, max(0, total-s.height))
	return s.top, min(total, s.top+s.height)
}

// Move moves the cursor by n lines.
func (s *Scroll) Move(n int) { s.Cursor = clamp(s.Cursor+n, 0, s.total-1) }

// MoveTo moves the cursor to a line.
func (s *Scroll) MoveTo(n int) { s.Cursor = clamp(n, 0, s.total-1) }

// Roll moves the shown part, and the cursor with it: for text without a
// visible cursor.
func (s *Scroll) Roll(n int) {
	s.top = clamp(s.top+n, 0, max(0, s.total-s.height))
	s.Cursor = s.top
}

// Page is half of what is shown, for ctrl-d and ctrl-u.
func (s *Scroll) Page() int { return max(1, s.height/2) }

// More reports whether there are lines above and below what is shown.
func (s *Scroll) More() (above, below bool) { return s.top > 0, s.top+s.height < s.total }

// Moves are the actions that move a cursor; move gets the number of lines,
// negative is up. They are not in the help line, only on the help page.
func Moves(move func(n int), page func() int) []Action {
	step := func(id, what string, n func() int, keys ...string) Action {
		return Action{ID: id, Key: key.NewBinding(key.WithKeys(keys...), key.WithHelp(keys[0], what)), Do: func() tea.Cmd {
			move(n())
			return nil
		}}
	}
	return []Action{
		step("down", "one line down", func() int { return 1 }, "j", "down"),
		step("up", "one line up", func() int { return -1 }, "k", "up"),
		step("page-down", "half a page down", page, "ctrl+d", "pgdown"),
		step("page-up", "half a page up", func() int { return -page() }, "ctrl+u", "pgup"),
		step("top", "first line", func() int { return -farAway }, "g", "home"),
		step("bottom", "last line", func() int { return farAway }, "G", "end"),
	}
}

// pressed is the action of a key that can be done now.
func pressed(msg tea.KeyMsg, acts []Action) (Action, bool) {
	for _, a := range acts {
		if key.Matches(msg, a.Key) && a.Off == "" {
			return a, true
		}
	}
	return Action{}, false
}

// farAway is more lines than any list has.
const farAway = 1 << 30

func clamp(n, low, high int) int { return max(low, min(n, high)) }
