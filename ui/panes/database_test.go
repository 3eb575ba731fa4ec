package panes

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/incident"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

var asciiOnly = theme.Options{ASCII: true}

// everyPart goes through every part of every view, from the overview on.
func everyPart(t *testing.T, p pane.Pane, do func(name string)) {
	t.Helper()
	for _, v := range views {
		press(t, p, "v")
		for i, f := range v.facets {
			if i > 0 {
				press(t, p, "f")
			}
			do(v.name + " " + f.name)
		}
		if len(v.facets) > 1 {
			press(t, p, "f")
		}
	}
}

// at is the pane with a view on the screen, chosen by its letter from the list.
func at(t *testing.T, letter string, snaps ...watch.Snapshot) pane.Pane {
	t.Helper()
	if len(snaps) == 0 {
		snaps = []watch.Snapshot{incident.Looked(incident.Full())}
	}
	p := showing(Database(nil), snaps...)
	choose(t, p, letter)
	return p
}

func choose(t *testing.T, p pane.Pane, letter string) {
	t.Helper()
	menu := press(t, p, "w")().(pane.PushMsg).Overlay
	if outcome, _ := menu.Handle(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(letter)}); outcome != pane.Close {
		t.Fatalf("no view has the letter %s", letter)
	}
}

func drawn(p pane.Pane, w, h int) string { return look(p, frame(w, h, asciiOnly)) }

func holds(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestEveryPartOfEveryViewLooksAsRecorded(t *testing.T) {
	p := showing(Database(nil), incident.Looked(incident.Full()))
	var all strings.Builder
	everyPart(t, p, func(name string) {
		all.WriteString("== " + name + "\n" + drawn(p, 100, 14) + drawn(p, 40, 7))
	})
	golden(t, "database-views.txt", all.String())
	press(t, p, "v")
	if got := p.Summary(); !strings.Contains(got, "more") {
		t.Errorf("after the last view the summary is %q, want the overview's", got)
	}
}

func TestTheLettersOfTheViewsAreTheirOwn(t *testing.T) {
	seen := map[string]string{"j": "down", "k": "up", "g": "top", "G": "bottom", "q": "back", overview.letter: overview.name}
	for _, v := range views {
		if other := seen[v.letter]; other != "" {
			t.Errorf("%s has the letter %s of %s", v.name, v.letter, other)
		}
		seen[v.letter] = v.name
		for _, f := range v.facets {
			if f.check == "" || f.table == "" || f.rows == "" || f.empty == "" || len(f.columns) == 0 {
				t.Errorf("%s %s is not complete: %+v", v.name, f.name, f)
			}
		}
	}
}

func TestSessionsAreSelectedByWhatTheyDo(t *testing.T) {
	p := at(t, "s")
	for _, want := range []string{"sessions 16 ", "sessions, running 13 of 16", "sessions, waiting 11 of 16", "sessions, idle in transaction 1 of 16"} {
		holds(t, drawn(p, 120, 30), want)
		press(t, p, "f")
	}
	press(t, p, "f", "f", "f")
	got := drawn(p, 120, 30)
	holds(t, got, "all 16  running 13  waiting 11  [idle in transaction 1]", "4411")
	if strings.Contains(got, "4502") {
		t.Errorf("a session that runs is among the idle ones:\n%s", got)
	}
}

func TestTheBlockingTreeNamesItsRootsAndWhatTheirEndFrees(t *testing.T) {
	got := drawn(at(t, "b"), 120, 30)
	holds(t, got, "root pid 4411  lms-worker  idle in transaction  6 m: its end frees 12",
		" 4411", " +-4502", " | +-4519", " |   +-4527", " +-4540", " prepared", " +-4610")
	holds(t, drawn(at(t, "b"), 200, 30), "'invoice-2026-11-20'")
	p := at(t, "b")
	for _, a := range p.Actions() {
		if a.ID == "order" && a.Off == "" {
			t.Error("a tree can be torn apart by an order")
		}
	}
	unicode := look(p, frame(120, 30, theme.Options{}))
	holds(t, unicode, "├─4502", "│ └─4519", "│   └─4527")
}

func TestAPivotLeadsIntoItsSessionsAndBack(t *testing.T) {
	p := at(t, "u")
	press(t, p, "f", "f", "j", "j", "enter")
	got := drawn(p, 120, 20)
	holds(t, got, "sessions 1 of 16  app=metabase", "4571")
	press(t, p, "esc")
	holds(t, drawn(p, 120, 20), "saturation, app 4", "[app 4]")
	press(t, p, "enter")
	choose(t, p, "s")
	if got := drawn(p, 120, 20); !strings.Contains(got, "sessions 16 ") {
		t.Errorf("the selection outlived the way it was made:\n%s", got)
	}
	for _, a := range p.Actions() {
		if a.ID == "back-to" {
			t.Error("there is a way back without a way in")
		}
	}
}

func TestRowsAreOrderedByTheColumnThatIsChosen(t *testing.T) {
	p := at(t, "t")
	first := func() string {
		lines := strings.Split(drawn(p, 120, 20), "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, " table ") || strings.HasPrefix(line, " table^") || strings.HasPrefix(line, " tablev") {
				return strings.Fields(lines[i+1])[0] // the heading is the line before
			}
		}
		t.Fatal("no heading")
		return ""
	}
	last := func() string {
		rows, _ := p.(*database).grid().Len()
		press(t, p, "G")
		row, _ := p.(*database).grid().Selected()
		press(t, p, "g")
		if rows == 0 {
			t.Fatal("no rows")
		}
		return row.Cells[0].Text
	}
	press(t, p, ">")
	if got := first(); got != "public.audit_logs" {
		t.Errorf("by name the first is %s", got)
	}
	press(t, p, "s")
	if got := first(); got != "public.submissions" {
		t.Errorf("by name, turned round, the first is %s", got)
	}
	press(t, p, ">", ">", ">", ">")
	holds(t, drawn(p, 120, 20), "by growth, most first", "growthv")
	if f, l := first(), last(); f != "public.audit_logs" || l != "public.sessions" {
		t.Errorf("by growth the first is %s and the last %s: what is not known comes last", f, l)
	}
	press(t, p, "s")
	if f, l := first(), last(); f != "public.submissions" || l != "public.sessions" {
		t.Errorf("by growth, turned round, the first is %s and the last %s", f, l)
	}
	press(t, p, "<", "<", "<", "<", "<")
	if got := drawn(p, 120, 20); strings.Contains(got, "first") {
		t.Errorf("before the first column there is the order of the module:\n%s", got)
	}
}

