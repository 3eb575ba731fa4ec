package ui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

var (
	small  = pane.Size{W: 80, H: 24}
	ascii8 = theme.Options{ASCII: true}
)

func TestDigitsAndTabMoveTheFocus(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		for _, step := range []struct {
			key  string
			want int
		}{{"2", 2}, {"tab", 3}, {"tab", 4}, {"tab", 0}, {"shift+tab", 4}, {"0", 0}, {"9", 0}} {
			d.press(step.key)
			if d.m.focus != step.want {
				t.Errorf("after %s the focus is on %d, want %d", step.key, d.m.focus, step.want)
			}
		}
	})
}

func TestZoomGivesOnePaneTheBody(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press("2", "z")
		d.shows("2 SERVICES (z)", "7 restarts")
		d.hides("WORST FIRST", "SYSTEM")
		d.press("3")
		d.shows("3 DATABASE")
		d.press("esc")
		d.shows("WORST FIRST", "SYSTEM", "RUNBOOK")
	})
}

func TestOneRegionBelowEightyColumns(t *testing.T) {
	drive(t, scene(), pane.Size{W: 60, H: 20}, ascii8, deck4(), func(d *driver) {
		d.shows("WORST FIRST", "sys.disk")
		d.hides("SYSTEM  fine")
		d.press("3")
		d.shows("3 DATABASE", "81/97 usable")
		d.hides("WORST FIRST")
		d.press("0")
		d.shows("WORST FIRST")
	})
}

func TestFilterAsYouTypeAndItsInverse(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press("/")
		d.typeText("slow")
		d.shows("nothing matches /slow")
		d.press("esc")
		d.shows("sys.disk", "web")
		d.press("/")
		d.typeText("api")
		d.press("enter")
		d.shows("1 of 9 match /api", "4.8 s")
		d.hides("npm")
		d.press("esc", "/")
		d.typeText("!a")
		d.press("enter")
		d.hides("cache")
		d.shows("web")
	})
}

func TestEnterOpensTheDebugViewAndRerunAsksTheMonitor(t *testing.T) {
	drive(t, scene(), pane.Size{W: 100, H: 60}, ascii8, deck4(), func(d *driver) {
		d.press("enter")
		d.shows("!! crit", "used > 90%", "(guide)", "opsdeck.yaml:31:5", "statfs /mnt/nfs", "table mounts", "requests waiting", "?[2Jhostile evidence ? reversed")
		d.press("r")
		if !slices.Equal(d.monitor.again, []string{"sys.disk"}) {
			t.Errorf("asked the monitor for %v", d.monitor.again)
		}
		d.press("esc", "r")
		d.shows("running sys.disk again")
		d.press("1", "R")
		if want := []string{"sys.disk", "sys.disk", "sys.disk", "web"}; !slices.Equal(d.monitor.again, want) {
			t.Errorf("asked the monitor for %v, want %v", d.monitor.again, want)
		}
	})
}

func TestDebugViewStaysAlive(t *testing.T) {
	drive(t, scene(), pane.Size{W: 100, H: 60}, ascii8, deck4(), func(d *driver) {
		d.press("enter")
		s := scene()
		s.Seq++
		s.States[1].Level, s.States[1].Raw, s.States[1].Result.Note = checks.OK, checks.OK, "/var 20 %"
		s.States[1].Result.Why = nil
		d.monitor.publish(s)
		d.pass(time.Second)
		d.shows("/var 20 %")
		d.hides("!! crit")
	})
}

func TestPauseHoldsTheViewAndNotTheSampling(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press("p")
		d.shows("PAUSED")
		s := scene()
		s.Seq++
		s.States[3].Result.Note = "the newest word"
		d.monitor.publish(s)
		d.pass(2 * time.Second)
		d.hides("the newest word")
		d.press("p")
		d.shows("the newest word", "LIVE")
	})
}

func TestAnOlderSnapshotIsDropped(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		old := scene()
		old.Seq = 3
		old.States = nil
		d.monitor.publish(old)
		d.pass(time.Second)
		d.shows("sys.disk")
	})
}

