package ui

import (
	"runtime"
	"testing"

	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	"github.com/advanced-lms/opsdeck/ui/theme"
	tea "github.com/charmbracelet/bubbletea"
)

func TestAWindowThatIsSaidToBeHugeIsDrawnUpToTheLargestSize(t *testing.T) {
	for _, c := range []struct{ said, drawn pane.Size }{
		{pane.Size{W: 1000, H: 500}, pane.Size{W: 1000, H: 500}},
		{pane.Size{W: 1001, H: 40}, pane.Size{W: 1000, H: 40}},
		{pane.Size{W: 80, H: 501}, pane.Size{W: 80, H: 500}},
		{pane.Size{W: 65535, H: 65535}, pane.Size{W: 1000, H: 500}},
	} {
		drive(t, scene(), small, theme.Options{Color: theme.Sixteen}, deck4(), func(d *driver) {
			d.send(tea.WindowSizeMsg{Width: c.said.W, Height: c.said.H})
			checkScreen(t, d.m.View(), c.drawn.W, c.drawn.H)
		})
	}
}

func TestAFrameOfTheLargestWindowTakesFewMegabytes(t *testing.T) {
	const most = 64 << 20
	drive(t, watch.Snapshot{}, small, theme.Options{Color: theme.Sixteen}, deck4(), func(d *driver) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d.m.Update(tea.WindowSizeMsg{Width: 65535, Height: 65535})
		new(canvas).draw(frame{epoch: d.m.epoch, text: d.m.View()})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("a frame took %d MiB, at most %d are expected", took>>20, most>>20)
		}
	})
}
