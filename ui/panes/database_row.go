package panes

import (
	"strings"

	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// open shows everything that is known of the row under the cursor. The page
// follows the row while the view gets new answers, and says when it is gone.
func (g *grid) open() tea.Cmd {
	r, ok := g.selected()
	if !ok {
		return nil
	}
	facet, page := g.at(), &rowPage{grid: g, last: r}
	page.Reader = &pane.Reader{Head: objectOf(facet, r.cell).String(), Text: page.text}
	if query := r.cell("query").Text; query != "" {
		page.Extra = []pane.Action{{
			ID: "copy", Help: "copy the query", Key: key.NewBinding(key.WithKeys("y"), key.WithHelp("y", "copy the query")),
			Do: func() tea.Cmd { return pane.Copy("query", page.last.cell("query").Text) },
		}}
	}
	return pane.Push(page)
}

// rowPage is one row in full.
type rowPage struct {
	*pane.Reader
	grid *grid
	last record // as it was seen last
	gone bool
}

// Looks is the check of the row: the page stays alive.
func (p *rowPage) Looks() []string { return []string{p.grid.source.Check.ID} }

// text is the page: every column of the module's table, the long ones below.
func (p *rowPage) text(f pane.Frame) []string {
	g := p.grid
	if r, ok := g.record(p.last.id); ok {
		p.last = r
		p.gone = false
	} else {
		p.gone = true
	}
	t, _ := g.source.facts.Table(g.at().table)
	pairs := [][2]string{{"as of", p.asOf(f)}}
	var long [][2]string
	for _, c := range t.Columns {
		v := p.last.cell(c.Name)
		switch text := inFull(v); {
		case c.Name == "query" || c.Name == "advice" || c.Name == "message":
			long = append(long, [2]string{c.Name, text})
		default:
			pairs = append(pairs, [2]string{strings.ReplaceAll(c.Name, "_", " "), text})
		}
	}
	lines := pane.KeyValues(f, pairs)
	for _, l := range long {
		if l[1] != "" {
			lines = append(append(lines, "", f.Theme.Title.Render(l[0])), pane.Wrap(l[1], f.W)...)
		}
	}
	if notes := g.source.facts.Detail; len(notes) > 0 {
		lines = append(lines, "", f.Theme.Title.Render("the check says"))
		for _, note := range notes {
			lines = append(lines, pane.Wrap(note, f.W)...)
		}
	}
	return lines
}

func (p *rowPage) asOf(f pane.Frame) string {
	s := p.grid.source
	text := s.facts.At.UTC().Format("15:04:05Z") + ", " + ago(f.Now.Sub(s.facts.At)) + " ago, " + s.Check.ID
	if p.gone {
		text = "gone: not in the newest answer; as it was seen last"
	}
	if s.trouble != "" {
		text += "; " + s.trouble
	}
	return text
}

// inFull is a value with all its digits; what is not known says so.
func inFull(v fact.Value) string {
	if v.Type == fact.Text {
		return v.Text
	}
	if text := v.String(); text != "unknown" {
		return text
	}
	return "? (could not be found out)"
}