func TestCommandsCompleteShortenAndAreRemembered(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press(":")
		d.typeText("ch")
		d.press("tab")
		d.typeText("cer")
		d.press("tab")
		if got := d.m.typing.field.Text(); got != "check cert" {
			t.Errorf("completed to %q", got)
		}
		d.press("enter")
		d.shows("19 d left", "confirmed")
		d.press("esc", ":", "up")
		if got := d.m.typing.field.Text(); got != "check cert" {
			t.Errorf("remembered %q", got)
		}
		d.press("esc", ":")
		d.typeText("chekc api")
		d.press("enter")
		d.shows(`there is no command "chekc": did you mean "check"?`)
		d.press(":")
		d.typeText("zoom")
		d.press("enter")
		d.shows("(z)")
		d.press(":")
		d.typeText("q")
		d.press("enter")
		if !d.quit {
			t.Error(":q did not leave")
		}
	})
}

func TestActionsThatAreOffSayWhy(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press("1", "D")
		d.shows("D: nothing is dropped here")
		d.pass(5 * time.Second)
		d.hides("nothing is dropped here")
		d.press("X")
		d.shows(`"X" does nothing here`)
	})
}

func TestErrorsStayUntilAcknowledged(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.send(pane.NoticeMsg{Level: checks.Crit, Text: "the journal is \x1b[31mfull"})
		d.send(pane.NoticeMsg{Level: checks.OK, Text: "by the way"})
		d.shows("!! the journal is ?[31mfull (+1)")
		d.pass(time.Minute)
		d.shows("the journal is", "60s ago")
		d.press("esc")
		d.hides("the journal is")
		d.press(":")
		d.typeText("notices")
		d.press("enter")
		d.shows("the journal is", "by the way")
	})
}

// TestANoticeOfTheSameTopicTakesTheOldOneAway: what was put right is not shown
// as wrong any more.
func TestANoticeOfTheSameTopicTakesTheOldOneAway(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.send(pane.NoticeMsg{Level: checks.Unknown, Text: "the old site stays", Topic: "site file"})
		d.send(pane.NoticeMsg{Level: checks.Crit, Text: "the journal is full"})
		d.shows("the journal is full (+1)")
		d.send(pane.NoticeMsg{Level: checks.OK, Text: "the site file was read again", Topic: "site file"})
		d.shows("the journal is full (+1)")
		d.press("esc")
		d.shows("the site file was read again")
		d.hides("the old site stays")
	})
}

func TestPasteNeverActsAndNeverConfirms(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press("1")
		fake := d.m.regions[1].pane.(*fakePane)
		d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("a"), Paste: true})
		d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("qa y")}) // a terminal without bracketed paste
		if len(fake.did) > 0 || d.quit {
			t.Fatalf("a paste did %v, quit %v", fake.did, d.quit)
		}
		d.press("a")
		d.shows("This removes everything.")
		d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("y"), Paste: true})
		d.press("enter")
		if len(fake.did) != 1 {
			t.Fatalf("a paste or enter confirmed: %v", fake.did)
		}
		d.press("y")
		if !slices.Equal(fake.did, []string{"ask", "yes"}) || !slices.Equal(fake.handled, []any{"done"}) {
			t.Errorf("did %v, handled %v", fake.did, fake.handled)
		}
		d.hides("This removes everything.")
	})
}

func TestKeysHeldDownOverASlowLineAllCount(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("jjjj")})
		row, _ := d.m.regions[0].pane.(*worst).Selected()
		if row.ID != ranked(d.m.snap)[4].Check.ID {
			t.Errorf("the cursor is on %s", row.ID)
		}
	})
}

func TestQuitAndCtrlCLeaveAtOnce(t *testing.T) {
	for _, keys := range [][]string{{"q"}, {"ctrl+c"}, {"?", "ctrl+c"}, {":", "ctrl+c"}, {"1", "a", "ctrl+c"}} {
		drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
			d.press(keys...)
			if !d.quit {
				t.Errorf("%v did not leave", keys)
			}
		})
	}
}

func TestThemeTogglesAreLive(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press("u")
		d.shows("─", "┬")
		d.press("c")
		if !strings.Contains(d.m.View(), "\x1b[1;31m") {
			t.Error("no colour after c")
		}
		d.press("c", "u")
		if view := d.m.View(); strings.ContainsAny(view, "\x1b─") {
			t.Errorf("styles or glyphs are left:\n%q", view)
		}
	})
}

