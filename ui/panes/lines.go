package panes

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// A line is one reading of a pane: what it is, its number with the unit, and
// the comparison first among the notes. The most telling note comes first:
// what does not fit is cut at the end.
type line struct {
	id    string // stable identity, "sys.disk|/var"
	check string
	level checks.Level
	name  string
	value string
	note  string
	trend []float64
	top   float64 // of the trend's scale; 0: its own largest
	old   bool
	since string // of a server that is away
	rank  int    // the lower the more important where not all lines fit; below 0 before all others
}

// chartWidth is the width of a trend; a note keeps noteWidth before the trend
// is dropped.
const (
	chartWidth = 12
	noteWidth  = 30
)

// The widest a name and a value get, and in a frame narrower than narrow.
const (
	mostName, mostValue     = 14, 12
	narrowName, narrowValue = 8, 8
	narrow                  = 50
)

// A list is a pane's lines with a cursor. At the top the cursor stays at the
// top, wherever lines move; elsewhere it stays on its line.
type list struct {
	pane.Table
	lines  []line
	pinned bool
}

func newList(empty string) *list {
	return &list{Table: pane.Table{Marks: true, Empty: empty, Columns: make([]pane.Column, 4)}}
}

// set replaces the lines. Where they do not fit into h rows, those that are
// not well come first, then the important ones.
func (l *list) set(lines []line, th *theme.Theme, h int) {
	l.lines = lines
	if h > 0 && len(lines) > h {
		lines = slices.Clone(lines)
		slices.SortStableFunc(lines, func(a, b line) int {
			if a.rank < 0 || b.rank < 0 {
				return a.rank - b.rank
			}
			return cmp.Or(urgency(a.level)-urgency(b.level), a.rank-b.rank)
		})
	}
	rows := make([]pane.Row, len(lines))
	for i, at := range lines {
		rows[i] = at.row(th)
	}
	l.SetRows(rows)
	if !l.pinned {
		l.Move(-farUp)
	}
}

// row is the line as a row; without a theme it has no styles and no trend.
func (at line) row(th *theme.Theme) pane.Row {
	r := pane.Row{ID: at.id, Level: at.level, Faint: at.old || at.level == checks.Skipped, Cells: make([]pane.Cell, 4)}
	for i, text := range []string{at.name, at.value, at.note} {
		r.Cells[i].Text = text
	}
	if th == nil {
		return r
	}
	if at.level != checks.OK {
		r.Cells[1].Style = th.Level(at.level)
	}
	if len(at.trend) > 1 {
		r.Cells[3].Text = pane.Spark(th, at.trend, chartWidth, at.top)
	}
	return r
}

// urgency orders levels for a list that does not fit.
func urgency(l checks.Level) int {
	switch l {
	case checks.Crit:
		return 0
	case checks.Unknown:
		return 1
	case checks.Warn:
		return 2
	case checks.OK:
		return 3
	}
	return 4
}

// draw sets the lines anew, with styles, and draws them.
func (l *list) draw(lines []line, f pane.Frame) string {
	l.set(lines, f.Theme, f.H)
	names, values := 4, 5
	for _, at := range lines {
		names, values = max(names, pane.Width(pane.Plain(at.name))), max(values, pane.Width(pane.Plain(at.value)))
	}
	most, widest := mostName, mostValue
	if f.W < narrow {
		most, widest = narrowName, narrowValue
	}
	names, values = min(names, most), min(values, widest)
	l.Columns = append(l.Columns[:0],
		pane.Column{Title: "what", Min: names, Max: most, Keep: 9},
		pane.Column{Title: "now", Min: values, Max: widest, Keep: 8},
		pane.Column{Title: "note", Min: 4, Keep: 4, Fill: true})
	if f.W >= 4+names+2+values+2+noteWidth+2+chartWidth {
		l.Columns = append(l.Columns, pane.Column{Title: "trend", Min: chartWidth, Max: chartWidth, Keep: 5})
	}
	return clip(l.View(f), f.W)
}

