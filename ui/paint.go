package ui

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// What the deck sets on the terminal, and the exact reverse: the alternate
// screen, no cursor, and pastes marked as such.
const (
	enter   = "\x1b[?1049h\x1b[?25l\x1b[?2004h"
	restore = "\x1b[m\x1b[?2004l\x1b[?25h\x1b[?1049l"
)

// breath is the least time between two paints: a key is answered within it,
// and keys held down do not cost a paint each.
const breath = 8 * time.Millisecond

// A painter owns the output of the terminal. Screens are handed to it and it
// sends what is new of the latest one. While nothing is handed over it sleeps;
// bubbletea's renderer would wake up sixty times a second. A terminal that
// takes nothing holds up the painter and nobody else.
type painter struct {
	out *meter
	log *slog.Logger

	next  atomic.Pointer[frame]
	due   chan struct{} // capacity 1: "next is new"
	quit  chan struct{}
	ended chan struct{} // closed when the terminal is as it was
	err   error         // why it ended by itself; read after ended

	canvas canvas
}

func newPainter(out *meter, log *slog.Logger) *painter {
	return &painter{out: out, log: log, due: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
}

// show hands over a screen. It never blocks.
func (p *painter) show(f frame) {
	p.next.Store(&f)
	select {
	case p.due <- struct{}{}:
	default: // it has yet to look, and will find this one
	}
}

// run paints until stop is called. It undoes what it did to the terminal in
// any case, after a panic too.
func (p *painter) run() {
	defer close(p.ended)
	defer p.leave()
	p.send([]byte(enter))
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.due:
			p.paint()
		}
		pause.Reset(breath)
		select {
		case <-p.quit:
			return
		case <-pause.C:
		}
	}
}

// paint sends what the terminal lacks of the newest screen, in one write.
func (p *painter) paint() {
	if f := p.next.Load(); f != nil {
		p.send(p.canvas.draw(*f))
	}
}

// send writes to the terminal. What fails shows in the log; whether the
// terminal is gone is found out by reading from it.
func (p *painter) send(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := p.out.Write(b); err != nil {
		p.log.Warn("writing to the terminal failed", "error", err)
	}
}

func (p *painter) leave() {
	if r := recover(); r != nil {
		p.log.Error("painter panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		p.err = fmt.Errorf("internal error, the terminal has been restored: %v", r)
	}
	p.giveBack()
}

// giveBack leaves the terminal's screen as it was found; nothing is drawn any more.
func (p *painter) giveBack() {
	if err := p.out.finish([]byte(restore)); err != nil {
		p.log.Warn("restoring the terminal failed", "error", err)
	}
}

// stop ends run, which then closes ended. It must be called once.
func (p *painter) stop() { close(p.quit) }
