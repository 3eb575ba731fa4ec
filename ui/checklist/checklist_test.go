package checklist_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/ui/checklist"
	"github.com/advanced-lms/opsdeck/ui/incident"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew; read the diff before committing")

// A player holds a pane as the deck would: keys in, commands run, answers
// handed back, overlays on a stack. It must run in a synctest bubble.
type player struct {
	t        *testing.T
	p        pane.Pane
	desk     *incident.Desk
	ctx      context.Context
	msgs     chan tea.Msg
	overlays []pane.Overlay
	notices  []string
	inspects []string
	start    time.Time
}

// play starts a pane over a desk. The clock stands at Night and goes with the
// bubble.
func play(t *testing.T, desk *incident.Desk, do func(*player)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		pl := &player{t: t, desk: desk, ctx: ctx, msgs: make(chan tea.Msg, 100), start: time.Now()}
		desk.Clock = pl.now
		pl.p = checklist.Spec(desk).New(pane.Deps{Ctx: ctx, Now: pl.now, Zone: time.UTC})
		pl.show()
		do(pl)
		if err := desk.Close(); err != nil {
			t.Log("closing the desk:", err)
		}
		stop()
		synctest.Wait()
	})
}

func (pl *player) now() time.Time { return incident.Night.Add(time.Since(pl.start)) }

func (pl *player) show() {
	s := incident.Full()
	s.At = pl.now()
	pl.p.Show(s)
}

func (pl *player) run(cmd tea.Cmd) {
	pl.launch(cmd)
	for {
		synctest.Wait()
		select {
		case msg := <-pl.msgs:
			pl.take(msg)
		default:
			return
		}
	}
}

func (pl *player) launch(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		select {
		case pl.msgs <- cmd():
		case <-pl.ctx.Done():
		}
	}()
}

func (pl *player) take(msg tea.Msg) {
	switch m := msg.(type) {
	case tea.BatchMsg:
		for _, cmd := range m {
			pl.launch(cmd)
		}
	case pane.Msg:
		pl.launch(pl.p.Handle(m.Body))
	case pane.PushMsg:
		pl.overlays = append(pl.overlays, m.Overlay)
	case pane.NoticeMsg:
		pl.notices = append(pl.notices, m.Text)
	case pane.InspectMsg:
		pl.inspects = append(pl.inspects, m.Check)
	}
}

// press gives keys to the overlay on top, else to the pane; an action that is
// off becomes a notice, as in the deck.
func (pl *player) press(keys ...string) {
	pl.t.Helper()
	for _, k := range keys {
		if n := len(pl.overlays); n > 0 {
			top := pl.overlays[n-1]
			outcome, cmd := top.Handle(keyMsg(k))
			if outcome == pane.Close {
				pl.overlays = slices.DeleteFunc(pl.overlays, func(o pane.Overlay) bool { return o == top })
			}
			pl.run(cmd)
			continue
		}
		pl.act(k)
	}
}

func (pl *player) act(k string) {
	for _, a := range pl.p.Actions() {
		if slices.Contains(a.Key.Keys(), k) {
			if a.Off != "" {
				pl.notices = append(pl.notices, k+": "+a.Off)
				return
			}
			pl.run(a.Do())
			return
		}
	}
	pl.t.Fatalf("the pane has no key %q", k)
}

func keyMsg(name string) tea.KeyMsg {
	switch name {
	case "enter":
		return tea.KeyMsg{Type: tea.KeyEnter}
	case "esc":
		return tea.KeyMsg{Type: tea.KeyEsc}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// write types a text and enter.
func (pl *player) write(texts ...string) {
	for _, text := range texts {
		for _, r := range text {
			pl.press(string(r))
		}
		pl.press("enter")
	}
}

func (pl *player) screen(w, h int) string {
	f := pane.Frame{W: w, H: h, Focused: true, Theme: newTheme(theme.Options{ASCII: true}), Now: pl.now()}
	view := pl.p.View(f)
	if n := len(pl.overlays); n > 0 {
		view = pl.overlays[n-1].View(f)
	}
	lines := pane.Fit(view, w, h)
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (pl *player) shows(texts ...string) {
	pl.t.Helper()
	got := pl.screen(110, 30)
	for _, text := range texts {
		if !strings.Contains(got, text) {
			pl.t.Errorf("the screen does not show %q:\n%s", text, got)
		}
	}
}

func (pl *player) said(text string) {
	pl.t.Helper()
	if !slices.ContainsFunc(pl.notices, func(n string) bool { return strings.Contains(n, text) }) {
		pl.t.Errorf("no notice says %q: %q", text, pl.notices)
	}
}

// state is the recorded state of an item.
func (pl *player) state(item string) runbooks.State {
	pl.t.Helper()
	runs, err := runbooks.FoldAll(pl.desk.Events())
	if err != nil {
		pl.t.Fatal(err)
	}
	if len(runs) == 0 {
		return runbooks.Pending
	}
	it, ok := runs[0].Item(item)
	if !ok {
		pl.t.Fatalf("no item %s", item)
	}
	return it.State
}

// on puts the cursor on the item whose title contains text.
func (pl *player) on(text string) {
	pl.t.Helper()
	pl.screen(110, 40)
	pl.press("g")
	for range 40 {
		if strings.Contains(pl.p.(pane.Pointer).Point().Line, text) {
			return
		}
		pl.press("j")
	}
	pl.t.Fatalf("no item %q", text)
}

func newTheme(o theme.Options) *theme.Theme { return theme.New(lipgloss.NewRenderer(io.Discard), o) }

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), -update writes it anew:\n%s", name, diff)
	}
}

