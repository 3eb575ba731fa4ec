package panes

import (
	"cmp"
	"math"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/ui/pane"
)

// A column of a view is a column of a module's table and how it is shown.
type column struct {
	name string // in the module's table
	as   form
	loud bool // what is not nothing stands out
	long bool // words get mostObject cells instead of mostWord
}

// A form is how the values of a column are written.
type form uint8

const (
	plainly form = iota // by the type of the value
	ident               // a number that counts nothing: a pid
	aged                // a duration in one unit, so that few change
	barred              // a percentage as a bar
	hung                // an ident that hangs in a tree
	whole               // a text that takes what room is left, and that the row is about
	rest                // the same, but numbers come first
)

// Widths in cells: the widest that words and names of objects get, what a
// column of words and the last one keep before others go, and that of a bar.
const (
	mostWord   = 20
	mostObject = 44
	leastWord  = 12
	leastText  = 18
	barWidth   = 12
)

// columns reads the columns of a view: names of the module's table, each with
// how it is shown after a colon.
func columns(list string) []column {
	var all []column
	for _, field := range strings.Fields(list) {
		name, how, _ := strings.Cut(field, ":")
		c := column{name: name}
		switch how {
		case "":
		case "ident":
			c.as = ident
		case "aged":
			c.as = aged
		case "bar":
			c.as = barred
		case "tree":
			c.as, c.long = hung, true
		case "text":
			c.as = whole
		case "rest":
			c.as = rest
		case "loud":
			c.loud = true
		case "object":
			c.long = true
		default:
			panic("a column of a view is shown as " + how) // a mistake in a literal; every test draws every view
		}
		all = append(all, c)
	}
	return all
}

// title is what stands above the column.
func (c column) title() string {
	if c.as == barred {
		return ""
	}
	return strings.ReplaceAll(c.name, "_", " ")
}

// layout is the column as the table draws it, at place i: the earlier ones
// stay longer. A text that the row is about stays as long as the first, one
// that says more stays as long as the fifth.
func (c column) layout(i int) pane.Column {
	l := pane.Column{Title: c.title(), Max: mostWord, Keep: 30 - i}
	switch {
	case c.as == whole:
		l.Min, l.Max, l.Keep, l.Fill = leastText, 0, 30, true
	case c.as == rest:
		l.Min, l.Max, l.Keep, l.Fill = leastText, 0, 26, true
	case c.as == barred:
		l.Min, l.Max, l.Keep = barWidth, barWidth, 0
	case c.long:
		l.Max = mostObject
	}
	return l
}

// write is a value as the column shows it.
func (c column) write(v fact.Value) string {
	switch {
	case v.Type.Numeric() && (math.IsNaN(v.Num) || math.IsInf(v.Num, 0)):
		return "?"
	case c.as == ident || c.as == hung:
		return v.String()
	case c.as == aged && v.Type == fact.Duration && v.Num > 0 && v.Dur() < time.Second:
		return "<1 s"
	case c.as == aged && v.Type == fact.Duration:
		return ago(v.Dur())
	}
	return brief(v)
}

// cell is a value in its place of a row.
func (c column) cell(v fact.Value) pane.Cell {
	if c.as == barred {
		if v.Type != fact.Percent {
			return pane.Cell{}
		}
		share := v.Num / 100
		return pane.Cell{Share: &share}
	}
	cell := pane.Cell{Text: c.write(v)}
	switch {
	case v.Type == fact.Time: // what a view shows is of today
		cell.Text = v.Instant().UTC().Format(time.TimeOnly)
	case c.as == whole || c.as == rest:
		cell.Text = oneLine(cell.Text)
	}
	cell.Strong = c.loud && cell.Text != "" && cell.Text != "0" && cell.Text != "-"
	return cell
}

// breaks are line ends and tabs as a result writes them in one line.
var breaks = strings.NewReplacer(`\n`, " ", `\r`, " ", `\t`, " ")

// oneLine is a statement without its line breaks and indents: the row in full
// has them.
func oneLine(text string) string { return strings.Join(strings.Fields(breaks.Replace(text)), " ") }

// brief is a value for a narrow column.
func brief(v fact.Value) string {
	switch v.Type {
	case fact.Percent:
		return percent(v.Num)
	case fact.Count:
		if v.Num == float64(int64(v.Num)) && v.Num < 1e6 {
			return fact.FormatNumber(v.Num)
		}
		return short(v.Num)
	case fact.Bool:
		if v.Bool() {
			return "yes"
		}
		return "no"
	}
	return v.String()
}

// compare orders two values of a column: numbers by size, words by letter
// whatever their case. What is not known or not there comes last either way,
// so that it never hides what is.
func compare(a, b fact.Value, down bool) int {
	if ka, kb := sortable(a), sortable(b); !ka || !kb {
		return cmp.Compare(rankOf(ka), rankOf(kb))
	}
	by := cmp.Compare(a.Num, b.Num)
	if a.Type == fact.Text || b.Type == fact.Text {
		by = strings.Compare(strings.ToLower(a.Text), strings.ToLower(b.Text))
	}
	if down {
		return -by
	}
	return by
}

func rankOf(known bool) int {
	if known {
		return 0
	}
	return 1
}

func sortable(v fact.Value) bool {
	if v.Type == fact.Text {
		return v.Text != "" && v.Text != "?" && v.Text != "-"
	}
	return !math.IsNaN(v.Num)
}
