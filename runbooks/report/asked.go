package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// mostShown is how many rows of a table of a preview a report tells.
const mostShown = 50

// A Given is one parameter of an action as it was resolved: which sessions to
// end, and the reason that somebody gave.
type Given struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Shown is a table of the preview that was confirmed: what would be touched,
// and who would be freed, as the person saw it before.
type Shown struct {
	Name    string     `json:"name"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
	More    int        `json:"more,omitempty"` // rows that are not told here; the record has them
}

// Asked are the parameters of an action, by name.
func Asked(with map[string]any) []Given {
	var out []Given
	for _, name := range slices.Sorted(maps.Keys(with)) {
		out = append(out, Given{name, inWords(with[name])})
	}
	return out
}

// inWords is a parameter as a person writes it; a list is told with commas.
func inWords(v any) string {
	var parts []string
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			parts = append(parts, inWords(one))
		}
		return strings.Join(parts, ", ")
	case []string:
		return strings.Join(v, ", ")
	case string:
		if d, err := time.ParseDuration(v); err == nil && strings.HasSuffix(v, "ms") { // as durations are kept
			return fact.FormatDuration(d)
		}
	case float64: // as a number comes back from the record
		return fact.FormatNumber(v)
	}
	return fmt.Sprint(v)
}

func shownOf(tables []checks.Table) []Shown {
	var out []Shown
	for _, t := range tables {
		if len(t.Rows) == 0 {
			continue
		}
		s := Shown{Name: t.Name}
		for _, c := range t.Columns {
			s.Columns = append(s.Columns, c.Name)
		}
		for _, r := range t.Rows[:min(mostShown, len(t.Rows))] {
			cells := make([]string, len(t.Columns))
			for i := range min(len(cells), len(r)) {
				cells[i] = r[i].String()
			}
			s.Rows = append(s.Rows, cells)
		}
		s.More = len(t.Rows) - len(s.Rows)
		out = append(out, s)
	}
	return out
}

// heading is what the table is, and what of it is left out.
func (s Shown) heading() string {
	text := "Before it was begun: " + s.Name
	if s.More > 0 {
		text += fmt.Sprintf(", the first %d of %d", len(s.Rows), len(s.Rows)+s.More)
	}
	return text
}

// shown writes the tables of a preview.
func (m *page) shown(list []Shown) {
	for _, s := range list {
		m.line("%s", esc(s.heading()))
		m.line("")
		m.table(s.Columns, s.Rows)
	}
}

// shown writes the tables of a preview.
func (s *sheet) shown(list []Shown) {
	for _, t := range list {
		s.markup("<p>")
		s.text(t.heading())
		s.markup("</p>\n<table><tr>")
		s.cells("th", t.Columns)
		for _, r := range t.Rows {
			s.markup("<tr>")
			s.cells("td", r)
		}
		s.markup("</table>\n")
	}
}

// cells writes the cells of a row, and its end.
func (s *sheet) cells(tag string, cells []string) {
	for _, c := range cells {
		s.markup("<", tag, ">")
		s.text(c)
		s.markup("</", tag, ">")
	}
	s.markup("</tr>\n")
}