func TestCopySendsOSC52AndSaysSent(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.press("1", "y")
		d.shows("value sent to the terminal")
		d.press("y", "y", "y")
		d.shows("pane as Markdown sent")
		if n := strings.Count(d.tty.String(), "\x1b]52;c;"); n != 4 {
			t.Errorf("%d clipboard sequences were sent", n)
		}
		d.send(pane.CopyMsg{What: "file", Text: strings.Repeat("x", copyLimit)})
		d.shows("too long for the terminal's clipboard")
	})
}

func TestCopyIsWrappedForTmux(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.m.deps.Env = func(name string) string { return map[string]string{"TMUX": "/tmp/tmux"}[name] }
		d.press("y")
		if !strings.Contains(d.tty.String(), "\x1bPtmux;\x1b\x1b]52;c;") {
			t.Error("nothing wrapped for tmux was sent")
		}
	})
}

// brokenPane panics in the method that is named.
type brokenPane struct {
	fakePane
	in string
}

func (p *brokenPane) fail(where string) {
	if p.in == where {
		panic("broken " + where)
	}
}
func (p *brokenPane) Show(watch.Snapshot)      { p.fail("Show") }
func (p *brokenPane) Actions() []pane.Action   { p.fail("Actions"); return nil }
func (p *brokenPane) View(f pane.Frame) string { p.fail("View"); return "" }
func (p *brokenPane) Handle(any) tea.Cmd {
	return func() tea.Msg { p.fail("Cmd"); return nil }
}

func TestAPanicCostsThePaneAndNotTheDeck(t *testing.T) {
	for _, where := range []string{"Show", "Actions", "View"} {
		specs := append(deck4()[:0:0], deck4()...)
		specs[1].New = func(pane.Deps) pane.Pane { return &brokenPane{in: where} }
		drive(t, scene(), small, ascii8, specs, func(d *driver) {
			d.press("1", "j")
			d.shows("this pane failed", "WORST FIRST", "SERVICES")
			if !strings.Contains(d.log.String(), "broken "+where) || !strings.Contains(d.log.String(), "stack") {
				t.Errorf("the log has no stack: %s", d.log.String())
			}
		})
	}
}

func TestAPanicInACommandIsOneRedLine(t *testing.T) {
	specs := deck4()
	specs[1].New = func(pane.Deps) pane.Pane { return &brokenPane{in: "Cmd"} }
	drive(t, scene(), small, ascii8, specs, func(d *driver) {
		d.send(pane.Msg{To: "system", Body: 1})
		d.shows("internal error: broken Cmd; see /var/log/deck.log")
		if !strings.Contains(d.log.String(), "brokenPane") {
			t.Errorf("the log has no stack: %s", d.log.String())
		}
	})
}

func TestAnOverlayThatPanicsGoesAway(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.send(pane.PushMsg{Overlay: &pane.Reader{Head: "broken", Text: func(pane.Frame) []string { panic("broken page") }}})
		d.shows("internal error: broken page", "WORST FIRST")
		d.press("q")
		if !d.quit {
			t.Error("the deck is stuck")
		}
	})
}

func TestAViewWithNothingNewSaysSo(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		d.shows("LIVE")
		d.pass(45 * time.Second)
		d.shows("NOTHING NEW for")
	})
}

// checkScreen holds a screen to the one rule every terminal needs.
func checkScreen(t *testing.T, view string, w, h int) {
	t.Helper()
	lines := strings.Split(view, "\n")
	if len(lines) != h {
		t.Fatalf("%dx%d: %d lines", w, h, len(lines))
	}
	for i, line := range lines {
		if got := pane.Width(line); got > w {
			t.Fatalf("%dx%d: line %d is %d wide: %q", w, h, i, got, line)
		}
		for j := 0; j < len(line); j++ {
			if c := line[j]; c < 0x20 && c != 0x1b || c == 0x7f {
				t.Fatalf("%dx%d: line %d has control character %#x: %q", w, h, i, c, line)
			}
		}
	}
}

func TestEverySizeIsFilledExactly(t *testing.T) {
	for name, s := range map[string]watch.Snapshot{"scene": scene(), "hostile": hostile(), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			drive(t, s, small, theme.Options{Color: theme.Sixteen}, deck4(), func(d *driver) {
				for w := 1; w <= 220; w += step(w) {
					for h := 1; h <= 70; h += step(h) {
						d.m.Update(tea.WindowSizeMsg{Width: w, Height: h})
						checkScreen(t, d.m.View(), w, h)
					}
				}
			})
		})
	}
}