func TestTheCursorStaysOnItsSessionWhileRowsMove(t *testing.T) {
	p := at(t, "s")
	p.View(frame(120, 20, asciiOnly))
	press(t, p, "j", "j")
	moved := with(incident.Looked(incident.Full()), "pg.sessions", func(st *watch.State) {
		slices.Reverse(st.Result.Tables[0].Rows)
		st.Result.At = st.Result.At.Add(time.Second)
	})
	p.Show(moved)
	if at := p.(pane.Pointer).Point(); at.Value != "4519" {
		t.Errorf("the cursor is on %+v", at)
	}
	reused := with(incident.Looked(incident.Full()), "pg.sessions", func(st *watch.State) {
		t := &st.Result.Tables[0]
		i := slices.IndexFunc(t.Columns, func(c checks.Column) bool { return c.Name == "began" })
		t.Rows[2][i] = fact.WordValue("2026-11-23T03:07:10Z")
		st.Result.At = st.Result.At.Add(2 * time.Second)
	})
	p.Show(reused)
	if row, _ := p.(*database).grid().Selected(); strings.HasPrefix(row.ID, "4519 2026-11-23T03:07") {
		t.Error("the cursor moved to another session that has the pid now")
	}
}

func TestColumnsShiftBesideTheFirst(t *testing.T) {
	p := at(t, "s")
	holds(t, drawn(p, 60, 10), "of 16 columns")
	press(t, p, "right", "right", "right", "right", "right", "right")
	got := drawn(p, 60, 10)
	holds(t, got, "from 8", " 4411", "state age")
	if strings.Contains(got, "blocked by") {
		t.Errorf("a column left of those in sight is shown:\n%s", got)
	}
	press(t, p, "left", "left", "left", "left", "left", "left")
	holds(t, drawn(p, 60, 10), "state")
}

