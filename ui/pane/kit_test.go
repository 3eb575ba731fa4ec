package pane

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

func frame(w, h int, o theme.Options) Frame {
	return Frame{W: w, H: h, Theme: theme.New(lipgloss.NewRenderer(io.Discard), o)}
}

func ascii(w, h int) Frame { return frame(w, h, theme.Options{ASCII: true}) }

func TestPlainLetsNoControlCharacterThrough(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "a\tb\nc\rd": "a b c d", "\x1b[31mred\x07": "?[31mred?", "\u009b31m": "?31m",
		"\u202egnp": "?gnp", "\xff": "?", "caf\u00e9 \u4e2d": "caf\u00e9 \u4e2d", "\u2602\ufe0f": "\u2602", "\u00a0x": " x",
	} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFitIsExact(t *testing.T) {
	view := "\x1b[1mbold and long enough\x1b[0m\nshort\n\x1b[2Jclear\x07\nfour\nfive"
	got := Fit(view, 8, 4)
	want := []string{"\x1b[1mbold and\x1b[0m", "short   ", "?[2Jclea", "four    "}
	for i := range got {
		got[i] = strings.TrimSuffix(got[i], "\x1b[0m")
		want[i] = strings.TrimSuffix(want[i], "\x1b[0m")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := Fit("", 3, 2); !slices.Equal(got, []string{"   ", "   "}) {
		t.Errorf("an empty view became %q", got)
	}
}

func TestAStyleThatIsNotClosedEndsWithTheLine(t *testing.T) {
	if got := FitLine("\x1b[31mred", 5); !strings.HasSuffix(got, reset) {
		t.Errorf("got %q", got)
	}
}

func FuzzFit(f *testing.F) {
	for _, seed := range []string{"", "\x1b[31mx\x1b[0m", "\x1b[", "\u4e2d\u6587", "a\xffb", "e\u0301\u200d", "\U0001f469\u200d\U0001f4bb", "\x1b]8;;x\x07"} {
		f.Add(seed, 10)
	}
	f.Fuzz(func(t *testing.T, view string, w int) {
		w = clamp(w, 0, 200)
		lines := Fit(view, w, 3)
		if len(lines) != 3 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if got := ansi.StringWidth(line); got != w {
				t.Fatalf("%q is %d wide, want %d", line, got, w)
			}
			if !utf8.ValidString(line) {
				t.Fatalf("%q is not UTF-8", line)
			}
			for _, r := range ansi.Strip(line) {
				if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
					t.Fatalf("%q has %U", line, r)
				}
			}
		}
	})
}

func FuzzWrap(f *testing.F) {
	f.Add("the quick brown fox", 7)
	f.Add("\u4e2d\u6587\u4e2d\u6587", 1)
	f.Add("a b\n\nc", 3)
	f.Fuzz(func(t *testing.T, text string, w int) {
		w = clamp(w, 2, 100)
		for _, line := range Wrap(text, w) {
			if Width(line) > w {
				t.Fatalf("%q is %d wide, want at most %d", line, Width(line), w)
			}
		}
	})
}

func TestWrapBreaksAtSpaces(t *testing.T) {
	want := []string{"the quick", "brown fox", "jumpsoverthela", "zydog", "", "end"}
	if diff := cmp.Diff(want, Wrap("the quick brown fox jumpsoverthelazydog\n\nend", 14)); diff != "" {
		t.Error(diff)
	}
}

func disks() *Table {
	t := &Table{Marks: true, Head: true, Empty: "no mount is known", Columns: []Column{
		{Title: "mount", Keep: 9}, {Title: "used", Right: true, Keep: 8}, {Title: "device", Keep: 1}, {Title: "note", Min: 6, Keep: 5, Fill: true},
	}}
	t.SetRows([]Row{
		{ID: "/var", Level: checks.Crit, Cells: Cells("/var", "100 %", "/dev/vda2", "nothing is left"), Sub: "log grew 38 GB"},
		{ID: "/", Level: checks.OK, Cells: Cells("/", "41 %", "/dev/vda1", "full in > 90 d")},
		{ID: "/mnt", Level: checks.Unknown, Cells: Cells("/mnt", "-", "nfs:/x", "does not answer")},
	})
	return t
}

