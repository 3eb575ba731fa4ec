package checklist

import (
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// about opens the page of the section and its run: the prose that stands
// between the headings, and what was said about the run as a whole.
func (c *checklist) about() tea.Cmd {
	title := c.run.news.section.Title
	return pane.Push(&pane.Reader{Head: title, Text: func(f pane.Frame) []string { return c.run.news.about(f) }})
}

func (n news) about(f pane.Frame) []string {
	lines := pane.KeyValues(f, n.facts())
	prose := func(title, text string) {
		if text = strings.TrimSpace(text); text != "" {
			lines = append(append(lines, "", f.Theme.Title.Render(pane.Plain(title))), pane.Wrap(text, f.W)...)
		}
	}
	prose("about", n.section.Note)
	for _, g := range n.section.Groups {
		prose(g.Title, g.Note)
	}
	var said [][2]string
	for r := range n.run.Notes.All() {
		said = append(said, [2]string{stamp(r.At), r.Actor.String() + " noted: " + r.Text})
	}
	for _, r := range n.run.Signatures {
		said = append(said, [2]string{stamp(r.At), strings.TrimSuffix(r.Actor.String()+" signed as "+r.Text, " as ")})
	}
	if len(said) > 0 {
		lines = append(append(lines, "", f.Theme.Title.Render("said about the run")), pane.KeyValues(f, said)...)
	}
	if frames := exhibits(f, n.run.Exhibits); len(frames) > 0 {
		lines = append(append(lines, "", f.Theme.Title.Render("frames attached to the run")), frames...)
	}
	return lines
}

// facts are what identifies the run.
func (n news) facts() [][2]string {
	o := n.run.Opened
	pairs := [][2]string{{"run", n.run.ID + ", " + strings.ReplaceAll(string(n.run.State), "_", " ")}, {"document", o.Path + ", sha256 " + o.Hash.String()}}
	if !n.run.OpenedAt.IsZero() {
		pairs = append(pairs, [2]string{"opened", stamp(n.run.OpenedAt) + " by " + n.run.OpenedBy.String()})
	}
	if n.run.Driver != n.run.OpenedBy {
		pairs = append(pairs, [2]string{"driver", n.run.Driver.String()})
	}
	if !o.Due.IsZero() {
		pairs = append(pairs, [2]string{"due", stamp(o.Due) + ", overdue from " + stamp(o.Overdue)})
	}
	walk := "every check at once, then the exceptions"
	if n.section.Mode == runbooks.ReadDo {
		walk = "one item at a time"
	}
	pairs = append(pairs, [2]string{"walk", walk})
	if n.section.Budget > 0 {
		pairs = append(pairs, [2]string{"time", "may take " + ago(n.section.Budget)})
	}
	if n.run.Seq > 0 {
		pairs = append(pairs, [2]string{"recorded", fmt.Sprintf("up to event %d of the journal, %s", n.run.Seq, stamp(n.run.Last))})
	}
	return pairs
}