// step visits every small size and a sample of large ones.
func step(n int) int {
	if testing.Short() {
		return 7
	}
	if n < 30 || n >= 76 && n < 84 {
		return 1
	}
	return 3
}

func TestOverlaysFitEverySize(t *testing.T) {
	drive(t, hostile(), small, theme.Options{Color: theme.Sixteen}, deck4(), func(d *driver) {
		overlays := []func(){
			func() { d.press("0", "enter") },
			func() { d.press("?") },
			func() {
				d.send(pane.PushMsg{Overlay: &pane.Confirm{Head: "type", Word: "prod-db", Lines: []string{strings.Repeat("long ", 60)}}})
			},
			func() {
				d.send(pane.PushMsg{Overlay: &pane.Form{Head: "evidence", Entries: []pane.Entry{{Label: "size"}, {Label: "path"}}}})
			},
		}
		for _, open := range overlays {
			open()
			for w := 1; w <= 130; w += 3 {
				for h := 1; h <= 45; h += 2 {
					d.m.Update(tea.WindowSizeMsg{Width: w, Height: h})
					checkScreen(t, d.m.View(), w, h)
				}
			}
			d.m.overlays = nil
		}
	})
}

func TestASCIIIsASCIIWhateverTheDataIs(t *testing.T) {
	drive(t, hostile(), small, ascii8, deck4(), func(d *driver) {
		for _, r := range d.m.View() {
			if r > 0x7e {
				t.Fatalf("%q on the screen:\n%s", r, d.m.View())
			}
		}
	})
}

// TestNothingMovesWhenNothingHappens: with no news only the header changes
// from second to second.
func TestNothingMovesWhenNothingHappens(t *testing.T) {
	drive(t, scene(), pane.Size{W: 120, H: 40}, ascii8, deck4(), func(d *driver) {
		d.pass(time.Second)
		before := strings.Split(d.m.View(), "\n")
		d.pass(time.Second)
		after := strings.Split(d.m.View(), "\n")
		for i := range after {
			if i > 0 && before[i] != after[i] {
				t.Errorf("line %d changed: %q to %q", i, before[i], after[i])
			}
		}
		if before[0] == after[0] {
			t.Error("the clock stands still")
		}
	})
}

func TestAtMostFourSnapshotsASecond(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		rev := d.m.rev
		for i := range 100 {
			s := scene()
			s.Seq += uint64(i + 1)
			d.monitor.publish(s)
			d.pass(100 * time.Millisecond)
		}
		if shown := d.m.rev - rev; shown < 20 || shown > 41 {
			t.Errorf("%d snapshots shown in 10 s, want two to four a second", shown)
		}
		if d.m.snap.Seq < scene().Seq+93 {
			t.Errorf("the newest shown is %d", d.m.snap.Seq)
		}
	})
}

func TestNumbersOfLevelsAreThoseOfTheList(t *testing.T) {
	drive(t, scene(), small, ascii8, deck4(), func(d *driver) {
		if got, want := strings.TrimSpace(d.line(0)), "CRIT 1  WARN 2  UNK 1  held 1  ok 2"; !strings.HasSuffix(got, want) {
			t.Errorf("the header is %q, want it to end in %q", got, want)
		}
	})
}

func BenchmarkFrameAfterSnapshot(b *testing.B) {
	m := benchModel(pane.Size{W: 120, H: 40})
	snap := scene()
	for b.Loop() {
		snap.Seq++
		m.Update(snapshotMsg(snap))
		m.View()
	}
}

func BenchmarkFrameAfterTick(b *testing.B) {
	m := benchModel(pane.Size{W: 120, H: 40})
	at := night
	for b.Loop() {
		at = at.Add(time.Second)
		m.shownAt = at
		m.Update(tickMsg(at))
		m.View()
	}
}

func benchModel(size pane.Size) *Model {
	snap := scene()
	for i := range 30 {
		snap.States = append(snap.States, state(fmt.Sprintf("service-%d", i), checks.OK, "200 in 87 ms", "................"))
	}
	m := newModel(context.Background(), Deps{Monitor: newFakeMonitor(snap), Panes: deck4(), Theme: newTheme(theme.Options{Color: theme.Sixteen}),
		Now: func() time.Time { return night }, Terminal: &fakeTerminal{}})
	m.Update(tea.WindowSizeMsg{Width: size.W, Height: size.H})
	return m
}