func TestTableFitsItsColumns(t *testing.T) {
	f := ascii(60, 10)
	f.Focused = true
	want := []string{
		"    mount   used  device     note",
		">!! /var   100 %  /dev/vda2  nothing is left",
		"      log grew 38 GB",
		"    /       41 %  /dev/vda1  full in > 90 d",
		" ?  /mnt       -  nfs:/x     does not answer",
	}
	got := disks().Lines(f)
	for i := range got {
		got[i] = strings.TrimRight(got[i], " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTableShrinksAndDropsTheLeastColumns(t *testing.T) {
	for w, want := range map[int]string{
		34: " !! /var   100 %  /dev/~  nothing~",
		27: " !! /var   100 %  nothing ~",
		18: " !! /var   100 %",
		7:  " !! /v~",
	} {
		if got := disks().Lines(ascii(w, 10))[1]; strings.TrimRight(got, " ") != want {
			t.Errorf("%d columns: %q, want %q", w, got, want)
		}
	}
}

func TestWhatADroppedColumnLeavesGoesToThoseThatShrank(t *testing.T) {
	table := &Table{Columns: []Column{{Title: "name", Min: 4, Keep: 9}, {Title: "note", Min: 4, Keep: 5}, {Title: "when", Min: 9, Keep: 1}}}
	table.SetRows([]Row{{ID: "a", Cells: Cells("long-name", "remark", "yesterday")}})
	for w, want := range map[int]string{
		30: "long-name  remark  yesterday",
		24: "long-~  rem~  yesterday",
		20: "long-name  remark",
		17: "long-name  rema~",
		14: "long-n~  rem~",
	} {
		if got := table.Lines(ascii(w, 10))[0]; strings.TrimSpace(got) != want {
			t.Errorf("%d columns: %q, want %q", w, strings.TrimSpace(got), want)
		}
	}
}

func TestTheCursorStaysOnItsRow(t *testing.T) {
	table := disks()
	table.Lines(ascii(60, 10))
	table.Move(1)
	rows := []Row{{ID: "/new"}, {ID: "/mnt"}, {ID: "/"}, {ID: "/var"}}
	table.SetRows(rows)
	if row, _ := table.Selected(); row.ID != "/" {
		t.Errorf("the cursor went to %s", row.ID)
	}
	table.SetRows(rows[:2])
	if row, ok := table.Selected(); !ok || row.ID == "/" {
		t.Errorf("the cursor is on %+v, %v", row, ok)
	}
}

func TestFilterAndInverse(t *testing.T) {
	table := disks()
	for filter, want := range map[string]int{"": 3, "VDA": 2, "!vda": 1, "38 gb": 1, "zzz": 0, "!": 3} {
		table.Find(filter)
		if shown, _ := table.Len(); shown != want {
			t.Errorf("/%s shows %d rows, want %d", filter, shown, want)
		}
	}
	table.Find("zzz")
	if got := table.View(ascii(60, 5)); !strings.Contains(got, "nothing matches /zzz") {
		t.Errorf("an empty filter result says %q", got)
	}
	if _, ok := table.Selected(); ok {
		t.Error("a row is selected where none is shown")
	}
	empty := &Table{Empty: "no mount is known"}
	if got := empty.View(ascii(60, 5)); !strings.Contains(got, "no mount is known") {
		t.Errorf("an empty table says %q", got)
	}
}

func TestTheCursorIsAlwaysShown(t *testing.T) {
	var rows []Row
	for i := range 50 {
		rows = append(rows, Row{ID: string(rune('A' + i)), Cells: Cells(string(rune('A' + i))), Sub: "below"})
	}
	table := &Table{Columns: []Column{{Title: "x"}}}
	table.SetRows(rows)
	for h := 1; h < 9; h++ {
		f := ascii(20, h)
		f.Focused = true
		for _, move := range []int{0, 1, 7, 3, -2, 50, -4, -50} {
			table.Move(move)
			lines := table.Lines(f)
			if len(lines) > h {
				t.Fatalf("%d lines in %d", len(lines), h)
			}
			row, _ := table.Selected()
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, ">"+row.ID) }) {
				t.Fatalf("height %d: row %s is not shown:\n%s", h, row.ID, strings.Join(lines, "\n"))
			}
		}
	}
}

