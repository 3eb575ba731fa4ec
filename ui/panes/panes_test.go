package panes

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew; read the diff before committing")

func newTheme(o theme.Options) *theme.Theme { return theme.New(lipgloss.NewRenderer(io.Discard), o) }

func frame(w, h int, o theme.Options) pane.Frame {
	return pane.Frame{W: w, H: h, Theme: newTheme(o), Now: incident.Night}
}

// shows is a pane that was shown the snapshots.
func showing(spec pane.Spec, snaps ...watch.Snapshot) pane.Pane {
	p := spec.New(pane.Deps{Ctx: nil, Now: func() time.Time { return incident.Night }, Zone: time.UTC})
	for _, s := range snaps {
		p.Show(s)
	}
	return p
}

// look draws as the deck does, without blanks at the end of lines.
func look(p pane.Pane, f pane.Frame) string {
	lines := pane.Fit(p.View(f), f.W, f.H)
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return p.Summary() + "\n" + strings.Join(lines, "\n") + "\n"
}

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

// press does what a key of the pane does.
func press(t *testing.T, p pane.Pane, keys ...string) tea.Cmd {
	t.Helper()
	var cmd tea.Cmd
	for _, k := range keys {
		done := false
		for _, a := range p.Actions() {
			for _, known := range a.Key.Keys() {
				if known == k && !done {
					if a.Off != "" {
						t.Fatalf("%s is off: %s", k, a.Off)
					}
					cmd, done = a.Do(), true
				}
			}
		}
		if !done {
			t.Fatalf("the pane has no key %s", k)
		}
	}
	return cmd
}

// The share of each pane of the deck at 80x24, 120x40, 160x45, and the least.
var shares = map[string][]pane.Size{
	"system":   {{W: 40, H: 6}, {W: 60, H: 12}, {W: 53, H: 14}, {W: 22, H: 1}, {W: 100, H: 30}},
	"services": {{W: 39, H: 6}, {W: 59, H: 12}, {W: 53, H: 14}, {W: 22, H: 1}, {W: 160, H: 20}},
	"database": {{W: 40, H: 6}, {W: 60, H: 11}, {W: 107, H: 14}, {W: 22, H: 1}, {W: 100, H: 30}},
}

var specs = []pane.Spec{System, Services, Database(nil)}

func TestPanesLookAsRecorded(t *testing.T) {
	ascii := theme.Options{ASCII: true}
	for _, spec := range specs {
		for _, size := range shares[spec.ID] {
			name := fmt.Sprintf("%s-%dx%d", spec.ID, size.W, size.H)
			t.Run(name, func(t *testing.T) {
				golden(t, name+".txt", look(showing(spec, incident.Full()), frame(size.W, size.H, ascii)))
			})
		}
		t.Run(spec.ID+" in colour", func(t *testing.T) {
			got := look(showing(spec, incident.Full()), frame(60, 12, theme.Options{Color: theme.Sixteen}))
			golden(t, spec.ID+"-60x12.ansi", strings.ReplaceAll(got, "\x1b", "^["))
		})
		t.Run(spec.ID+" on a calm night", func(t *testing.T) {
			golden(t, spec.ID+"-calm-60x12.txt", look(showing(spec, incident.Calm()), frame(60, 12, ascii)))
		})
	}
	t.Run("a server that is away", func(t *testing.T) {
		p := showing(Database(nil), incident.Full(), incident.Away())
		golden(t, "database-away-100x14.txt", look(p, frame(100, 14, ascii)))
		golden(t, "database-away-40x6.txt", look(p, frame(40, 6, ascii)))
	})
}

func TestNoSizeAndNoTextBreaksAPane(t *testing.T) {
	th := newTheme(theme.Options{ASCII: true})
	for _, spec := range specs {
		for i, snap := range []watch.Snapshot{incident.Hostile(), incident.Full(), {}} {
			p := showing(spec, incident.Full(), snap)
			sweep(t, p, th, 1)
			if spec.ID == "database" && i == 0 {
				everyPart(t, p, func(string) { sweep(t, p, th, 9) })
			}
		}
	}
}

