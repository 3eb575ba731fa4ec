package pane

import (
	"math"
	"regexp"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// moment is how a row of a series begins: a month or a day.
var moment = regexp.MustCompile(`^\d{4}-\d{2}(-\d{2})?$`)

// leastSeries is how many rows make a series: with two there is no course.
const leastSeries = 3

// Series draws a table of months or days as bars on a common scale, oldest
// first, and reports whether the table is one: it begins with the moment, and
// has one number. A row that a further column marks as true is not over yet.
func Series(f Frame, t checks.Table) ([]string, bool) {
	number, part, ok := seriesColumns(t)
	if !ok {
		return nil, false
	}
	top, widest := 0.0, 0
	for _, row := range t.Rows {
		if n := row[number].Num; !math.IsNaN(n) {
			top = max(top, n)
		}
		widest = max(widest, Width(Plain(row[number].String())))
	}
	lines := make([]string, 0, len(t.Rows)+1)
	lines = append(lines, f.Theme.Faint.Render(f.Cut(Plain(t.Columns[number].Name), f.W)))
	for _, row := range t.Rows {
		text := Plain(row[number].String())
		head := Plain(row[0].Text) + "  " + spaces(widest-Width(text)) + text + "  "
		tail := ""
		if part >= 0 && isTrue(row[part]) {
			tail = " so far"
		}
		room := max(0, min(50, f.W-Width(head)-Width(tail)))
		lines = append(lines, f.Cut(head, f.W)+bar(f, row[number].Num, top, room)+f.Theme.Faint.Render(tail))
	}
	return lines, true
}

// bar is a length on a scale from 0 to top: something is not nothing, and what
// is not known has no length.
func bar(f Frame, n, top float64, w int) string {
	switch {
	case math.IsNaN(n):
		return f.Cut(f.Theme.NoData, w)
	case n <= 0 || top <= 0 || w == 0:
		return ""
	}
	return strings.Repeat(f.Theme.Full, max(1, int(math.Round(n/top*float64(w)))))
}

// seriesColumns finds the number and the mark of a row that is not over.
func seriesColumns(t checks.Table) (number, part int, ok bool) {
	number, part = -1, -1
	if len(t.Rows) < leastSeries || len(t.Columns) < 2 {
		return number, part, false
	}
	for _, row := range t.Rows {
		if len(row) != len(t.Columns) || !moment.MatchString(row[0].Text) {
			return number, part, false
		}
	}
	for i, v := range t.Rows[0][1:] {
		switch {
		case v.Type.Numeric() && number < 0:
			number = i + 1
		case v.Type.Numeric():
			return number, part, false // two numbers have no common scale
		case strings.Contains(t.Columns[i+1].Name, "partial"):
			part = i + 1
		}
	}
	return number, part, number > 0
}

// isTrue reads a truth value, also as a database writes it.
func isTrue(v fact.Value) bool { return v.Bool() || v.Text == "t" || v.Text == "true" }
