package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// inspection is the debug view of one check: everything that led to its
// level, and where each number and limit comes from. It stays alive.
type inspection struct {
	*pane.Reader
	id    string
	state watch.State
	known bool
	zone  *time.Location
}

// inspect opens the debug view of a check.
func (m *Model) inspect(id string) tea.Cmd {
	in := &inspection{id: id, zone: m.deps.Zone}
	in.Reader = &pane.Reader{Head: id, Text: in.text, Extra: []pane.Action{
		{ID: "rerun", Help: "rerun", Key: key.NewBinding(key.WithKeys("r"), key.WithHelp("r", "run again")), Do: func() tea.Cmd { return pane.Again(id) }},
		{ID: "copy", Help: "copy", Key: key.NewBinding(key.WithKeys("y"), key.WithHelp("y", "copy all of it")), Do: in.copy(m)},
	}}
	m.push(in)
	return nil
}

func (m *Model) inspectPointed() tea.Cmd {
	return m.inspect(m.regions[m.focus].point(m).Check)
}

// copy sends the whole page, as it would be on a wide screen.
func (in *inspection) copy(m *Model) func() tea.Cmd {
	return func() tea.Cmd {
		lines := in.text(pane.Frame{W: 120, H: 1, Theme: m.theme, Now: m.shownAt})
		return pane.Copy("page", plainText(lines))
	}
}

// Looks is the check: its page stays alive.
func (in *inspection) Looks() []string { return []string{in.id} }

// Show takes the newest snapshot.
func (in *inspection) Show(s watch.Snapshot) { in.state, in.known = s.State(in.id) }

// text is the page.
func (in *inspection) text(f pane.Frame) []string {
	if !in.known {
		return pane.Wrap("the monitor has no check "+in.id+" any more", f.W)
	}
	s := in.state
	var lines []string
	section := func(title string, body []string) {
		if len(body) == 0 {
			return
		}
		if title != "" {
			lines = append(lines, "", f.Theme.Title.Render(title))
		}
		lines = append(lines, body...)
	}
	section("", in.head(f))
	section("why", in.why(f))
	section("facts", in.facts(f))
	section("rules", in.rules(f))
	section("where the time went", in.phases(f))
	section("last errors, newest first", in.errors(f))
	section("configuration", in.configuration(f))
	for _, t := range s.Result.Tables {
		section("table "+pane.Plain(t.Name), tableLines(f, t))
	}
	section("evidence", wrapped(f, s.Result.Detail))
	return lines
}

func (in *inspection) head(f pane.Frame) []string {
	s, r := in.state, in.state.Result
	level := shownLevel(s, f.Now)
	first := f.Theme.Level(level).Render(strings.TrimSpace(markWord(level))) + "  " + f.Cut(pane.Plain(sentence(s, f.Now)), f.W-12)
	pairs := [][2]string{
		{"since", in.when(s.Since, f.Now)},
		{"confirmed", confirmed(s)},
		{"answered", in.when(r.At, f.Now) + took(r)},
		{"last ok", in.when(s.LastOK, f.Now)},
	}
	if s.HeldBy != "" {
		pairs = append(pairs, [2]string{"held by", s.HeldBy})
	}
	if !s.Running.IsZero() {
		pairs = append(pairs, [2]string{"running", "since " + age(f.Now.Sub(s.Running)) + pick(s.Stuck, ", stuck", "")})
	}
	lines := append([]string{first}, pane.KeyValues(f, pairs)...)
	if len(s.Ticks) > 0 {
		lines = append(lines, f.Theme.Faint.Render("history    ")+pane.Ticks(f.Theme, s.Ticks, min(60, max(0, f.W-11))))
	}
	return lines
}

func markWord(l checks.Level) string {
	if l == checks.OK {
		return "ok"
	}
	return map[checks.Level]string{checks.Crit: "!! crit", checks.Warn: "! warn", checks.Unknown: "? unknown", checks.Skipped: "- skipped"}[l]
}

func confirmed(s watch.State) string {
	text := pick(s.Need == 0 || s.Streak >= s.Need, "yes", fmt.Sprintf("%d of %d samples", s.Streak, s.Need))
	if s.Raw != s.Level {
		text += "; the newest sample says " + s.Raw.String()
	}
	return text + pick(s.Flapping, "; flapping", "")
}

func took(r checks.Result) string {
	if r.At.IsZero() {
		return ""
	}
	text := ", took " + fact.FormatDuration(r.Took)
	if r.Waited > time.Millisecond {
		text += " after waiting " + fact.FormatDuration(r.Waited)
	}
	return text
}

// when is an instant in UTC and in the site's zone, with its age.
func (in *inspection) when(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	text := at.UTC().Format("2006-01-02 15:04:05Z")
	if in.zone != nil && in.zone != time.UTC {
		text += at.In(in.zone).Format(" (15:04 MST)")
	}
	return text + ", " + age(now.Sub(at)) + " ago"
}

// why lists the comparisons that decided, and what could not be decided.
func (in *inspection) why(f pane.Frame) []string {
	r := in.state.Result
	var pairs [][2]string
	for _, b := range r.Why {
		subject := strings.TrimSpace(b.Fact + " " + b.Label)
		pairs = append(pairs, [2]string{subject, fmt.Sprintf("%s; %s if %s (%s)", b.Value, b.Level, b.Rule, b.Source)})
	}
	for _, name := range r.Undecided {
		pairs = append(pairs, [2]string{name, "needed by a rule and not found out"})
	}
	if r.Err != "" {
		pairs = append(pairs, [2]string{"error", strings.TrimPrefix(string(r.Class)+": ", ": ") + r.Err})
	}
	return pane.KeyValues(f, pairs)
}