func TestARowOpensInFullAndFollowsItsSession(t *testing.T) {
	p := at(t, "s")
	press(t, p, "f", "G", "enter")
	for range 3 {
		press(t, p, "f")
	}
	press(t, p, "g", "j", "j", "j", "j", "j", "j", "j", "j", "j", "j", "j", "j")
	msg, ok := press(t, p, "enter")().(pane.PushMsg)
	if !ok {
		t.Fatal("enter opened nothing")
	}
	page := msg.Overlay
	got := page.View(frame(60, 40, asciiOnly))
	holds(t, got, "created_at) VALUES\n", "xact", "12 s", "began", "as of", "RowExclusive on public.audit_logs")
	if title := page.Title(); !strings.HasPrefix(title, "session 4533 since 2026-11-23T02:33:11") {
		t.Errorf("the page is called %q", title)
	}
	if ids := page.(pane.Looker).Looks(); !slices.Equal(ids, []string{"pg.sessions"}) {
		t.Errorf("the page keeps %v alive", ids)
	}
	p.Show(with(incident.Looked(incident.Full()), "pg.sessions", func(st *watch.State) {
		st.Result.Tables[0].Rows = st.Result.Tables[0].Rows[:3]
		st.Result.At = st.Result.At.Add(time.Second)
	}))
	holds(t, page.View(frame(60, 40, asciiOnly)), "gone", "now())")
}

func TestAStatementIsCopiedWhole(t *testing.T) {
	p := at(t, "m")
	if point := p.(pane.Pointer).Point(); !strings.HasPrefix(point.Query, "UPDATE enrollments") || point.Line == "" || point.Value == "" {
		t.Errorf("got %+v", point)
	}
}

func TestAFilterHoldsInEveryView(t *testing.T) {
	p := at(t, "s")
	p.(pane.Finder).Find("audit_logs")
	holds(t, drawn(p, 100, 8), "sessions 1 of 16  /audit_logs", "4533")
	choose(t, p, "t")
	holds(t, drawn(p, 100, 8), "size 1 of 4  /audit_logs")
	p.(pane.Finder).Find("no such thing")
	holds(t, drawn(p, 100, 8), "nothing matches /no such thing")
}

// What a view shows is sampled, and nothing else.
func TestAViewNamesTheChecksItShows(t *testing.T) {
	p := showing(Database(nil), incident.Full())
	if ids := p.(pane.Looker).Looks(); len(ids) != 0 {
		t.Errorf("the overview looks at %v", ids)
	}
	want := map[string]string{"sessions": "pg.sessions", "statements": "pg.statements", "vacuum dead rows": "", "tables bloat": "pg.bloat", "tables size": "", "log": "pg.log"}
	everyPart(t, p, func(name string) {
		name = strings.TrimSuffix(strings.TrimSpace(name), " all")
		if id, known := want[name]; known {
			if got := strings.Join(p.(pane.Looker).Looks(), " "); got != id {
				t.Errorf("%s looks at %q, want %q", name, got, id)
			}
		}
	})
}

