package report

import (
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// An Exhibit is a frame that somebody attached, word for word.
type Exhibit struct {
	At    time.Time `json:"at"`
	By    Person    `json:"by"`
	Title string    `json:"title"`
	Seen  time.Time `json:"seen"` // when what it shows was found out
	Text  string    `json:"text"`
}

func exhibitsOf(list []runbooks.Exhibit) []Exhibit {
	var out []Exhibit
	for _, e := range list {
		out = append(out, Exhibit{At: e.At, By: personOf(e.Actor), Title: e.Title, Seen: e.Seen, Text: e.Text})
	}
	return out
}

// Heading says what the frame is, as of when, and who attached it.
func (e Exhibit) Heading() string {
	return "Frame: " + e.Title + ", as of " + stamp(e.Seen) + ", attached " + stamp(e.At) + " by " + e.By.String()
}

func (m *page) exhibits(list []Exhibit) {
	for _, e := range list {
		m.line("%s", esc(e.Heading()))
		m.line("")
		m.verbatim(e.Text)
	}
}

// verbatim writes text as it is: indented text is no markup.
func (m *page) verbatim(text string) {
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		m.line("    %s", clean.Line(l, 400))
	}
	m.line("")
}