func TestReadingsAlignAndKeepTheirChart(t *testing.T) {
	f := ascii(50, 5)
	got := Readings(f, []Reading{
		{Level: checks.OK, Name: "cpu", Value: "31 %", Note: "run 2/8 cpu  steal 0", Chart: Spark(f.Theme, []float64{1, 2, 3, 4, 5}, 5, 0)},
		{Level: checks.Crit, Name: "/var", Value: "100 %", Note: "0 B free, a very long note that cannot fit here"},
	})
	want := []string{
		"   cpu  31 %   run 2/8 cpu  steal 0          .:-=#",
		"!! /var 100 %  0 B free, a very long note that ca~",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadingsFitEveryWidth(t *testing.T) {
	for w := range 100 {
		f := ascii(w, 5)
		for _, line := range Readings(f, []Reading{
			{Level: checks.Warn, Name: "a very long name indeed", Value: strings.Repeat("9", 30), Note: strings.Repeat("note ", 30), Chart: "#####"},
			{Name: "x", Chart: "#####"}, {},
		}) {
			if w >= 20 && Width(line) > w {
				t.Fatalf("%d: %q is %d wide", w, line, Width(line))
			}
		}
	}
}

func TestGauge(t *testing.T) {
	th := ascii(0, 0).Theme
	for share, want := range map[float64]string{0: "[----------]", 0.5: "[=====-----]", 1: "[==========]", 0.001: "[=---------]", 7: "[==========]", math.Inf(-1): "[----------]"} {
		if got := Gauge(th, share, 12); got != want {
			t.Errorf("Gauge(%v) = %s, want %s", share, got, want)
		}
	}
	if got := Gauge(th, math.NaN(), 6); got != "[????]" {
		t.Errorf("what is not known is drawn as %s", got)
	}
	if got := Gauge(th, 0.5, 2); got != "  " {
		t.Errorf("a gauge without room is %q", got)
	}
}

func TestSparkShowsTheNewestAndMarksGaps(t *testing.T) {
	th := ascii(0, 0).Theme
	if got := Spark(th, []float64{9, 0, 1, 50, math.NaN(), 100}, 5, 100); got != " .-?#" {
		t.Errorf("got %q", got)
	}
	if got := Spark(th, []float64{5, 5}, 4, 0); got != "  ##" {
		t.Errorf("got %q", got)
	}
	if got := Spark(th, nil, 3, 0); got != "   " {
		t.Errorf("got %q", got)
	}
	if got := Spark(th, []float64{0, 0, -3}, 3, 0); got != "   " {
		t.Errorf("nothing at all is drawn as %q", got)
	}
}

func TestTicksAreStyledInRuns(t *testing.T) {
	list := []watch.Tick{{Level: checks.OK}, {Level: checks.Warn}, {Level: checks.Crit}, {Level: checks.Crit}, {Level: checks.Unknown}}
	if got := Ticks(ascii(0, 0).Theme, list, 6); got != " .=##?" {
		t.Errorf("got %q", got)
	}
	colour := frame(0, 0, theme.Options{ASCII: true, Color: theme.Sixteen}).Theme
	if got := Ticks(colour, list, 5); strings.Count(got, "\x1b[0m") != 3 {
		t.Errorf("got %q", got)
	}
}

func TestRuleAndBoxAreExact(t *testing.T) {
	f := ascii(0, 0)
	if got, want := Rule(f, "1 SYSTEM", "4/8", 24), "-1 SYSTEM  4/8 ---------"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for w := range 60 {
		for _, title := range []string{"", "1 SYSTEM", strings.Repeat("long ", 20)} {
			if got := Width(Rule(f, title, "some note", w)); got != w {
				t.Errorf("a rule of %d is %d wide", w, got)
			}
			for _, line := range Box(f, title, []string{"one", "two"}, w, 5) {
				if Width(line) != w {
					t.Errorf("a box of %d has a line of %d: %q", w, Width(line), line)
				}
			}
		}
	}
}

func TestOverKeepsWhatIsAround(t *testing.T) {
	back := []string{"\x1b[31mabcdefghij\x1b[0m", "0123456789"}
	got := Over(back, []string{"XX", "YY"}, 3, 0)
	for i, want := range []string{"abcXXfghij", "012YY56789"} {
		if plain := ansi.Strip(got[i]); plain != want {
			t.Errorf("line %d is %q, want %q", i, plain, want)
		}
	}
	if strings.Contains(got[0][:strings.Index(got[0], "XX")], "m") && !strings.Contains(got[0], reset+"XX") {
		t.Errorf("the block takes on the style below: %q", got[0])
	}
}

func TestBesideFillsShorterBlocks(t *testing.T) {
	got := Beside("|", []string{"aa", "bb"}, []string{"c"}, nil)
	if diff := cmp.Diff([]string{"aa|c|", "bb| |"}, got); diff != "" {
		t.Error(diff)
	}
}

func keys(text string) tea.KeyMsg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text)} }

