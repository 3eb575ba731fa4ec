package ui

import (
	"io"
	"os"
	"sync"
	"time"
)

// A Terminal is what the deck reads keys from and draws on. *os.File is one.
type Terminal interface {
	io.ReadWriteCloser
	Fd() uintptr
}

// byteBudget is what the deck may send in a second, per cell of the screen,
// before it slows down: 1.4 kB at 80x24, 3.5 kB at 120x40. A screen that
// changes all over costs three bytes a cell.
const byteBudget = 0.73

// A meter is the terminal with a counter of what is written to it. It is also
// the one place through which the deck writes, one write at a time, so that a
// clipboard sequence cannot end up in the middle of a frame.
type meter struct {
	Terminal

	writing sync.Mutex // held as long as the terminal takes
	ended   bool       // nothing may be written any more

	began time.Time
	mu    sync.Mutex
	sent  int64
	mark  int64     // sent at since
	since time.Time // start of the current measurement
	last  float64   // bytes a second in the one before
	pause time.Duration
	limit float64 // bytes a second
}

func newMeter(t Terminal) *meter {
	if t == nil {
		t = os.Stdout
	}
	now := time.Now()
	return &meter{Terminal: t, began: now, since: now, pause: fastest, limit: 80 * 24 * byteBudget}
}

// allow sets the budget for a screen of so many cells.
func (m *meter) allow(cells int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = max(1000, float64(cells)*byteBudget)
}

// Write writes to the terminal.
func (m *meter) Write(p []byte) (int, error) {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.write(p)
}

// finish writes p and refuses whatever comes later: it belongs to the shell.
func (m *meter) finish(p []byte) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	_, err := m.write(p)
	m.ended = true
	return err
}

func (m *meter) write(p []byte) (int, error) {
	if m.ended {
		return 0, os.ErrClosed
	}
	n, err := m.Terminal.Write(p)
	m.mu.Lock()
	m.sent += int64(n)
	m.mu.Unlock()
	return n, err
}

// rate is the bytes a second since it was asked last; it also sets the pace.
func (m *meter) rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if seconds := now.Sub(m.since).Seconds(); seconds > 0 {
		m.last = float64(m.sent-m.mark) / seconds
	}
	m.mark, m.since = m.sent, now
	switch {
	case m.last > m.limit:
		m.pause = min(slowest, m.pause*2)
	case m.last < m.limit/2:
		m.pause = max(fastest, m.pause/2)
	}
	return m.last
}

// pace is how long to let news pile up: little at first, when each result is
// awaited.
func (m *meter) pace() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.began) < settling {
		return min(m.pause, eager)
	}
	return m.pause
}
