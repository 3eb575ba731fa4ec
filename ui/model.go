// Package ui is the deck: what is shown, and the keys.
//
// Model is the one tea.Model. It owns the layout, the focus, the overlays, the
// notices and the line being typed; everything else belongs to a pane (see
// package pane) or to the monitor, which samples outside and publishes
// snapshots. The deck may be stopped, stalled or killed at any moment without
// losing anything but the position of a cursor.
//
// Update and View do no I/O. A snapshot reaches Update through one listening
// command (listen.go) at most four times a second; View gives back the last
// screen unless something changed, and panes are drawn again only then. Each
// new screen is handed to the painter (paint.go), which sends the cells that
// differ (canvas.go).
//
// Read model.go, layout.go, keys.go, then run.go and paint.go. The package knows runbooks
// and checks, but no database driver, no /proc library and no os/exec.
package ui

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// A Monitor samples the checks and publishes what came of them. It samples all
// of them all the time, because the header counts every check, but for those on
// demand: they are sampled while they are looked at.
type Monitor interface {
	Snapshot() watch.Snapshot
	Changed() <-chan struct{} // capacity 1: "look again"
	Again(ids ...string)      // run now
	Look(ids ...string)       // all that is looked at
}

// Deps is the world of the deck. Monitor, Panes and Theme are needed; the rest
// has defaults.
type Deps struct {
	Monitor          Monitor
	Panes            []pane.Spec
	Theme            *theme.Theme
	Host, Site, User string
	SiteFile         string           // absolute path of the file in use; "" if the site was detected
	ReadOnly         bool             // shown as a badge
	Zone             *time.Location   // the site's; nil means UTC
	Now              func() time.Time // nil means time.Now
	Log              *slog.Logger     // never the terminal; nil discards
	LogPath          string           // where Log goes, for the operator
	SelfCost         func() Cost      // nil reads /proc/self

	// Notices come from outside the deck: a site file that was read again.
	Notices  <-chan pane.NoticeMsg
	Env      func(string) string
	Terminal Terminal // nil means standard input and output
}

// A Model is the deck. Make it with newModel.
type Model struct {
	deps    Deps
	ctx     context.Context
	theme   *theme.Theme
	size    pane.Size
	layout  layout
	regions []*region

	snap    watch.Snapshot // what the panes show
	newest  watch.Snapshot // differs from snap while paused
	shownAt time.Time      // Frame.Now of the panes: moves with data, not every second
	now     time.Time      // whole seconds, for the header
	paused  time.Time      // since when; zero when live
	rev     uint64

	looks    []string // what the monitor knows to be looked at
	focus    int
	zoom     bool
	overlays []pane.Overlay
	typing   *typing
	past     []string // commands typed, newest last
	notices  notices
	copied   copying

	meter   *meter
	painter *painter
	cost    Cost
	screen  string
	stale   bool          // screen must be composed again
	epoch   int           // of the terminal's size: each time the screen is sent whole
	leave   chan struct{} // closed when the operator leaves
}

// newModel makes the deck; the terminal's size comes later, in a message.
func newModel(ctx context.Context, d Deps) *Model {
	d = d.complete()
	m := &Model{deps: d, ctx: ctx, theme: d.Theme, leave: make(chan struct{}), meter: newMeter(d.Terminal), stale: true}
	m.painter = newPainter(m.meter, d.Log)
	m.regions = []*region{{spec: worstSpec}}
	specs := slices.Clone(d.Panes)
	slices.SortStableFunc(specs, func(a, b pane.Spec) int { return a.Order - b.Order })
	for _, s := range specs {
		m.regions = append(m.regions, &region{spec: s})
	}
	for _, r := range m.regions {
		r.safely(m, "starting", func() {
			r.pane = r.spec.New(pane.Deps{Ctx: ctx, Now: d.Now, Zone: d.Zone, Log: d.Log})
		})
	}
	m.now = d.Now().Truncate(time.Second)
	m.show(d.Monitor.Snapshot())
	return m
}

func (d Deps) complete() Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Zone == nil {
		d.Zone = time.UTC
	}
	if d.Env == nil {
		d.Env = func(string) string { return "" }
	}
	if d.SelfCost == nil {
		d.SelfCost = newSelfCost(d.Now)
	}
	return d
}

// Init starts the two things that go on for ever: listening and the clock.
func (m *Model) Init() tea.Cmd {
	return tea.Batch(m.guard(m.listen), m.guard(m.tick), m.guard(m.measure), m.guard(m.hear))
}