// begin opens the runbook of the night.
func (pl *player) begin(keys ...string) {
	pl.t.Helper()
	pl.press("g")
	for range 10 {
		if pl.p.(pane.Pointer).Point().Value == "disk-full/disk-full" {
			pl.press("enter")
			pl.press(keys...)
			return
		}
		pl.press("j")
	}
	pl.t.Fatal("disk-full is not listed")
}

// half walks the run half way: two by hand, the checks, one override.
func half(pl *player) {
	pl.begin()
	pl.on("Announce")
	pl.press("x")
	pl.on("Freeze")
	pl.press("x")
	pl.write("https://tickets.example.com/4711", "2026-11-23 03:04")
	pl.press("X")
	pl.on("Which disk")
	pl.press("o")
	pl.write("space is being made", "2h")
	pl.press("X")
}

var sizes = []pane.Size{{W: 39, H: 6}, {W: 59, H: 11}, {W: 52, H: 29}, {W: 22, H: 1}, {W: 120, H: 30}}

func TestThePaneLooksAsRecorded(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		for _, s := range sizes {
			golden(t, fmt.Sprintf("sections-%dx%d.txt", s.W, s.H), pl.p.Summary()+"\n"+pl.screen(s.W, s.H))
		}
		half(pl)
		for _, s := range sizes {
			golden(t, fmt.Sprintf("run-%dx%d.txt", s.W, s.H), pl.p.Summary()+"\n"+pl.screen(s.W, s.H))
		}
		view := pl.p.View(pane.Frame{W: 59, H: 18, Focused: true, Theme: newTheme(theme.Options{Color: theme.Sixteen}), Now: incident.Night})
		golden(t, "run-59x18.ansi", strings.ReplaceAll(view, "\x1b", "^[")+"\n")
		pl.on("Which disk")
		pl.press("enter")
		golden(t, "page-100x50.txt", pl.screen(100, 50))
		pl.press("esc", "b")
		pl.show()
		golden(t, "unfinished-59x11.txt", pl.p.Summary()+"\n"+pl.screen(59, 11))
	})
}

func TestNoSizeBreaksThePane(t *testing.T) {
	sweep := func(t *testing.T, p pane.Pane) {
		th := newTheme(theme.Options{ASCII: true})
		for w := 1; w <= 220; w++ {
			for h := 1; h <= 60; h++ {
				if w%41 != 1 && h != 1 && h != 7 && h != 33 {
					continue
				}
				lines := strings.Split(p.View(pane.Frame{W: w, H: h, Focused: w%2 == 0, Theme: th, Now: incident.Night}), "\n")
				if len(lines) > h {
					t.Fatalf("%d lines in %dx%d", len(lines), w, h)
				}
				for _, line := range lines {
					if pane.Width(line) > w || strings.ContainsAny(ansi.Strip(line), "\x00\x07\x1b\r\t") {
						t.Fatalf("in %dx%d: %q", w, h, line)
					}
				}
			}
		}
	}
	desk := incident.NewDesk()
	evil := "\x1b[2J\x07 " + strings.Repeat("中文", 50) + "\u202e"
	play(t, desk, func(pl *player) {
		desk.Problem, desk.Other = errors.New(evil), evil
		pl.show()
		sweep(t, pl.p)
		desk.Problem, desk.Other = nil, ""
		pl.show()
		half(pl)
		pl.on("Announce")
		pl.press("t")
		pl.write("evil note")
		desk.Other = evil
		pl.show()
		sweep(t, pl.p)
	})
}