// clip cuts lines that are wider than a frame in which not even marks fit.
func clip(view string, w int) string {
	const enough = 16
	if w >= enough {
		return view
	}
	lines := strings.Split(view, "\n")
	for i := range lines {
		lines[i] = pane.Cut(lines[i], w, "")
	}
	return strings.Join(lines, "\n")
}

// Moves are the actions that move the cursor.
func (l *list) Moves() []pane.Action { return pinning(l.Table.Moves(), l.pin) }

// Next moves the cursor among the lines that match.
func (l *list) Next(step int) {
	l.Move(step)
	l.pin()
}

func (l *list) pin() { l.pinned = pinned(&l.Table) }

// pinning has each movement followed by pin.
func pinning(acts []pane.Action, pin func()) []pane.Action {
	for i := range acts {
		do := acts[i].Do
		acts[i].Do = func() tea.Cmd {
			cmd := do()
			pin()
			return cmd
		}
	}
	return acts
}

// pinned reports whether the cursor has left the top.
func pinned(t *pane.Table) bool {
	at, ok := t.Selected()
	t.Move(-farUp)
	first, _ := t.Selected()
	t.Select(at.ID)
	return ok && at.ID != first.ID
}

// farUp is more rows than any table has.
const farUp = 1 << 30

// Point is the line under the cursor.
func (l *list) Point() pane.Point {
	row, ok := l.Selected()
	if !ok {
		return pane.Point{}
	}
	i := slices.IndexFunc(l.lines, func(at line) bool { return at.id == row.ID })
	if i < 0 {
		return pane.Point{}
	}
	at := l.lines[i]
	return pane.Point{Check: at.check, Value: at.value, Line: join(at.name, at.value, at.note)}
}

// worst is the first of the worst lines, and of how many checks a line is not
// well.
func (l *list) worst() (worst line, bad int) {
	worst.level = checks.OK
	seen := map[string]bool{}
	for _, at := range l.lines {
		if u := urgency(at.level); u < urgency(checks.OK) {
			seen[at.check] = true
			if u < urgency(worst.level) {
				worst = at
			}
		}
	}
	return worst, len(seen)
}

// summary is the worst line in few words.
func (l *list) summary(well string) string {
	worst, bad := l.worst()
	if bad == 0 {
		return well
	}
	text := worst.name + " " + worst.value
	if worst.old || worst.value == "?" {
		text = worst.name + " unknown"
	}
	if bad > 1 {
		text += ", " + strconv.Itoa(bad-1) + " more"
	}
	return text
}

// told gives the lines of one check their trouble: a check that is not well
// although none of its facts says so marks its first line, and so does one
// whose facts are old or missing.
func told(s source, noun string, rank int, lines []line) []line {
	if len(lines) == 0 || s.blank() {
		return []line{{id: s.Check.ID, check: s.Check.ID, level: shown(s.State, s.now), name: noun, value: missing(s), note: why(s), rank: rank}}
	}
	worst := checks.OK
	for i := range lines {
		lines[i].check, lines[i].old = s.Check.ID, s.old
		if lines[i].rank == 0 {
			lines[i].rank = rank
		}
		if lines[i].level.Worse(worst) {
			worst = lines[i].level
		}
	}
	first := &lines[0]
	if l := shown(s.State, s.now); l.Worse(worst) {
		first.level = l
		if s.Confirming() && s.trouble == "" {
			first.note = join("clearing "+strconv.Itoa(s.Streak)+"/"+strconv.Itoa(s.Need), first.note)
		}
	}
	first.note = join(s.trouble, first.note)
	if s.HeldBy != "" {
		first.note = join("held: "+s.HeldBy, first.note)
	}
	return lines
}

func missing(s source) string {
	if s.Level == checks.Skipped {
		return "-"
	}
	return "?"
}

// why is the sentence for a check without facts.
func why(s source) string {
	if s.trouble != "" {
		return s.trouble
	}
	if s.facts.Note != "" {
		return s.facts.Note
	}
	return "nothing was found out"
}