// Update takes one message. It never blocks and does no I/O.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	defer m.logPanic()
	defer m.look()
	m.stale = true
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(pane.Size{W: msg.Width, H: msg.Height})
	case tea.KeyMsg:
		return m, m.guard(m.press(msg))
	case snapshotMsg:
		m.show(watch.Snapshot(msg))
		return m, m.guard(m.listen)
	case tickMsg:
		m.beat(time.Time(msg))
		return m, m.guard(m.tick)
	case costMsg:
		m.cost = Cost(msg)
		return m, m.guard(m.measureLater)
	case pane.Msg:
		return m, m.guard(m.deliver(msg))
	case pane.NoticeMsg:
		m.notify(msg)
	case heardMsg:
		m.notify(pane.NoticeMsg(msg))
		return m, m.guard(m.hear)
	case lostMsg:
		m.lost(msg)
	default:
		cmd, known := m.wish(msg)
		m.stale = known
		return m, m.guard(cmd)
	}
	return m, nil
}

// wish takes what panes and overlays ask of the deck.
func (m *Model) wish(msg tea.Msg) (tea.Cmd, bool) {
	switch msg := msg.(type) {
	case pane.PushMsg:
		m.push(msg.Overlay)
	case pane.PopMsg:
		m.pop(msg.Overlay)
	case pane.FocusMsg:
		m.focusOn(m.find(msg.Pane))
	case pane.InspectMsg:
		return m.inspect(msg.Check), true
	case pane.AgainMsg:
		m.deps.Monitor.Again(msg.Checks...)
	case pane.CopyMsg:
		return m.copyOut(msg.What, msg.Text), true
	case pane.ProposeMsg:
		return m.record(true, func(r pane.Recorder) tea.Cmd { return r.Propose(msg) }), true
	case pane.AttachMsg:
		return m.record(false, func(r pane.Recorder) tea.Cmd { return r.Attach(msg) }), true
	default:
		return nil, false
	}
	return nil, true
}

// show takes a snapshot. While paused it is kept for later; one that is older
// than what is known is dropped.
func (m *Model) show(s watch.Snapshot) {
	if s.Seq < m.newest.Seq {
		return
	}
	m.newest = s
	if !m.paused.IsZero() {
		return
	}
	m.snap = s
	m.shownAt = m.deps.Now().Truncate(time.Second)
	m.rev++
	for _, r := range m.regions {
		r.show(m, s)
	}
	for _, o := range m.overlays {
		if live, ok := o.(interface{ Show(watch.Snapshot) }); ok {
			live.Show(s)
		}
	}
}

// ageEvery is how often ages in panes are drawn again when no data comes.
const ageEvery = 5 * time.Second

// beat is one second gone by.
func (m *Model) beat(now time.Time) {
	m.now = now.Truncate(time.Second)
	m.notices.expire(m.now)
	if m.paused.IsZero() && m.now.Sub(m.shownAt) >= ageEvery {
		m.shownAt = m.now
	}
}

// deliver hands an answer to the pane it is for.
func (m *Model) deliver(msg pane.Msg) tea.Cmd {
	i := m.find(msg.To)
	if i < 0 {
		m.deps.Log.Warn("message for a pane that is not there", "pane", msg.To)
		return nil
	}
	m.rev++
	return m.regions[i].handle(m, msg.Body)
}

// record hands something to the pane that keeps the record, which gets the
// keys if a person has to answer it there.
func (m *Model) record(focus bool, take func(pane.Recorder) tea.Cmd) (cmd tea.Cmd) {
	for i, r := range m.regions {
		recorder, ok := r.pane.(pane.Recorder)
		if !ok || r.dead != "" {
			continue
		}
		m.rev++
		if focus {
			m.focusOn(i)
		}
		r.safely(m, "recording", func() { cmd = take(recorder) })
		return cmd
	}
	m.notify(pane.NoticeMsg{Level: checks.Warn, Text: "there is no runbook pane to record it"})
	return nil
}

// find is the index of a pane by its id, -1 if there is none.
func (m *Model) find(id string) int {
	return slices.IndexFunc(m.regions, func(r *region) bool { return r.spec.ID == id })
}

// focusOn gives the keys to a region; the zoom stays as it is.
func (m *Model) focusOn(i int) {
	if i < 0 || i >= len(m.regions) {
		return
	}
	m.focus = i
	m.arrange()
}

// largest is the largest deck that is drawn. The size comes from the other end
// of the line, where any client may name 65535x65535, and what is drawn takes
// memory for each of its cells.
var largest = pane.Size{W: 1000, H: 500}

// resize takes the size that the terminal says it has, up to the largest.
func (m *Model) resize(said pane.Size) {
	m.size = pane.Size{W: min(said.W, largest.W), H: min(said.H, largest.H)}
	m.epoch++
	m.meter.allow(m.size.W * m.size.H)
	m.arrange()
}

// arrange lays the deck out again.
func (m *Model) arrange() {
	m.layout = arrange(m.size, len(m.regions), m.focus, m.zoom)
}

func (m *Model) push(o pane.Overlay) {
	if live, ok := o.(interface{ Show(watch.Snapshot) }); ok {
		live.Show(m.snap)
	}
	m.overlays = append(m.overlays, o)
}

func (m *Model) pop(o pane.Overlay) {
	m.overlays = slices.DeleteFunc(m.overlays, func(have pane.Overlay) bool { return have == o })
}