func TestAManualItemIsTickedAndTheCursorGoesOn(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.begin("x")
		if got := pl.state("disk-full/stop-the-bleeding/announce-it-in-incidents"); got != runbooks.Passed {
			t.Errorf("the item is %s", got)
		}
		if at := pl.p.(pane.Pointer).Point().Line; !strings.HasPrefix(at, "Freeze deploys") {
			t.Errorf("the cursor is on %q", at)
		}
	})
}

func TestEvidenceIsAskedForFieldByFieldAndRefusedInTheForm(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.begin()
		pl.on("Freeze")
		pl.press("x")
		pl.write("not an address")
		pl.shows("is not an http or https address")
		if got := pl.state("freeze"); got != runbooks.Pending {
			t.Errorf("the item is %s before its evidence is complete", got)
		}
		pl.press("esc", "x")
		pl.write("https://tickets.example.com/1", "2026-11-23 03:04")
		if got := pl.state("freeze"); got != runbooks.Passed {
			t.Errorf("the item is %s", got)
		}
	})
}

func TestWhatIsBlockedSaysByWhatAndOpensAfterAnOverride(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.begin("X")
		if got := pl.state("which"); got != runbooks.Failed {
			t.Fatalf("the disk check is %s", got)
		}
		pl.on("a log")
		pl.press("x")
		pl.said("it needs which, which is failed")
		pl.on("Which disk")
		pl.press("o")
		pl.write("space is being made", "2h")
		pl.shows("overridden for 2 h: space is being made")
		pl.on("a log")
		pl.press("x")
		if got := pl.state("log"); got != runbooks.Passed {
			t.Errorf("after the override it is %s", got)
		}
		pl.on("database takes")
		pl.press("x")
		time.Sleep(3 * time.Hour)
		pl.show()
		pl.shows("override has expired")
	})
}

func TestADecisionTakesANameOrANumber(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.begin()
		pl.on("Who turned")
		pl.press("x")
		pl.write("9")
		pl.shows("not one of them")
		pl.press("esc", "x")
		pl.write("2")
		pl.shows("chose a query in a loop")
	})
}

func TestARunningCheckShowsForHowLong(t *testing.T) {
	desk := incident.NewDesk()
	desk.Wait = map[string]int{"sys.disk": 30}
	play(t, desk, func(pl *player) {
		pl.begin()
		pl.on("Which disk")
		pl.press("x")
		time.Sleep(12 * time.Second)
		pl.show()
		pl.shows("running 12 s", "1 running")
		pl.press("r")
		pl.said("it is running")
		time.Sleep(20 * time.Second)
		pl.run(nil)
		pl.shows("used 100 % (used > 90%)", "1 failed")
	})
}

func TestAnObserverIsToldWhoDrivesAndCannotDrive(t *testing.T) {
	desk := incident.NewDesk()
	play(t, desk, func(pl *player) {
		desk.Other = "ada on web2, pid 4411"
		pl.begin("x")
		pl.shows("observing: ada on web2, pid 4411 drives")
		pl.said("observing: ada on web2, pid 4411 drives")
		if got := pl.state("disk-full/stop-the-bleeding/announce-it-in-incidents"); got != runbooks.Pending {
			t.Errorf("an observer made the item %s", got)
		}
	})
}

func TestABrokenJournalStaysOnTheScreen(t *testing.T) {
	desk := incident.NewDesk()
	play(t, desk, func(pl *player) {
		pl.begin("x")
		desk.Break(errors.New("no space left on device"))
		pl.on("Freeze")
		pl.press("s")
		pl.write("later", "")
		pl.said("no space left on device")
		pl.shows("nothing is recorded any more")
		pl.show()
		pl.shows("nothing is recorded any more")
		if got := pl.p.Summary(); got != "NOT RECORDED" {
			t.Errorf("the summary is %q", got)
		}
		pl.press("X")
		pl.said("X: nothing is recorded any more")
	})
}

func TestASectionThatCannotBeOpenedSaysWhy(t *testing.T) {
	desk := incident.NewDesk()
	play(t, desk, func(pl *player) {
		desk.Fail = errors.New("the journal is on a network file system")
		pl.begin()
		pl.said("network file system")
		pl.shows("cannot be opened: the journal is on a network file system")
		pl.press("G", "enter")
		pl.said("no module \"pg.upgrade\"")
	})
}