// sweep draws a pane in many sizes: every height at a few widths, and every
// width, or every few, at a few heights.
func sweep(t *testing.T, p pane.Pane, th *theme.Theme, every int) {
	t.Helper()
	for w := 1; w <= 220; w += every {
		for h := 1; h <= 60; h++ {
			if w%73 != 1 && h != 1 && h != 7 && (h != 40 || w > 80) {
				continue
			}
			f := pane.Frame{W: w, H: h, Focused: w%2 == 0, Theme: th, Now: incident.Night}
			lines := strings.Split(p.View(f), "\n")
			if len(lines) > h {
				t.Fatalf("%d lines in a frame of %dx%d", len(lines), w, h)
			}
			for _, line := range lines {
				if got := pane.Width(line); got > w {
					t.Fatalf("a line of %d cells in a frame of %dx%d: %q", got, w, h, line)
				}
				if strings.ContainsFunc(ansi.Strip(line), func(r rune) bool { return r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
					t.Fatalf("a control character got through: %q", line)
				}
			}
		}
	}
}

// with is a snapshot in which one state is changed.
func with(s watch.Snapshot, id string, change func(*watch.State)) watch.Snapshot {
	for i := range s.States {
		if s.States[i].Check.ID == id {
			change(&s.States[i])
		}
	}
	return s
}

func lineWith(t *testing.T, p pane.Pane, w, h int, text string) string {
	t.Helper()
	shown := look(p, frame(w, h, theme.Options{ASCII: true}))
	for _, line := range strings.Split(shown, "\n") {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("no line with %q in\n%s", text, shown)
	return ""
}

func TestAFailedReadingIsUnknownAndKeepsTheLastValueWithItsAge(t *testing.T) {
	after := with(incident.Full(), "sys.cpu", func(st *watch.State) {
		st.Result.Facts, st.Result.Err, st.Result.Class = nil, "reading /proc/stat: permission denied", checks.Denied
		st.Level, st.Raw = checks.Unknown, checks.Unknown
	})
	p := showing(System, incident.Full(), after)
	got := lineWith(t, p, 120, 40, "cpu")
	if !strings.HasPrefix(got, " ? ") || !strings.Contains(got, "31 %") || !strings.Contains(got, "permission denied") || !strings.Contains(got, "2 s old") {
		t.Errorf("got %q, want it unknown, with the last value, the reason and the age", got)
	}
	p = showing(System, after)
	if got := lineWith(t, p, 120, 40, "cpu"); !strings.HasPrefix(got, " ? ") || strings.Contains(got, "%") {
		t.Errorf("got %q, want a question mark and no number: there never was one", got)
	}
}

func TestAnOldReadingIsNotShownAsWell(t *testing.T) {
	p := showing(System, with(incident.Full(), "sys.mem", func(st *watch.State) {
		st.StaleAfter = incident.Night.Add(-time.Minute)
		st.Result.At = incident.Night.Add(-3 * time.Minute)
	}))
	if got := lineWith(t, p, 120, 40, "mem"); !strings.HasPrefix(got, " ? ") || !strings.Contains(got, "3 m old") {
		t.Errorf("got %q", got)
	}
}

func TestALevelThatIsNotConfirmedIsNotShownAsConfirmed(t *testing.T) {
	p := showing(System, with(incident.Full(), "sys.psi", func(st *watch.State) { st.Level, st.Streak = checks.OK, 1 }))
	if got := lineWith(t, p, 120, 40, "psi"); !strings.HasPrefix(got, "    psi") || !strings.Contains(got, "> 10% 1/3") {
		t.Errorf("got %q, want it ok with 1/3", got)
	}
	p = showing(System, with(incident.Full(), "sys.psi", func(st *watch.State) { st.Raw, st.Result.Why, st.Streak, st.Need = checks.OK, nil, 1, 2 }))
	if got := lineWith(t, p, 120, 40, "psi"); !strings.HasPrefix(got, " !  psi") || !strings.Contains(got, "clearing 1/2") {
		t.Errorf("got %q, want it still a warning that clears", got)
	}
}

func TestManyDisksAreFoldedWorstFirst(t *testing.T) {
	p := showing(System, with(incident.Full(), "sys.disk", func(st *watch.State) {
		st.Result.Facts = nil
		for i := range 40 {
			st.Result.Facts = append(st.Result.Facts, fact.Pct("used", float64(i)).On(fmt.Sprintf("/mnt/%02d", i)))
		}
		st.Result.Facts = append(st.Result.Facts, fact.Pct("used", 100).On("/var"))
	}))
	got := look(p, frame(80, 40, theme.Options{ASCII: true}))
	if !strings.Contains(got, "and 37 more, at most 36 %") || strings.Contains(got, "/mnt/36") || strings.Index(got, "/var") > strings.Index(got, "/mnt/39") {
		t.Errorf("got\n%s", got)
	}
}

func TestTheCursorStaysAtTheTopUntilItIsMoved(t *testing.T) {
	p := showing(System, incident.Calm())
	f := frame(40, 6, theme.Options{ASCII: true})
	p.View(f)
	p.Show(incident.Full())
	p.View(f)
	if at := p.(pane.Pointer).Point(); at.Check != "sys.disk" {
		t.Errorf("the cursor is on %+v, want the worst line", at)
	}
	press(t, p, "j")
	moved := p.(pane.Pointer).Point()
	p.Show(incident.Calm())
	p.View(f)
	if at := p.(pane.Pointer).Point(); at.Check != moved.Check {
		t.Errorf("the cursor went from %+v to %+v", moved, at)
	}
}

func TestServicesAreEverythingThatIsNotTheHostOrTheDatabase(t *testing.T) {
	for _, id := range Services.Needs(incident.Full()) {
		if strings.HasPrefix(id, "sys.") || strings.HasPrefix(id, "pg.") {
			t.Errorf("%s is not a service", id)
		}
	}
	p := showing(Services, incident.Full())
	if got, want := p.Summary(), "7 of 12 ok"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuantilesNeedSamples(t *testing.T) {
	list := func(n int) []float64 {
		var l []float64
		for i := range n {
			l = append(l, float64(i+1))
		}
		return l
	}
	for _, tt := range []struct {
		samples  []float64
		p50, p95 string
	}{{nil, "-", "-"}, {list(4), "-", "-"}, {list(5), "3 ms", "-"}, {list(20), "10 ms", "19 ms"}, {list(60), "30 ms", "57 ms"}} {
		if p50, p95 := quantile(tt.samples, 50, leastP50), quantile(tt.samples, 95, leastP95); p50 != tt.p50 || p95 != tt.p95 {
			t.Errorf("of %d samples: %s and %s, want %s and %s", len(tt.samples), p50, p95, tt.p50, tt.p95)
		}
	}
}

func TestTheBusiestContainerAndTheShortestCertificateSpeakForAll(t *testing.T) {
	of := func(worse fact.Direction, facts ...fact.Fact) string {
		m := &checks.Module{Name: "m", Facts: []fact.Spec{{Name: facts[0].Name, Type: facts[0].Type, Worse: worse}}}
		f, _ := telling(source{State: watch.State{Check: checks.Check{Module: m}}, facts: checks.Result{Facts: facts}}, facts[0].Name)
		return f.Label
	}
	if got := of(fact.Higher, fact.Pct("cpu", 3).On("a"), fact.Pct("cpu", 90).On("b"), fact.Pct("cpu", 7).On("c")); got != "b" {
		t.Errorf("got container %s", got)
	}
	if got := of(fact.Lower, fact.Dur("left", 3).On("a"), fact.Dur("left", 1).On("b"), fact.Dur("left", 2).On("c")); got != "b" {
		t.Errorf("got certificate %s", got)
	}
}

func TestPressureOverAMinuteIsSaidToBeThat(t *testing.T) {
	p := showing(System, with(incident.Full(), "sys.psi", func(st *watch.State) {
		st.Result.Facts = append(st.Result.Facts, fact.Pct("cpu_some_60", 73))
		st.Result.Why = []checks.Breach{{Fact: "cpu_some_60", Value: fact.PctValue(73), Rule: "cpu_some_60 > 25%", Level: checks.Warn}}
	}))
	if got := lineWith(t, p, 120, 40, "psi"); !strings.Contains(got, "73 %") || !strings.Contains(got, "cpu some over 60 s > 25%  io full 44 %") || strings.Contains(got, "0.4 %") {
		t.Errorf("got %q", got)
	}
}

func TestASiteWithoutADatabaseIsToldHowToAddOne(t *testing.T) {
	s := incident.Full()
	kept := s.States[:0]
	for _, st := range s.States {
		if !strings.HasPrefix(st.Check.ID, "pg.") && st.Check.ID != "db" {
			kept = append(kept, st)
		}
	}
	s.States = kept
	p := showing(Database(nil), s)
	if got := look(p, frame(60, 6, theme.Options{ASCII: true})); !strings.Contains(got, "connections: {postgres:") {
		t.Errorf("got\n%s", got)
	}
}

func BenchmarkViews(b *testing.B) {
	for _, spec := range specs {
		p := showing(spec, incident.Full())
		f := frame(60, 12, theme.Options{Color: theme.Sixteen})
		b.Run(spec.ID, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.View(f)
			}
		})
	}
}
