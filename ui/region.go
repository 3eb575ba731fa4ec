package ui

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// A region is a pane on the deck with what was drawn of it last. A panic of a
// pane is caught here: it costs the pane, not the deck.
type region struct {
	spec   pane.Spec
	pane   pane.Pane
	dead   string // why the pane no longer works
	filter string // what its rows are filtered by

	drawn drawing
	lines []string
	note  string // the Summary at the time
}

// A drawing is everything a pane's lines depend on: while it is the same,
// nothing is drawn again.
type drawing struct {
	rev     uint64 // counts snapshots, keys and messages
	w, h    int
	focused bool
	theme   *theme.Theme
	now     time.Time
}

// view draws the pane, or gives the lines it already has.
func (r *region) view(m *Model, f pane.Frame) []string {
	want := drawing{m.rev, f.W, f.H, f.Focused, f.Theme, f.Now}
	if want == r.drawn {
		return r.lines
	}
	r.drawn = want
	r.note, r.lines = "", nil
	r.safely(m, "drawing", func() {
		r.note = pane.Plain(r.pane.Summary())
		if f.W < r.spec.Min.W || f.H < r.spec.Min.H {
			r.lines = pane.Fit(f.Cut("   "+r.note, f.W), f.W, f.H)
			return
		}
		r.lines = pane.Fit(r.pane.View(f), f.W, f.H)
	})
	if r.dead != "" {
		r.lines = pane.Fit(strings.Join(pane.Wrap("!! "+r.dead, f.W), "\n"), f.W, f.H)
	}
	return r.lines
}

func (r *region) show(m *Model, s watch.Snapshot) {
	r.safely(m, "showing a snapshot", func() { r.pane.Show(s) })
}

func (r *region) handle(m *Model, body any) (cmd tea.Cmd) {
	r.safely(m, "handling an answer", func() { cmd = r.pane.Handle(body) })
	return cmd
}

func (r *region) actions(m *Model) (list []pane.Action) {
	r.safely(m, "listing actions", func() { list = r.pane.Actions() })
	return list
}

func (r *region) point(m *Model) (p pane.Point) {
	r.safely(m, "pointing", func() {
		if at, ok := r.pane.(pane.Pointer); ok {
			p = at.Point()
		}
	})
	return p
}

// needs lists the checks the pane shows.
func (r *region) needs(m *Model) (ids []string) {
	if r.spec.Needs == nil {
		return nil
	}
	r.safely(m, "naming its checks", func() { ids = r.spec.Needs(m.snap) })
	return ids
}

// looks lists the checks on demand that the pane shows.
func (r *region) looks(m *Model) (ids []string) {
	if looker, ok := r.pane.(pane.Looker); ok {
		r.safely(m, "naming what it shows", func() { ids = looker.Looks() })
	}
	return ids
}

// safely runs a method of the pane. After a panic the pane is not asked again.
func (r *region) safely(m *Model, doing string, do func()) {
	if r.dead != "" {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			r.dead = fmt.Sprintf("this pane failed while %s; %s", doing, m.seeLog())
			m.deps.Log.Error("pane panicked", "pane", r.spec.ID, "while", doing, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	do()
}

// overlaySafely runs a method of an overlay. After a panic the overlay is gone
// and the deck says so.
func (m *Model) overlaySafely(o pane.Overlay, do func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			m.pop(o)
			m.deps.Log.Error("overlay panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			m.lost(lostMsg{fmt.Sprint(p)})
			ok = false
		}
	}()
	do()
	return true
}