func TestARunIsFinishedOnlyWhenEverythingIsDecided(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		half(pl)
		pl.press("F")
		pl.said("items are not decided yet")
		pl.on("Who turned")
		pl.press("x")
		pl.write("1")
		for _, item := range []string{"log_statement back"} {
			pl.on(item)
			pl.press("s")
			pl.write("not tonight", "8h")
		}
		pl.on("Write the report")
		pl.press("x")
		pl.write("https://tickets.example.com/4711")
		pl.press("S")
		pl.write("on call")
		pl.said("signed")
		pl.press("F")
		pl.write("over")
		pl.shows("the run is completed with exceptions: over")
		pl.press("x")
		pl.said("the run is completed_with_exceptions")
	})
}

func TestEnterTwiceGoesToTheDebugViewOfTheCheck(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.begin()
		pl.on("Which disk")
		pl.press("enter", "enter")
		if diff := cmp.Diff([]string{"sys.disk"}, pl.inspects); diff != "" {
			t.Error(diff)
		}
		if len(pl.overlays) != 0 {
			t.Error("the page stayed open")
		}
	})
}

func TestThePageShowsProseRulesEvidenceAndReferences(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		half(pl)
		pl.on("Which disk")
		pl.press("t")
		pl.write("asked the provider")
		pl.press("enter")
		got := pl.screen(110, 60)
		for _, want := range []string{"Read the mount that is red", "used > 90%", "guide", "row 27", "df -h && df -i", "never executed", "/dev/vda2", "sha256", "overrode it: space is being made", "asked the provider", "disk-full.md:"} {
			if !strings.Contains(got, want) {
				t.Errorf("the page lacks %q:\n%s", want, got)
			}
		}
	})
}

func TestThePageOfTheSectionShowsWhatWasSaidAboutTheRun(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		pl.begin("x", "T")
		pl.write("provider is slow tonight")
		pl.press("i")
		pl.shows("disk-full-k3vq, open", "one item at a time", "provider is slow tonight", "opened", "sha256")
	})
}

func TestTheCursorGoesOnWhenACheckHasPassed(t *testing.T) {
	desk := incident.NewDesk()
	desk.Wait = map[string]int{"log.match": 5, "sys.disk": 5}
	play(t, desk, func(pl *player) {
		pl.begin()
		pl.on("Which disk")
		pl.press("x")
		time.Sleep(6 * time.Second)
		pl.run(nil)
		if at := pl.p.(pane.Pointer).Point().Line; !strings.HasPrefix(at, "Which disk") {
			t.Errorf("a failed check was left for %q", at)
		}
		pl.press("o")
		pl.write("known", "1h")
		pl.on("a log")
		pl.press("x")
		time.Sleep(6 * time.Second)
		pl.run(nil)
		if at := pl.p.(pane.Pointer).Point().Line; !strings.HasPrefix(at, "Who turned") {
			t.Errorf("after a check that passed the cursor is on %q", at)
		}
	})
}

func TestExceptionsAreReviewedOneAfterTheOther(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		half(pl)
		pl.on("certificate")
		pl.press("a", "enter")
		pl.press("g")
		var seen []string
		for range 5 {
			pl.press("e")
			title, _, _ := strings.Cut(pl.p.(pane.Pointer).Point().Line, ":")
			seen = append(seen, title)
		}
		want := []string{"Who turned the log up?", "Containers run", "Set log_statement back to none", "Write the report", "Who turned the log up?"}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("exceptions (-want +got):\n%s", diff)
		}
	})
}

func TestABadResultIsAcknowledgedAndStaysBad(t *testing.T) {
	play(t, incident.NewDesk(), func(pl *player) {
		half(pl)
		pl.on("certificate")
		pl.press("a")
		pl.write("renewal is planned")
		pl.shows("seen by dana; left 19 d")
		if got := pl.state("cert"); got != runbooks.Warned {
			t.Errorf("it is %s", got)
		}
		pl.on("Announce")
		pl.press("a")
		pl.said("only a bad result is acknowledged")
	})
}

func TestAnUnfinishedRunIsOfferedAndResumed(t *testing.T) {
	desk := incident.NewDesk()
	play(t, desk, func(pl *player) {
		pl.begin("x", "b")
		pl.show()
		pl.shows("unfinished: disk-full-k3vq by dana", "1/11")
		pl.press("enter")
		pl.shows("disk-full", "1/11")
	})
}

func BenchmarkView(b *testing.B) {
	p := checklist.Spec(incident.NewDesk()).New(pane.Deps{Ctx: b.Context(), Now: func() time.Time { return incident.Night }})
	p.Show(incident.Full())
	f := pane.Frame{W: 60, H: 12, Theme: newTheme(theme.Options{Color: theme.Sixteen}), Now: incident.Night}
	b.ReportAllocs()
	for b.Loop() {
		p.View(f)
	}
}
