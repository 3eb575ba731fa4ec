package panes

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// A chip is one short text of the lines around the rows, with what it counts for.
type chip struct {
	text  string
	level checks.Level
	cut   bool // rather than left out, where there is no room
}

// mostBreaches is how many broken rules are told before they are counted.
const mostBreaches = 3

// chips are what the check found out beside its rows: the root of a tree, the
// rules that were broken, then the facts of the facet.
func chips(s source, f facet, rows []record) []chip {
	if s.blank() {
		return nil
	}
	var list []chip
	if f.leads && len(rows) > 0 {
		list = append(list, chip{text: lead(rows[0]), level: checks.OK, cut: true})
	}
	list = append(list, breaches(s)...)
	for _, name := range strings.Fields(f.facts) {
		if _, broke := s.breach("", name); broke {
			continue
		}
		if v, ok := s.facts.Fact(name, ""); ok {
			list = append(list, chip{text: inWords(s, name, v.Value), level: s.level("", name), cut: v.Type == fact.Text})
		}
	}
	return list
}

func breaches(s source) []chip {
	var list []chip
	for i, b := range s.facts.Why {
		if i == mostBreaches {
			return append(list, chip{text: "and " + strconv.Itoa(len(s.facts.Why)-i) + " more", level: checks.OK})
		}
		limit := strings.TrimSpace(strings.TrimPrefix(b.Rule, b.Fact))
		list = append(list, chip{strings.TrimSpace(b.Label + " " + inWords(s, b.Fact, b.Value) + " " + limit), s.level(b.Label, b.Fact), true})
	}
	return list
}

// inWords is a fact in words: "longest wait 5 m", "wal rate 2.4 MiB/s".
func inWords(s source, name string, v fact.Value) string {
	as := aged
	if v.Dur() < 2*time.Second {
		as = plainly // a latency is not an age
	}
	text := strings.ReplaceAll(name, "_", " ") + " " + column{as: as}.write(v)
	if s.Check.Module == nil {
		return text
	}
	if spec, ok := s.Check.Module.FactSpec(name); ok && strings.HasPrefix(spec.Unit, "/") {
		text += spec.Unit
	}
	return text
}

// lead names the root of a tree and what its end would do.
func lead(r record) string {
	who := "pid " + r.cell("pid").String()
	if r.cell("pid").Num == 0 {
		who = "prepared transaction " + r.cell("query").Text
	}
	frees := column{}.write(r.cell("frees"))
	return "root " + join(who, r.cell("app").Text, r.cell("state").Text, column{as: aged}.write(r.cell("age"))) + ": its end frees " + frees
}

// The heights from which a view has room for its lines beside the rows.
const (
	headHeight   = 3
	tabsHeight   = 5
	factsHeight  = 7
	detailHeight = 12
	mostDetail   = 2
)

// draw draws the rows below what they are, how many, in which order and how
// old, and above what could not be found out. Without rows and without a
// server it draws what else is known.
func (g *grid) draw(f pane.Frame, session string, without func(pane.Frame) string) string {
	lines := g.above(f, session)
	if rows, _ := g.Len(); rows == 0 && without != nil && g.source.blank() {
		rest := without(f.In(f.W, f.H-len(lines)))
		return strings.Join(append(lines, rest), "\n")
	}
	below := g.below(f)
	lines = append(lines, g.Lines(f.In(f.W, f.H-len(lines)-len(below)))...)
	if len(below) > 0 {
		for len(lines) < f.H-len(below) {
			lines = append(lines, "")
		}
	}
	return strings.Join(append(lines, below...), "\n")
}

// above are the lines above the rows, as many as there is room for.
func (g *grid) above(f pane.Frame, session string) []string {
	var lines []string
	if f.H >= headHeight {
		lines = append(lines, g.head(f, session))
	}
	if f.H >= tabsHeight && len(g.view.facets) > 1 {
		lines = append(lines, g.tabs(f))
	}
	if f.H >= factsHeight && len(g.chips) > 0 {
		lines = append(lines, fill(f, " ", g.chips))
	}
	return lines
}

// below are the reasons of what is missing, and other words of the check.
func (g *grid) below(f pane.Frame) []string {
	if f.H < detailHeight {
		return nil
	}
	var lines []string
	for _, text := range g.source.facts.Detail[:min(mostDetail, len(g.source.facts.Detail))] {
		lines = append(lines, f.Theme.Faint.Render(f.Cut(" "+pane.Plain(text), f.W)))
	}
	return lines
}

