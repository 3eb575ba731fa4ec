package pane

import (
	"math"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

func months(rows ...[]fact.Value) checks.Table {
	return checks.Table{Name: "rows", Columns: []checks.Column{{Name: "month"}, {Name: "users"}, {Name: "partial"}}, Rows: rows}
}

func month(name string, n float64, partial string) []fact.Value {
	return []fact.Value{fact.WordValue(name), fact.NumberValue(n), fact.WordValue(partial)}
}

func TestMonthsAreBarsOnOneScale(t *testing.T) {
	f := ascii(40, 10)
	lines, ok := Series(f, months(month("2026-08", 40, "f"), month("2026-09", 0, "f"), month("2026-10", math.NaN(), "f"), month("2026-11", 10, "t")))
	if !ok {
		t.Fatal("it is no series")
	}
	got := ansi.Strip(strings.Join(lines, "\n"))
	full := strings.Count(lines[1], f.Theme.Full)
	if part := strings.Count(lines[4], f.Theme.Full); full < 15 || part < full/5 || part > full/3 {
		t.Errorf("40 is %d long and 10 is %d:\n%s", full, part, got)
	}
	if strings.Contains(lines[2], f.Theme.Full) || !strings.Contains(got, "2026-10  unknown") || !strings.HasSuffix(got, "so far") {
		t.Errorf("nothing, what is not known, or what is not over is not told apart:\n%s", got)
	}
	for _, l := range lines {
		if Width(l) > 40 {
			t.Errorf("%d cells: %q", Width(l), l)
		}
	}
}

func TestWhatIsNoSeriesIsNoChart(t *testing.T) {
	two := months(month("2026-08", 40, "f"), month("2026-09", 0, "f"))
	named := months(month("ada", 1, "f"), month("bob", 2, "f"), month("eve", 3, "f"))
	several := checks.Table{Columns: []checks.Column{{Name: "day"}, {Name: "a"}, {Name: "b"}}}
	for _, day := range []string{"2026-11-01", "2026-11-02", "2026-11-03"} {
		several.Rows = append(several.Rows, []fact.Value{fact.WordValue(day), fact.NumberValue(1), fact.NumberValue(900)})
	}
	for name, table := range map[string]checks.Table{"two rows": two, "names": named, "two numbers": several, "nothing": {}} {
		if _, ok := Series(ascii(40, 10), table); ok {
			t.Errorf("%s became a chart", name)
		}
	}
}