func TestFieldEdits(t *testing.T) {
	var f Field
	f.Handle(keys("hello wrld"))
	for range 3 {
		f.Handle(tea.KeyMsg{Type: tea.KeyLeft})
	}
	f.Handle(keys("o"))
	if f.Text() != "hello world" {
		t.Errorf("got %q", f.Text())
	}
	f.Handle(tea.KeyMsg{Type: tea.KeyEnd})
	f.Handle(tea.KeyMsg{Type: tea.KeyCtrlW})
	f.Handle(keys("\x1b[2J\n"))
	if f.Text() != "hello ?[2J " {
		t.Errorf("got %q", f.Text())
	}
	f.Set(strings.Repeat("x", 2000))
	if len(f.Text()) != fieldLimit {
		t.Errorf("%d runes were taken", len(f.Text()))
	}
	for w := range 20 {
		if got := Width(f.View(ascii(w, 1), w)); got != w {
			t.Errorf("a field of %d is %d wide", w, got)
		}
	}
}

func TestFormAsksEachEntryAndChecksIt(t *testing.T) {
	var done []string
	form := &Form{Head: "evidence", Entries: []Entry{{Label: "size"}, {Label: "path", Check: func(s string) error {
		if !strings.HasPrefix(s, "/") {
			return errors.New("a path begins with /")
		}
		return nil
	}}}, Done: func(texts []string) tea.Cmd { done = texts; return nil }}
	enter := tea.KeyMsg{Type: tea.KeyEnter}
	if out, _ := form.Handle(enter); out != Stay || !strings.Contains(form.View(ascii(60, 5)), "type something") {
		t.Error("nothing at all was accepted")
	}
	form.Handle(keys("4 GB"))
	form.Handle(enter)
	form.Handle(keys("tmp"))
	if out, _ := form.Handle(enter); out != Stay || !strings.Contains(form.View(ascii(60, 5)), "a path begins with /") {
		t.Errorf("a bad path was accepted:\n%s", form.View(ascii(60, 5)))
	}
	form.Handle(tea.KeyMsg{Type: tea.KeyCtrlU})
	form.Handle(keys("/tmp"))
	if out, _ := form.Handle(enter); out != Close || !slices.Equal(done, []string{"4 GB", "/tmp"}) {
		t.Errorf("done with %q", done)
	}
}

func TestConfirmWantsTheWordTyped(t *testing.T) {
	did := 0
	ask := &Confirm{Word: "prod-db", Yes: func() tea.Cmd { did++; return nil }}
	paste := keys("prod-db")
	paste.Paste = true
	ask.Handle(paste)
	if out, _ := ask.Handle(tea.KeyMsg{Type: tea.KeyEnter}); out != Stay || did != 0 {
		t.Error("a paste confirmed")
	}
	for _, r := range "prod-db" {
		ask.Handle(keys(string(r)))
	}
	if out, _ := ask.Handle(tea.KeyMsg{Type: tea.KeyEnter}); out != Close || did != 1 {
		t.Error("the word typed did not confirm")
	}
	left := 0
	ask = &Confirm{Yes: func() tea.Cmd { did++; return nil }, No: func() tea.Cmd { left++; return nil }}
	ask.Handle(tea.KeyMsg{Type: tea.KeyEnter})
	ask.Handle(keys(" "))
	if out, _ := ask.Handle(keys("n")); out != Close || did != 1 || left != 1 {
		t.Error("n did not leave")
	}
}

func TestReaderScrollsAndSearches(t *testing.T) {
	var lines []string
	for i := range 100 {
		lines = append(lines, "line "+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
	r := &Reader{Text: func(Frame) []string { return lines }}
	f := ascii(40, 11)
	top := func() string { first, _, _ := strings.Cut(r.View(f), "\n"); return first }
	top()
	for _, k := range []string{"j", "j"} {
		r.Handle(keys(k))
	}
	if top() != "line 02" {
		t.Errorf("after jj the top is %q", top())
	}
	r.Handle(keys("G"))
	if top() != "line 90" {
		t.Errorf("after G the top is %q", top())
	}
	r.Handle(keys("/"))
	r.Handle(keys("LINE 42"))
	r.Handle(tea.KeyMsg{Type: tea.KeyEnter})
	if top() != "line 42" {
		t.Errorf("the search went to %q", top())
	}
	r.Find("nowhere")
	if !strings.Contains(r.View(f), "not found: nowhere") {
		t.Error("a failed search says nothing")
	}
	if out, _ := r.Handle(tea.KeyMsg{Type: tea.KeyEsc}); out != Close {
		t.Error("esc does not close")
	}
}

func BenchmarkTable(b *testing.B) {
	table := disks()
	f := frame(60, 20, theme.Options{Color: theme.Sixteen})
	for b.Loop() {
		table.View(f)
	}
}
