package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// night is the moment of every scene: 03:07:12 UTC, an hour after trouble began.
var night = time.Date(2026, 11, 23, 3, 7, 12, 0, time.UTC)

var _ Monitor = (*watch.Monitor)(nil)

// fakeMonitor publishes what the test gives it and remembers what was asked.
type fakeMonitor struct {
	mu      sync.Mutex
	snap    watch.Snapshot
	changed chan struct{}
	again   []string
	looked  []string
	answer  func(watch.Snapshot, ...string) watch.Snapshot // to a Look; nil: nothing
}

func newFakeMonitor(s watch.Snapshot) *fakeMonitor {
	return &fakeMonitor{snap: s, changed: make(chan struct{}, 1)}
}

func (m *fakeMonitor) Snapshot() watch.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.snap
}

func (m *fakeMonitor) Changed() <-chan struct{} { return m.changed }

func (m *fakeMonitor) Again(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.again = append(m.again, ids...)
}

// Look notes what is looked at and publishes what comes of it.
func (m *fakeMonitor) Look(ids ...string) {
	m.mu.Lock()
	m.looked = ids
	s := m.snap
	m.mu.Unlock()
	if m.answer != nil {
		m.publish(m.answer(s, ids...))
	}
}

// publish makes a snapshot the newest.
func (m *fakeMonitor) publish(s watch.Snapshot) {
	m.mu.Lock()
	m.snap = s
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

var sceneModule = &checks.Module{
	Name: "test.disk", Doc: "how full a file system is",
	Facts: []fact.Spec{
		{Name: "used", Type: fact.Percent, Doc: "share of the blocks in use", Worse: fact.Higher, Label: "mount"},
		{Name: "queue", Type: fact.Count, Unit: "requests", Doc: "requests waiting", Optional: true},
	},
	Warn: "used > 80%", Fail: "used > 90%", Source: "guide",
}

// ticks turns "..=#?" into verdicts.
func ticks(text string) []watch.Tick {
	levels := map[rune]checks.Level{'.': checks.OK, '=': checks.Warn, '#': checks.Crit, '?': checks.Unknown}
	var list []watch.Tick
	for _, r := range text {
		list = append(list, watch.Tick{At: night, Level: levels[r]})
	}
	return list
}

func state(id string, level checks.Level, note, history string) watch.State {
	return watch.State{
		Check:  checks.Check{ID: id, Title: "title of " + id, Module: sceneModule, Rules: sceneModule.DefaultRules(), Origin: "opsdeck.yaml:31:5"},
		Result: checks.Result{ID: id, Module: sceneModule.Name, Level: level, Note: note, At: night.Add(-2 * time.Second), Took: 3 * time.Millisecond},
		Level:  level, Raw: level, Since: night.Add(-16 * time.Minute), Streak: 3, Need: 3, StaleAfter: night.Add(time.Hour),
		LastOK: night.Add(-17 * time.Minute), Ticks: ticks(history),
	}
}

// scene is one bad night: a full disk that explains a database, a slow
// endpoint, a certificate, a stuck cache, and what is well.
func scene() watch.Snapshot {
	disk := state("sys.disk", checks.Crit, "/var 100 % full, 0 B free", "......====######")
	disk.Result.Facts = []fact.Fact{fact.Pct("used", 100).On("/var"), fact.Pct("used", 41).On("/"), fact.Number("queue", 31)}
	disk.Result.Why = []checks.Breach{{Fact: "used", Label: "/var", Value: fact.PctValue(100), Rule: "used > 90%", Level: checks.Crit, Source: "guide"}}
	disk.Result.Tables = []checks.Table{{Name: "mounts", Columns: []checks.Column{{Name: "mount", Type: fact.Text}, {Name: "used", Type: fact.Percent}},
		Rows: [][]fact.Value{{fact.WordValue("/var"), fact.PctValue(100)}, {fact.WordValue("/"), fact.PctValue(41)}}}}
	disk.Result.Detail = []string{"/dev/vda2 62G 62G 0 100% /var", "\x1b[2Jhostile evidence \u202e reversed"}
	disk.Errors = []watch.Failure{{At: night.Add(-time.Hour), Class: checks.Timeout, Err: "statfs /mnt/nfs: no answer in 2 s"}}
	disk.Trend = map[string][]float64{"used|/var": {80, 85, 90, 95, 100}}
	db := state("db", checks.Crit, "rejects writes: no space left (53100)", ".......#########")
	db.HeldBy = "sys.disk"
	api := state("api", checks.Warn, "200 in 4.8 s", ".........=======")
	api.Streak, api.Flapping = 2, false
	cert := state("cert", checks.Warn, "lms.example.com 19 d left", "================")
	cert.Since = night.Add(-6 * 24 * time.Hour)
	cache := state("cache", checks.OK, "PONG in 0.4 ms", "..............??")
	cache.Stuck, cache.Running = true, night.Add(-41*time.Second)
	web := state("web", checks.OK, "200 in 87 ms", "................")
	uptime := state("sys.uptime", checks.OK, "up 41 d", "................")
	uptime.Result.Facts = []fact.Fact{fact.Dur("up", 41*24*time.Hour)}
	skipped := state("stack", checks.Skipped, "no docker connection in the site file", "")
	fresh := state("npm", checks.Unknown, "", "")
	fresh.Result, fresh.Since, fresh.Streak = checks.Result{}, time.Time{}, 0
	return watch.Snapshot{Seq: 7, At: night.Add(-time.Second), States: []watch.State{web, disk, db, api, cert, cache, uptime, skipped, fresh}}
}

// hostile is a snapshot in which every text tries to break the screen.
func hostile() watch.Snapshot {
	s := scene()
	for i, evil := range []string{
		"\x1b[2J\x1b]0;owned\x07", "tab\there\rback\nnewline", strings.Repeat("\u4e2d\u6587", 100), "e\u0301\u200d\u202e\ufe0f flags \U0001f1e9\U0001f1ea \U0001f469\u200d\U0001f4bb",
		"\xff\xfe bad utf-8", strings.Repeat("x", 5000), "\u0085\u009b31m C1", "", "\ufeffBOM\u2066isolate",
	} {
		s.States[i].Check.ID = evil + fmt.Sprint(i)
		s.States[i].Check.Title = evil
		s.States[i].Result.Note = evil
		s.States[i].Result.Target = evil
		s.States[i].Result.Err = evil
		s.States[i].Result.Detail = []string{evil, evil}
	}
	return s
}

// fakePane is a table of a few rows; it stands in for the real panes.
type fakePane struct {
	pane.Table
	id      string
	handled []any
	did     []string
}

func fakeSpec(order int, id, title string, rows ...string) pane.Spec {
	return pane.Spec{
		ID: id, Title: title, Order: order, Min: pane.Size{W: 20, H: 2}, Needs: pane.Checks("sys.disk", "web"),
		New: func(pane.Deps) pane.Pane {
			p := &fakePane{id: id, Table: pane.Table{Marks: true, Columns: []pane.Column{{Title: "name", Keep: 9}, {Title: "what", Fill: true, Keep: 5}}}}
			var list []pane.Row
			for i, r := range rows {
				name, what, _ := strings.Cut(r, " ")
				level := checks.OK
				if what, ok := strings.CutPrefix(what, "!"); ok {
					level = checks.Warn
					list = append(list, pane.Row{ID: fmt.Sprint(i), Level: level, Cells: pane.Cells(name, what)})
					continue
				}
				list = append(list, pane.Row{ID: fmt.Sprint(i), Level: level, Cells: pane.Cells(name, what)})
			}
			p.SetRows(list)
			return p
		},
	}
}

func (p *fakePane) Show(watch.Snapshot) {}

func (p *fakePane) Handle(body any) tea.Cmd {
	p.handled = append(p.handled, body)
	return nil
}

func (p *fakePane) Actions() []pane.Action {
	off := act("drop", "drop it all", "drop", nil, "D")
	off.Off = "nothing is dropped here"
	return append(p.Moves(), off, act("ask", "ask first", "ask", func() tea.Cmd {
		p.did = append(p.did, "ask")
		return pane.Push(&pane.Confirm{Head: "really?", Lines: []string{"This removes everything."}, Yes: func() tea.Cmd {
			p.did = append(p.did, "yes")
			return pane.Reply(p.id, func() any { return "done" })
		}})
	}, "a"))
}

func (p *fakePane) Summary() string { return "fine" }

func (p *fakePane) Point() pane.Point {
	row, _ := p.Selected()
	return pane.Point{Check: "sys.disk", Value: row.Cells[1].Text, Line: row.Cells[0].Text + " " + row.Cells[1].Text}
}

// deck4 is the four panes of the scene.
func deck4() []pane.Spec {
	return []pane.Spec{
		fakeSpec(4, "runbook", "RUNBOOK disk-full", "2 freeze deploys", "3 which files grew?", "4 a log, not WAL?"),
		fakeSpec(1, "system", "SYSTEM", "cpu 31 %", "mem 62 %", "io !psi full 44 %", "/var !100 %", "net ok"),
		fakeSpec(2, "services", "SERVICES", "backend !up 2m, 7 restarts", "api !4.8 s", "web 87 ms"),
		fakeSpec(3, "database", "DATABASE lms_prod", "conn !81/97 usable", "blocked !12 by pid 4411", "tps 14, usual 210"),
	}
}