func TestWhatCouldNotBeFoundOutIsAQuestionMarkWithItsReason(t *testing.T) {
	got := drawn(at(t, "m"), 160, 20)
	holds(t, got, "io_time is ? because track_io_timing is off")
	if row := lineOf(t, got, "-120", "INSERT INTO audit_logs"); !strings.Contains(row, "  ?  ") {
		t.Errorf("no question mark in %q", row)
	}
	denied := with(incident.Looked(incident.Full()), "pg.statements", func(st *watch.State) {
		st.Result.Facts, st.Result.Tables, st.Result.Class, st.Result.Err = nil, nil, checks.Denied, "role lms may not see statements: GRANT pg_read_all_stats TO lms"
		st.Level, st.Raw = checks.Unknown, checks.Unknown
	})
	holds(t, drawn(at(t, "m", denied), 100, 12), " ? statements", "GRANT pg_read_all_stats TO lms")
	absent := incident.Full()
	absent.States = slices.DeleteFunc(absent.States, func(st watch.State) bool { return st.Check.ID == "pg.log" })
	holds(t, drawn(at(t, "l", absent), 100, 12), "has no check pg.log")
	lacks := with(incident.Looked(incident.Full()), "pg.locks", func(st *watch.State) { st.Result.Tables = nil })
	holds(t, drawn(at(t, "b", lacks), 100, 12), "? pg.locks gave no tree")
	if strings.Contains(drawn(at(t, "b", lacks), 100, 12), "nobody waits") {
		t.Error("a table that is missing is shown as a table without rows")
	}
}

// lineOf is the first line with one of the texts.
func lineOf(t *testing.T, shown string, texts ...string) string {
	t.Helper()
	for _, line := range strings.Split(shown, "\n") {
		for _, text := range texts {
			if strings.Contains(line, text) {
				return line
			}
		}
	}
	t.Fatalf("no line with %q in\n%s", texts, shown)
	return ""
}

func TestAViewOfAServerThatIsAwayShowsWhatIsKnownWithoutIt(t *testing.T) {
	away := incident.Away()
	p := at(t, "s", away)
	got := drawn(p, 120, 14)
	holds(t, got, "server", "nothing listens there", "/var", "log")
	p = at(t, "s", incident.Looked(incident.Full()))
	press(t, p, "f")
	gone := with(with(incident.Looked(away), "pg.sessions", func(st *watch.State) {
		st.Result.Facts, st.Result.Tables, st.Result.Class, st.Result.Err = nil, nil, checks.Refused, "connection refused"
		st.Level, st.Raw = checks.Unknown, checks.Unknown
	}), "none", nil)
	p.Show(gone)
	holds(t, drawn(p, 120, 14), "connection refused", "values 1 s old", "4502")
}

func TestAServerThatIsAwayIsLookedAtFromOutside(t *testing.T) {
	p := showing(Database(nil), incident.Full(), incident.Away())
	if ids := p.(pane.Looker).Looks(); !slices.Equal(ids, []string{"pg.host"}) {
		t.Errorf("looked at is %v", ids)
	}
	p.Show(incident.Looked(incident.Away(), "pg.host"))
	got := drawn(p, 120, 16)
	golden(t, "database-away-outside-120x16.txt", got)
	holds(t, got, "81 for clients", "38 wait for a disk", "D 2 S 2", "81 established", "0 B free", "xlogtemp.811\": No space left o")
	dead := with(incident.Looked(incident.Away(), "pg.host"), "pg.host", func(st *watch.State) {
		for i := range st.Result.Facts {
			if f := &st.Result.Facts[i]; f.Name == "postmaster" || f.Name == "listening" {
				f.Num = 0
			}
		}
	})
	p.Show(dead)
	holds(t, drawn(p, 120, 16), "no process of it runs on this host", "nothing listens")
}

func TestTheHeadTellsHowOldHowMuchAndUnderWhichTimeouts(t *testing.T) {
	got := drawn(at(t, "s"), 160, 14)
	holds(t, got, "sessions 16", "2 s ago", "statement_timeout 5s", "lock_timeout 50ms", "took < 5 ms")
	old := with(incident.Looked(incident.Full()), "pg.sessions", func(st *watch.State) {
		st.StaleAfter, st.Result.At = incident.Night.Add(-time.Minute), incident.Night.Add(-3*time.Minute)
	})
	holds(t, drawn(at(t, "s", old), 160, 14), " ? sessions", "2 m old")
}

