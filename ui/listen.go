package ui

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

type (
	snapshotMsg watch.Snapshot
	tickMsg     time.Time
	costMsg     Cost
	heardMsg    pane.NoticeMsg
)

// The pace of snapshots: two a second, four while the first results come in.
// When the line to the terminal carries more than the budget, it gets slower.
const (
	eager    = 250 * time.Millisecond
	settling = 5 * time.Second // how long eager lasts
	fastest  = 500 * time.Millisecond
	slowest  = 2 * time.Second
)

// listen waits for news, lets a moment's worth of it pile up, then reports
// once. A snapshot contains everything, so those in between are not missed.
func (m *Model) listen() tea.Msg {
	select {
	case <-m.ctx.Done():
		return nil
	case <-m.deps.Monitor.Changed():
	}
	return m.after(m.meter.pace(), func() tea.Msg { return snapshotMsg(m.deps.Monitor.Snapshot()) })
}

// after waits, unless the deck ends first. A tea.Tick would wait on.
func (m *Model) after(d time.Duration, then func() tea.Msg) tea.Msg {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-m.ctx.Done():
		return nil
	case <-timer.C:
		return then()
	}
}

// hear waits for a notice from outside the deck.
func (m *Model) hear() tea.Msg {
	select {
	case <-m.ctx.Done():
		return nil
	case notice := <-m.deps.Notices:
		return heardMsg(notice)
	}
}

// tick is the clock, on the full second.
func (m *Model) tick() tea.Msg {
	rest := time.Second - time.Duration(m.deps.Now().Nanosecond())
	return m.after(rest, func() tea.Msg { return tickMsg(m.deps.Now()) })
}

// measureEvery is how often the deck looks at its own cost.
const measureEvery = 5 * time.Second

func (m *Model) measure() tea.Msg {
	cost := m.deps.SelfCost()
	cost.Rate = m.meter.rate()
	return costMsg(cost)
}

func (m *Model) measureLater() tea.Msg { return m.after(measureEvery, m.measure) }
