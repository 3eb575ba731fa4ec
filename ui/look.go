package ui

import (
	"slices"

	"github.com/advanced-lms/opsdeck/ui/pane"
)

// look tells the monitor which checks on demand are on the screen, if that has
// changed: those of the panes that are drawn and of the overlay on top. A view
// that is paused is still looked at.
func (m *Model) look() {
	var ids []string
	for _, p := range m.layout.places {
		r := m.regions[p.region]
		if p.w >= r.spec.Min.W && p.h > r.spec.Min.H {
			ids = append(ids, r.looks(m)...)
		}
	}
	if n := len(m.overlays); n > 0 {
		if looker, ok := m.overlays[n-1].(pane.Looker); ok {
			ids = append(ids, looker.Looks()...)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if slices.Equal(ids, m.looks) {
		return
	}
	m.looks = ids
	m.deps.Monitor.Look(ids...)
}