// Show does the work: drawing the same view again makes no rows.
func TestDrawingMakesNoRows(t *testing.T) {
	p := at(t, "s").(*database)
	g := p.grid()
	before := &g.all[0]
	p.View(frame(120, 30, asciiOnly))
	p.Show(incident.Looked(incident.Full()))
	if &g.all[0] != before || g.all[0].cells == nil {
		t.Error("rows were made anew although nothing is new")
	}
	f := frame(120, 30, asciiOnly)
	if n := testing.AllocsPerRun(20, func() { g.draw(f, p.session, nil) }); n > 1500 {
		t.Errorf("%v allocations to draw 16 rows of 16 columns", n)
	}
}

func TestManyRowsOfHostileTextAreShown(t *testing.T) {
	many := with(incident.Looked(incident.Full()), "pg.locks", func(st *watch.State) {
		for i := range st.Result.Tables {
			table := &st.Result.Tables[i]
			if table.Name != "tree" {
				continue
			}
			for j := range 500 {
				row := slices.Clone(table.Rows[0])
				row[0], row[1] = fact.Value{Num: math.Inf(j%3 - 1)}, fact.NumberValue(j%7)
				row[len(row)-1] = fact.WordValue(strings.Repeat("\x1b]0;x\x07\u202e", 40) + fmt.Sprint(j))
				table.Rows = append(table.Rows, row)
			}
		}
	})
	sweep(t, at(t, "b", many), newTheme(asciiOnly), 3)
}

// propose goes through the list of deeds and, where it is asked for, the reason.
func propose(t *testing.T, p pane.Pane, letter, reason string) (msg pane.ProposeMsg, asked string) {
	t.Helper()
	key := func(text string) tea.KeyMsg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text)} }
	menu := press(t, p, "o")().(pane.PushMsg).Overlay
	_, cmd := menu.Handle(key(letter))
	if cmd == nil {
		t.Fatalf("nothing comes of %s", letter)
	}
	switch got := cmd().(type) {
	case pane.ProposeMsg:
		return got, ""
	case pane.PushMsg:
		prompt := got.Overlay
		asked = prompt.View(frame(100, 20, asciiOnly))
		if _, cmd := prompt.Handle(tea.KeyMsg{Type: tea.KeyEnter}); cmd != nil {
			t.Error("it is proposed without a reason")
		}
		prompt.Handle(key(reason))
		outcome, cmd := prompt.Handle(tea.KeyMsg{Type: tea.KeyEnter})
		if outcome != pane.Close || cmd == nil {
			t.Fatalf("nothing comes of the reason %q", reason)
		}
		return cmd().(pane.ProposeMsg), asked
	}
	t.Fatal("neither a question nor a proposal")
	return msg, ""
}

func TestASessionIsProposedByPidAndStartWithAReason(t *testing.T) {
	p := at(t, "b")
	got, asked := propose(t, p, "t", "holds up twelve others")
	want := map[string]any{"sessions": []string{"4411@" + incident.Began(4411)}, "reason": "holds up twelve others"}
	if got.Use != "pg.terminate" || fmt.Sprint(got.With) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %v", got, want)
	}
	if got.Title != "terminate session 4411 of lms-worker" {
		t.Errorf("the title is %q", got.Title)
	}
	holds(t, asked, "4411  lms  lms-worker  10.0.0.8  idle in transaction  6 m  frees 12", "nothing is done before you confirm")
}

// Where the site watches another server than main, the wish is about that one.
func TestAProposalIsForTheServerThatTheRowIsOf(t *testing.T) {
	p := at(t, "b")
	if got, _ := propose(t, p, "t", "stuck"); got.Connection != "" {
		t.Errorf("on main it is for %q", got.Connection)
	}
	s := incident.Looked(incident.Full())
	for i := range s.States {
		s.States[i].Check.Connection = "reporting"
	}
	for letter, where := range map[string]string{"t": "b", "v": "t"} {
		p := at(t, where)
		p.Show(s)
		if got, _ := propose(t, p, letter, "stuck"); got.Connection != "reporting" {
			t.Errorf("%s is for %q", got.Use, got.Connection)
		}
	}
}