// facts lists every fact with its meaning; those that decided come marked.
func (in *inspection) facts(f pane.Frame) []string {
	s := in.state
	table := pane.Table{Marks: true, Columns: []pane.Column{
		{Title: "fact", Min: 6, Max: 24, Keep: 9}, {Title: "label", Min: 1, Max: 28, Keep: 8},
		{Title: "value", Min: 6, Max: 30, Right: true, Keep: 9}, {Title: "last samples", Min: 20, Max: 20, Keep: 2}, {Title: "meaning", Min: 10, Keep: 1, Fill: true},
	}, Head: true}
	var rows []pane.Row
	for i, fa := range s.Result.Facts {
		name, doc := fa.Name, ""
		if s.Check.Module != nil {
			if spec, ok := s.Check.Module.FactSpec(fa.Name); ok {
				doc = spec.Doc + pick(spec.Optional, " (optional)", "")
			}
		}
		rows = append(rows, pane.Row{ID: fmt.Sprint(i), Level: decided(s.Result, fa), Cells: []pane.Cell{
			{Text: name}, {Text: fa.Label}, {Text: fa.Value.String() + unit(s.Check.Module, fa)}, {Spark: s.Trend[watch.TrendKey(fa.Name, fa.Label)]}, {Text: doc},
		}})
	}
	if len(rows) == 0 {
		return nil
	}
	table.SetRows(rows)
	return table.Lines(f.In(f.W, len(rows)+1).Unfocused())
}

// decided is the level a fact led to, ok if it led to none.
func decided(r checks.Result, f fact.Fact) checks.Level {
	for _, b := range r.Why {
		if b.Fact == f.Name && b.Label == f.Label {
			return b.Level
		}
	}
	return checks.OK
}

func unit(m *checks.Module, f fact.Fact) string {
	if m == nil || f.Type != fact.Count {
		return ""
	}
	if spec, ok := m.FactSpec(f.Name); ok && spec.Unit != "" {
		return " " + spec.Unit
	}
	return ""
}

func (in *inspection) rules(f pane.Frame) []string {
	r, c := in.state.Result, in.state.Check
	var pairs [][2]string
	for _, rule := range []struct {
		name, ran string
		set       checks.Rule
	}{{"warn", r.Warn, c.Rules.Warn}, {"fail", r.Fail, c.Rules.Fail}} {
		text := pick(rule.ran != "", rule.ran, rule.set.Text)
		if text != "" {
			pairs = append(pairs, [2]string{rule.name, text + pick(rule.set.Source != "", "  ("+rule.set.Source+")", "")})
		}
	}
	if len(pairs) == 0 {
		return []string{"none: what is found out is ok"}
	}
	return pane.KeyValues(f, pairs)
}

func (in *inspection) phases(f pane.Frame) []string {
	var pairs [][2]string
	for _, p := range in.state.Result.Phases {
		took := p.Took
		if took == 0 {
			took = time.Duration(p.Ms * float64(time.Millisecond))
		}
		pairs = append(pairs, [2]string{p.Name, fact.FormatDuration(took)})
	}
	return pane.KeyValues(f, pairs)
}

func (in *inspection) errors(f pane.Frame) []string {
	var pairs [][2]string
	for _, e := range slices.Backward(in.state.Errors) {
		pairs = append(pairs, [2]string{e.At.UTC().Format("15:04:05Z"), string(e.Class) + ": " + e.Err})
	}
	return pane.KeyValues(f, pairs)
}

func (in *inspection) configuration(f pane.Frame) []string {
	c := in.state.Check
	pairs := [][2]string{{"check", c.ID}, {"title", c.Title}}
	if c.Module != nil {
		pairs = append(pairs, [2]string{"module", c.Module.Name + ": " + c.Module.Doc})
	}
	for _, name := range c.Args.Names() {
		pairs = append(pairs, [2]string{"  " + name, fmt.Sprint(c.Args.Value(name))})
	}
	pairs = append(pairs,
		[2]string{"connection", pick(c.Connection != "", c.Connection, "main")},
		[2]string{"every", fact.FormatDuration(c.Interval()) + ", deadline " + fact.FormatDuration(c.Deadline())},
		[2]string{"confirm", fmt.Sprintf("%d bad samples raise, %d good clear", pick(c.Confirm > 0, c.Confirm, 3), pick(c.Clear > 0, c.Clear, 2))})
	if len(c.Needs) > 0 {
		pairs = append(pairs, [2]string{"needs", strings.Join(c.Needs, ", ")})
	}
	return pane.KeyValues(f, append(pairs, [2]string{"from", pick(c.Origin != "", c.Origin, "built in")}))
}

// tableLines draws a table of a result as it is, and months or days as bars.
func tableLines(f pane.Frame, t checks.Table) []string {
	if lines, ok := pane.Series(f, t); ok {
		return lines
	}
	table := pane.Table{Head: true, Empty: "no rows"}
	for i, c := range t.Columns {
		table.Columns = append(table.Columns, pane.Column{Title: c.Name, Min: 4, Max: 40, Right: c.Type.Numeric(), Keep: len(t.Columns) - i})
	}
	rows := make([]pane.Row, len(t.Rows))
	for i, row := range t.Rows {
		cells := make([]string, len(row))
		for j, v := range row {
			cells[j] = v.String()
		}
		rows[i] = pane.Row{ID: fmt.Sprint(i), Cells: pane.Cells(cells...)}
	}
	table.SetRows(rows)
	return table.Lines(f.In(f.W, len(rows)+1).Unfocused())
}

func wrapped(f pane.Frame, texts []string) []string {
	var lines []string
	for _, t := range texts {
		lines = append(lines, pane.Wrap(t, f.W)...)
	}
	return lines
}
