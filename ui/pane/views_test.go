package pane

import (
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

func TestATreeIsDrawnWithItsASCIITwin(t *testing.T) {
	table := Table{Columns: []Column{{Title: "pid", Keep: 9}}}
	var rows []Row
	for i, twigs := range Twigs([]int{0, 1, 2, 2, 1, 0, 5, 1}) {
		rows = append(rows, Row{ID: string(rune('a' + i)), Cells: []Cell{{Text: string(rune('a' + i)), Tree: twigs}}})
	}
	table.SetRows(rows)
	want := strings.Join([]string{" a", " +-b", " | +-c", " | +-d", " +-e", " f", " +-g", " +-h"}, "\n")
	if got := trimmed(table.View(ascii(20, 8))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = strings.Join([]string{" a", " ├─b", " │ ├─c", " │ └─d", " └─e", " f", " ├─g", " └─h"}, "\n")
	if got := trimmed(table.View(frame(20, 8, theme.Options{}))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func trimmed(view string) string {
	lines := strings.Split(ansi.Strip(view), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func TestATreeOfAnyDepthsIsDrawn(t *testing.T) {
	for _, depths := range [][]int{nil, {7}, {-3, 1 << 40, -1 << 60}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}} {
		got := Twigs(depths)
		if len(got) != len(depths) {
			t.Fatalf("%d rows of %v", len(got), depths)
		}
		for i, twigs := range got {
			if len(twigs) > mostTwigs || i == 0 && len(twigs) > 0 {
				t.Errorf("row %d of %v has %d twigs", i, depths, len(twigs))
			}
		}
	}
}

// wideTable is five columns of ten cells.
func wideTable() *Table {
	t := &Table{Head: true, Columns: []Column{
		{Title: "pid", Min: 10, Keep: 9}, {Title: "state", Min: 10, Keep: 3}, {Title: "age", Right: true, Keep: 8}, {Title: "client", Min: 10, Keep: 2}, {Title: "query", Min: 10, Keep: 7, Fill: true},
	}}
	t.SetRows([]Row{{ID: "1", Cells: Cells("4411______", "idle______", "_______6 m", "10.0.0.8__", "UPDATE____")}})
	return t
}

func TestATableIsShiftedBesideItsFirstColumn(t *testing.T) {
	table := wideTable()
	for _, step := range []struct {
		shift int
		want  string
	}{
		{0, " 4411______  _______6 m  UPDATE____"},
		{1, " 4411______  _______6 m  10.0.0.8__"},
		{1, " 4411______  10.0.0.8__  UPDATE____"},
		{9, " 4411______  UPDATE____"},
		{-9, " 4411______  _______6 m  UPDATE____"},
	} {
		table.Shift(step.shift)
		lines := strings.Split(trimmed(table.View(ascii(36, 4))), "\n")
		if lines[1] != step.want {
			t.Errorf("shifted by %d, at %d: got %q, want %q", step.shift, table.Shifted(), lines[1], step.want)
		}
	}
	if n := table.InSight(36); n != 3 {
		t.Errorf("%d columns are said to be in sight of a frame of 36 cells, want 3", n)
	}
	table.Shift(1)
	for w := 4; w < 80; w++ {
		for _, line := range strings.Split(table.View(ascii(w, 4)), "\n") {
			if Width(line) > w {
				t.Fatalf("a line of %d cells in %d", Width(line), w)
			}
		}
	}
}

func TestANumberIsNotCutAtTheRightEdge(t *testing.T) {
	table := wideTable()
	table.Columns[3].Right = true
	table.Shift(1)
	if line := strings.Split(trimmed(table.View(ascii(30, 4))), "\n")[1]; line != " 4411______  _______6 m" {
		t.Errorf("got %q", line)
	}
}

func TestTheHeadingSaysWhatTheRowsAreOrderedBy(t *testing.T) {
	table := wideTable()
	table.By, table.Down = 3, true
	if head := strings.Split(table.View(ascii(80, 4)), "\n")[0]; !strings.Contains(head, "agev") {
		t.Errorf("got %q", head)
	}
	table.Down = false
	if head := strings.Split(table.View(ascii(80, 4)), "\n")[0]; !strings.Contains(head, "age^") {
		t.Errorf("got %q", head)
	}
}

func TestSteadyColumnsKeepTheirPlaces(t *testing.T) {
	table := Table{Columns: []Column{{Title: "a"}, {Title: "b"}}, Steady: true}
	table.SetRows([]Row{{ID: "1", Cells: Cells("12345678", "x")}})
	wide := table.View(ascii(40, 1))
	table.SetRows([]Row{{ID: "1", Cells: Cells("1", "x")}})
	if narrow := table.View(ascii(40, 1)); strings.Index(narrow, "x") != strings.Index(wide, "x") {
		t.Errorf("the second column moved:\n%q\n%q", wide, narrow)
	}
}

func TestABarIsDrawnInACell(t *testing.T) {
	half := 0.5
	table := Table{Columns: []Column{{Title: "done", Min: 10}}}
	table.SetRows([]Row{{ID: "1", Cells: []Cell{{Share: &half}}}})
	f := ascii(20, 1)
	f.Focused = true
	if got := trimmed(table.View(f)); got != ">[====----]" {
		t.Errorf("got %q", got)
	}
}

func TestAMenuIsChosenFromByLetterOrByMoving(t *testing.T) {
	chosen := -1
	menu := &Menu{Head: "views", Choose: func(i int) tea.Cmd { chosen = i; return nil }, Items: []MenuItem{
		{"o", "overview", ""}, {"s", "sessions", "81"}, {"b", "blocking", "\x1b[2J"},
	}}
	rune1 := func(r rune) tea.KeyMsg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}} }
	menu.View(ascii(40, 10))
	if outcome, _ := menu.Handle(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("s"), Paste: true}); outcome != Stay || chosen != -1 {
		t.Error("a paste chose something")
	}
	if outcome, _ := menu.Handle(rune1('s')); outcome != Close || chosen != 1 {
		t.Errorf("s chose %d and gave %v", chosen, outcome)
	}
	menu.Handle(rune1('j'))
	menu.Handle(rune1('G'))
	if view := menu.View(ascii(40, 10)); !strings.Contains(view, ">b  blocking  ?[2J") {
		t.Errorf("got\n%s", view)
	}
	if outcome, _ := menu.Handle(tea.KeyMsg{Type: tea.KeyEnter}); outcome != Close || chosen != 2 {
		t.Errorf("enter chose %d and gave %v", chosen, outcome)
	}
	if outcome, _ := menu.Handle(tea.KeyMsg{Type: tea.KeyEsc}); outcome != Close {
		t.Error("esc does not close it")
	}
	if outcome, _ := menu.Handle(rune1(':')); outcome != Pass {
		t.Error("a key of the deck is kept")
	}
	for w := 1; w < 60; w++ {
		for h := 1; h < 8; h++ {
			if lines := strings.Split(menu.View(ascii(w, h)), "\n"); len(lines) > h {
				t.Fatalf("%d lines in %dx%d", len(lines), w, h)
			}
		}
	}
}