func TestSeveralMarkedSessionsAreProposedAtOnce(t *testing.T) {
	p := at(t, "s")
	press(t, p, " ", " ", "G", " ")
	holds(t, drawn(p, 120, 30), "3 marked", "*4411", "*4502", "*4102")
	press(t, p, "g", "j", " ")
	holds(t, drawn(p, 120, 30), "2 marked")
	got, asked := propose(t, p, "c", "why not")
	if list := got.With["sessions"].([]string); got.Use != "pg.cancel" || len(list) != 2 || !strings.HasPrefix(list[1], "4102@") {
		t.Errorf("got %+v", got)
	}
	holds(t, asked, "4411", "4102")
	p.Show(incident.Looked(incident.Full()))
	if got := drawn(p, 120, 30); strings.Contains(got, "marked") {
		t.Errorf("the marks outlived the proposal:\n%s", got)
	}
}

// Who marked sessions means those, and never the one that has come to lie under
// the cursor meanwhile.
func TestMarkedSessionsThatAreGoneStandForNoOther(t *testing.T) {
	p := at(t, "s")
	press(t, p, " ")
	s := incident.Looked(incident.Full())
	for i := range s.States {
		if st := &s.States[i]; st.Check.ID == "pg.sessions" {
			rows := &st.Result.Tables[0].Rows
			*rows, st.Result.At = slices.Clone((*rows)[1:]), st.Result.At.Add(time.Second)
		}
	}
	p.Show(s)
	if msg, ok := press(t, p, "o")().(pane.NoticeMsg); !ok || !strings.Contains(fmt.Sprint(msg), "are gone: nothing is proposed") {
		t.Errorf("it comes to %+v", msg)
	}
	if got, _ := propose(t, p, "c", "another"); len(got.With["sessions"].([]string)) != 1 {
		t.Errorf("nothing can be proposed any more: %+v", got)
	}
}

// actOff is why no action can be proposed.
func actOff(t *testing.T, p pane.Pane) string {
	t.Helper()
	for _, a := range p.Actions() {
		if a.ID == "act" {
			return a.Off
		}
	}
	t.Fatal("there is no act")
	return ""
}

func TestWhatTheSiteDoesNotAllowIsNotOffered(t *testing.T) {
	forbidden := []string{"pg.cancel", "pg.terminate"}
	p := showing(Database(func(module string) string {
		if slices.Contains(forbidden, module) {
			return "this site does not let opsdeck do that"
		}
		return ""
	}), incident.Looked(incident.Full()))
	choose(t, p, "b")
	if why := actOff(t, p); why != "this site does not let opsdeck do that" {
		t.Errorf("with neither: %q", why)
	}
	forbidden = forbidden[1:] // the site file was read again
	menu := press(t, p, "o")().(pane.PushMsg).Overlay.(*pane.Menu)
	if len(menu.Items) != 1 || menu.Items[0].Name != "cancel" || actOff(t, p) != "" {
		t.Errorf("with one of two: %+v", menu.Items)
	}
	choose(t, p, "t")
	if why := actOff(t, p); why != "" {
		t.Errorf("a table, which nobody forbade: %q", why)
	}
}

func TestWhatIsDoneToAnObjectDependsOnItsKind(t *testing.T) {
	off := func(p pane.Pane) string { return actOff(t, p) }
	p := at(t, "t")
	if got, _ := propose(t, p, "v", ""); got.Use != "pg.vacuum" || fmt.Sprint(got.With) != "map[tables:[public.audit_logs]]" {
		t.Errorf("got %+v", got)
	}
	if got, _ := propose(t, at(t, "i"), "r", ""); got.Use != "pg.reindex" || fmt.Sprint(got.With) != "map[indexes:[public.enrollments_user_idx_ccnew]]" {
		t.Errorf("got %+v", got)
	}
	if why := off(at(t, "n")); !strings.Contains(why, "sequence") {
		t.Errorf("a sequence: %q", why)
	}
	p = at(t, "b")
	press(t, p, "G", "k")
	if why := off(p); !strings.Contains(why, "ROLLBACK PREPARED") {
		t.Errorf("a prepared transaction: %q", why)
	}
	if why := off(at(t, "p")); !strings.Contains(why, "when it began is not known") {
		t.Errorf("a session of which only the pid is known: %q", why)
	}
}

