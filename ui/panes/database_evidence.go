package panes

import (
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// mostKept is how many rows of a view are kept as evidence.
const mostKept = 200

// attach gives what is shown to the record: all rows of the view in their
// order and full width, whatever of it the screen has room for.
func (p *database) attach() tea.Cmd {
	if g := p.grid(); g != nil {
		return pane.Attach("database: "+g.titled(), g.source.facts.At, p.frozen(g))
	}
	return pane.Attach("database: overview", p.snap.At, p.frozenOverview())
}

// frozenOverview are the lines of the overview with their marks.
func (p *database) frozenOverview() string {
	var text strings.Builder
	for _, at := range p.lines {
		fmt.Fprintf(&text, "%s %s\n", theme.Mark(at.level), pane.Plain(join(at.name, at.value, at.note)))
	}
	return text.String()
}

// frozen is a view as text.
func (p *database) frozen(g *grid) string {
	s := g.source
	lines := []string{
		join(g.titled(), g.ordered(), "by "+s.Check.ID, s.facts.At.UTC().Format(time.RFC3339), s.facts.Target),
	}
	if s.trouble != "" {
		lines = append(lines, "? "+s.trouble)
	}
	if g.only != nil {
		lines = append(lines, "only "+g.only.column+" = "+g.only.value)
	}
	if filter := g.Filter(); filter != "" {
		lines = append(lines, "only what matches /"+filter)
	}
	for _, c := range g.chips {
		lines = append(lines, strings.TrimSpace(theme.Mark(c.level)+" "+c.text))
	}
	lines = append(lines, "")
	lines = append(lines, g.spread()...)
	lines = append(lines, s.facts.Detail...)
	for i := range lines {
		lines[i] = strings.TrimRight(pane.Plain(lines[i]), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// spread are the rows that are shown, every column as wide as it needs to be.
func (g *grid) spread() []string {
	f := g.at()
	var kept []column
	for _, c := range f.columns {
		if c.as != barred {
			if c.as == aged {
				c.as = plainly // the record wants the seconds that the screen leaves out
			}
			kept = append(kept, c)
		}
	}
	shown := g.Shown()
	rows := [][]string{make([]string, len(kept))}
	for i, c := range kept {
		rows[0][i] = c.title()
	}
	for _, at := range shown[:min(mostKept, len(shown))] {
		r, ok := g.record(at.ID)
		if !ok {
			continue
		}
		cells := make([]string, len(kept))
		for i, c := range kept {
			cells[i] = pane.Plain(c.write(r.cell(c.name)))
		}
		if f.tree {
			cells[0] = strings.Repeat("  ", len(at.Cells[0].Tree)) + at.Cells[0].Text
		}
		rows = append(rows, cells)
	}
	lines := aligned(rows)
	if n := len(shown) - mostKept; n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more rows", n))
	}
	if len(shown) == 0 {
		lines = append(lines, g.nothing())
	}
	return lines
}

// aligned puts the cells of rows below one another.
func aligned(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, c := range cells {
			widths[i] = max(widths[i], pane.Width(c))
		}
	}
	lines := make([]string, len(rows))
	for i, cells := range rows {
		for j, c := range cells {
			if j == len(cells)-1 {
				lines[i] += c
				break
			}
			lines[i] += pane.Pad(c, widths[j]) + "  "
		}
	}
	return lines
}

// evidence is the action of attach.
func (p *database) evidence() pane.Action {
	act := action("evidence", "attach what is shown to the item at hand", "evidence", p.attach, "E")
	if g := p.grid(); p.nothing != "" || g != nil && !g.source.Known() || g == nil && p.snap.Seq == 0 {
		act.Off = "nothing is known yet"
	}
	return act
}
