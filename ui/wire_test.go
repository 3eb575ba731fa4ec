package ui

import (
	"fmt"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

// livePane has a value that changes with every snapshot in each of its lines:
// worse than any real pane.
type livePane struct {
	seq uint64
}

func (p *livePane) Show(s watch.Snapshot)  { p.seq = s.Seq }
func (p *livePane) Handle(any) tea.Cmd     { return nil }
func (p *livePane) Actions() []pane.Action { return nil }
func (p *livePane) Summary() string        { return "live" }
func (p *livePane) View(f pane.Frame) string {
	list := make([]pane.Reading, f.H)
	for i := range list {
		list[i] = pane.Reading{Name: fmt.Sprintf("value %d", i), Value: fmt.Sprintf("%d %%", p.seq%100), Note: "usual 12 %"}
	}
	view := ""
	for _, line := range pane.Readings(f, list) {
		view += line + "\n"
	}
	return view
}

func liveDeck() []pane.Spec {
	specs := deck4()
	for i := range specs {
		specs[i].New = func(pane.Deps) pane.Pane { return &livePane{} }
	}
	return specs
}

// perSecond plays a minute in which the monitor publishes ten times a second
// and returns the bytes a second of its second half.
func perSecond(t *testing.T, size pane.Size, specs []pane.Spec) (rate int) {
	drive(t, scene(), size, theme.Options{Color: theme.Sixteen}, specs, func(d *driver) {
		for i := range 600 {
			if i == 300 {
				d.wire = 0
			}
			s := scene()
			s.Seq += uint64(i)
			s.At = d.m.deps.Now()
			d.monitor.publish(s)
			d.pass(100 * time.Millisecond)
		}
		rate = d.wire / 30
	})
	return rate
}

func TestBytesOnTheWireStayInTheBudget(t *testing.T) {
	for _, tt := range []struct {
		name   string
		size   pane.Size
		specs  []pane.Spec
		budget int
	}{
		{"every line changes, 120x40", pane.Size{W: 120, H: 40}, liveDeck(), 4000},
		{"every line changes, 80x24", pane.Size{W: 80, H: 24}, liveDeck(), 2000},
		{"only the clock moves", pane.Size{W: 120, H: 40}, deck4(), 400},
	} {
		if rate := perSecond(t, tt.size, tt.specs); rate > tt.budget {
			t.Errorf("%s: %d bytes a second, the budget is %d", tt.name, rate, tt.budget)
		} else {
			t.Logf("%s: %d bytes a second", tt.name, rate)
		}
	}
}

func TestAKeyCostsLessThanAKilobyte(t *testing.T) {
	drive(t, scene(), pane.Size{W: 120, H: 40}, theme.Options{Color: theme.Sixteen}, deck4(), func(d *driver) {
		for range 5 {
			d.wire = 0
			d.press("j")
			if d.wire > 1000 {
				t.Errorf("one key cost %d bytes", d.wire)
			}
		}
	})
}