func TestEvidenceHasAllRowsInFullWidth(t *testing.T) {
	p := at(t, "b")
	p.View(frame(40, 7, asciiOnly))
	msg, ok := press(t, p, "E")().(pane.AttachMsg)
	if !ok {
		t.Fatal("nothing is attached")
	}
	golden(t, "database-evidence.txt", msg.Text)
	holds(t, msg.Text, "4411", "    4519", "4610", "UPDATE invoices SET sent = true WHERE id = $1", "its end frees 12", "pg.locks")
	if !msg.Seen.Equal(incident.Night.Add(-2*time.Second)) || !strings.HasPrefix(msg.Title, "database: blocking") {
		t.Errorf("got %q of %v", msg.Title, msg.Seen)
	}
	many := with(incident.Looked(incident.Full()), "pg.sessions", func(st *watch.State) {
		rows := &st.Result.Tables[0].Rows
		for i := range 300 {
			row := slices.Clone((*rows)[0])
			row[0] = fact.NumberValue(10000 + i)
			*rows = append(*rows, row)
		}
	})
	text := press(t, at(t, "s", many), "E")().(pane.AttachMsg).Text
	holds(t, text, "and 116 more rows")
	overview := press(t, showing(Database(nil), incident.Full()), "E")().(pane.AttachMsg)
	holds(t, overview.Text, "!! blocked  12  by pid 4411")
	hostile := press(t, at(t, "s", incident.Hostile()), "E")().(pane.AttachMsg).Text
	if strings.ContainsFunc(hostile, func(r rune) bool { return r < 0x20 && r != '\n' || r == 0x202e }) {
		t.Error("something hostile is attached")
	}
	for _, a := range at(t, "s", incident.Full()).Actions() {
		if a.ID == "evidence" && a.Off == "" {
			t.Error("what is not known can be attached")
		}
	}
}

func TestAStatementIsOneLineAndAStampAClock(t *testing.T) {
	sql := `SELECT 1,\n\t\t2   FROM t`
	if got := (column{as: rest}).cell(fact.WordValue(sql)).Text; got != "SELECT 1, 2 FROM t" {
		t.Errorf("a statement is %q", got)
	}
	if got := (column{as: rest}).write(fact.WordValue(sql)); got != sql {
		t.Errorf("in the record it is %q", got)
	}
	at := time.Date(2026, 11, 23, 3, 7, 9, 0, time.FixedZone("", 3600))
	if got := (column{}).cell(fact.TimeValue(at)).Text; got != "02:07:09" {
		t.Errorf("a stamp is %q", got)
	}
}

func TestValuesAreWrittenForANarrowColumn(t *testing.T) {
	for _, tt := range []struct {
		as    form
		value fact.Value
		want  string
	}{
		{aged, fact.DurValue(0), "0 s"}, {aged, fact.DurValue(27 * time.Millisecond), "<1 s"}, {aged, fact.DurValue(372 * time.Second), "6 m"},
		{plainly, fact.DurValue(27 * time.Millisecond), "27 ms"}, {ident, fact.NumberValue(1234567), "1234567"}, {plainly, fact.NumberValue(1234567), "1.2M"},
		{plainly, fact.NumberValue(9.223372e18), "9.2e18"}, {plainly, fact.NumberValue(2_147_483_647), "2.1G"}, {plainly, fact.FlagValue(true), "yes"},
		{aged, fact.Value{Type: fact.Duration, Num: math.NaN()}, "?"}, {plainly, fact.SizeValue(math.Inf(1)), "?"}, {plainly, fact.WordValue(""), ""},
	} {
		if got := (column{as: tt.as}).write(tt.value); got != tt.want {
			t.Errorf("%+v is written %q, want %q", tt.value, got, tt.want)
		}
	}
}