// head is the first line of a view.
func (g *grid) head(f pane.Frame, session string) string {
	level := shown(g.source.State, f.Now)
	first := " " + f.Theme.Strong.Render(g.titled())
	if level != checks.OK && g.source.Known() {
		first = " " + f.Theme.Level(level).Render(strings.TrimSpace(theme.Mark(level))) + first
	}
	var parts []chip
	if n := len(g.picked()); n > 0 {
		parts = append(parts, chip{strconv.Itoa(n) + " marked", checks.OK, true})
	}
	if g.only != nil {
		parts = append(parts, chip{g.only.column + "=" + g.only.value, checks.OK, true})
	}
	if filter := g.Filter(); filter != "" {
		parts = append(parts, chip{"/" + filter, checks.OK, true})
	}
	switch {
	case g.source.Check.ID == "":
	case g.source.trouble != "" && g.source.Known():
		parts = append(parts, chip{g.source.trouble, checks.Unknown, true})
	case g.source.Known():
		parts = append(parts, chip{text: ago(g.source.Age(f.Now)) + " ago", level: checks.OK})
	}
	for _, text := range []string{g.ordered(), g.sighted(f.W), session, g.cost()} {
		parts = append(parts, chip{text: text, level: checks.OK})
	}
	return fill(f, first, parts)
}

// titled is the name of the view and how many of its rows are shown.
func (g *grid) titled() string {
	shown, _ := g.Len()
	title := g.view.name
	if name := g.at().name; name != "" && name != "all" {
		title += ", " + name
	}
	if !g.found {
		return title
	}
	title += " " + strconv.Itoa(shown)
	if all := len(g.all); all != shown {
		title += " of " + strconv.Itoa(all)
	}
	return title
}

// ordered is what the rows are ordered by, if somebody chose it.
func (g *grid) ordered() string {
	if g.by < 0 {
		return ""
	}
	direction := "least first"
	switch {
	case g.numeric(g.at().columns[g.by].name) && g.down:
		direction = "most first"
	case !g.numeric(g.at().columns[g.by].name) && g.down:
		direction = "z to a"
	case !g.numeric(g.at().columns[g.by].name):
		direction = "a to z"
	}
	return "by " + g.Columns[g.by].Title + ", " + direction
}

// sighted says that there are more columns than can be seen.
func (g *grid) sighted(w int) string {
	all := len(g.Columns)
	seen := g.InSight(w)
	if seen == all {
		return ""
	}
	text := strconv.Itoa(seen) + " of " + strconv.Itoa(all) + " columns"
	if n := g.Shifted(); n > 0 {
		text += ", from " + strconv.Itoa(n+2)
	}
	return text
}

// cost is what the check took, rounded so that it seldom changes.
func (g *grid) cost() string {
	if !g.source.Known() || g.source.facts.Took <= 0 {
		return ""
	}
	ms := g.source.facts.Took.Milliseconds()
	for _, step := range []int64{5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000} {
		if ms < step {
			return "took < " + fact.DurValue(time.Duration(step)*time.Millisecond).String()
		}
	}
	return "took " + ago(g.source.facts.Took)
}

// tabs are the facets with their rows, the one that is shown marked.
func (g *grid) tabs(f pane.Frame) string {
	var line strings.Builder
	room := f.W
	for i, facet := range g.view.facets {
		gap := "  "
		if i == 0 {
			gap = " "
		}
		text := facet.name
		if n := g.counts; i < len(n) && n[i] >= 0 && g.found {
			text += " " + strconv.Itoa(n[i])
		}
		style := f.Theme.Faint
		if i == g.facet {
			text, style = "["+text+"]", f.Theme.Strong
		}
		if len(gap)+pane.Width(text) > room {
			break
		}
		line.WriteString(gap + style.Render(text))
		room -= len(gap) + pane.Width(text)
	}
	return line.String()
}

// readable is the least of a text that is worth being cut to.
const readable = 8

// fill puts as many texts behind the first as there is room for. What is not
// well is cut rather than left out.
func fill(f pane.Frame, first string, parts []chip) string {
	line := pane.Cut(first, f.W, f.Theme.Ellipsis)
	room := f.W - pane.Width(line)
	parts = slices.DeleteFunc(slices.Clone(parts), func(c chip) bool { return c.text == "" })
	for i, c := range parts {
		gap := 2
		if i == 0 && strings.TrimSpace(first) == "" {
			gap = 0
		}
		text := pane.Plain(c.text)
		if w := pane.Width(text); room-gap < w && (room-gap < readable || !c.cut) {
			continue
		}
		text = f.Cut(text, room-gap)
		style := f.Theme.Level(c.level)
		if c.level == checks.OK {
			style = theme.Style{}
		}
		line += strings.Repeat(" ", gap) + style.Render(text)
		room -= gap + pane.Width(text)
	}
	return line
}
