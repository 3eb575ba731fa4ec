package pane

import (
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// A Reader is an overlay to read: a page of lines with scrolling and search.
// It takes the whole space it can get.
type Reader struct {
	Head string

	// Text gives the lines for a frame; they may be styled. It is called for
	// each View, so a page that is alive stays alive; it must be cheap.
	Text func(f Frame) []string

	// Extra actions of the page; esc, movement and search are there already.
	Extra []Action

	scroll  Scroll
	asking  bool
	field   Field
	want    string
	lines   []string // of the last View, for search
	missing bool
}

// Title is the title of the frame.
func (r *Reader) Title() string { return r.Head }

// Size is all there is.
func (r *Reader) Size(most Size) Size { return most }

// Handle takes a key.
func (r *Reader) Handle(msg tea.KeyMsg) (Outcome, tea.Cmd) {
	if r.asking {
		r.ask(msg)
		return Stay, nil
	}
	if msg.Paste {
		return Stay, nil
	}
	switch msg.String() {
	case "esc", "q", "enter":
		return Close, nil
	case "/":
		r.asking, r.field = true, Field{}
		return Stay, nil
	case "n":
		r.Next(1)
		return Stay, nil
	case "N":
		r.Next(-1)
		return Stay, nil
	}
	if a, ok := pressed(msg, append(Moves(r.scroll.Roll, r.scroll.Page), r.Extra...)); ok {
		return Stay, a.Do()
	}
	return Pass, nil
}

func (r *Reader) ask(msg tea.KeyMsg) {
	switch {
	case msg.Type == tea.KeyEsc:
		r.asking = false
	case msg.Type == tea.KeyEnter && !msg.Paste:
		r.asking = false
		r.Find(r.field.Text())
	default:
		r.field.Handle(msg)
	}
}

// Find goes to the first line at or below the position that contains text.
func (r *Reader) Find(text string) {
	r.want = strings.ToLower(text)
	r.scroll.Cursor--
	r.Next(1)
}

// Next goes to the next line that was searched for, or the one before.
func (r *Reader) Next(step int) {
	r.missing = false
	if r.want == "" || len(r.lines) == 0 {
		return
	}
	for i := 1; i <= len(r.lines); i++ {
		at := ((r.scroll.Cursor+i*step)%len(r.lines) + len(r.lines)) % len(r.lines)
		if strings.Contains(strings.ToLower(unstyled(r.lines[at])), r.want) {
			r.scroll.top = at
			r.scroll.Cursor = at
			return
		}
	}
	r.missing = true
}

// View draws the part of the page that is shown, and one line of where it is.
func (r *Reader) View(f Frame) string {
	r.lines = r.Text(f)
	r.scroll.total, r.scroll.height = len(r.lines), max(0, f.H-1)
	r.scroll.Cursor = clamp(r.scroll.Cursor, 0, len(r.lines)-1)
	r.scroll.top = clamp(r.scroll.top, 0, max(0, len(r.lines)-r.scroll.height))
	to := min(len(r.lines), r.scroll.top+r.scroll.height)
	shown := append([]string(nil), r.lines[r.scroll.top:to]...)
	for i := range shown {
		if r.want != "" && r.scroll.top+i == r.scroll.Cursor {
			shown[i] = f.Theme.Match.Render(unstyled(shown[i]))
		}
	}
	for len(shown) < f.H-1 {
		shown = append(shown, "")
	}
	return strings.Join(append(shown, r.foot(f, to)), "\n")
}

func (r *Reader) foot(f Frame, to int) string {
	if r.asking {
		return "/" + r.field.View(f, f.W-1)
	}
	text := "lines " + strconv.Itoa(min(r.scroll.top+1, len(r.lines))) + "-" + strconv.Itoa(to) + " of " + strconv.Itoa(len(r.lines)) +
		"   j k g G=move  /=search  esc=back"
	if r.missing {
		text = "not found: " + r.want
	}
	for _, a := range r.Extra {
		if a.Help != "" {
			text += "  " + a.Key.Help().Key + "=" + a.Help
		}
	}
	return f.Theme.Faint.Render(f.Cut(Plain(text), f.W))
}

// unstyled is a fitted line without its styles.
func unstyled(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); {
		if n := styleLen(line[i:]); line[i] == '\x1b' && n > 0 {
			i += n
			continue
		}
		b.WriteByte(line[i])
		i++
	}
	return b.String()
}
