package ui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/term"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// patience is how long the deck may take to end. A stalled SSH line blocks the
// painter in a write that nothing can cancel.
const patience = 2 * time.Second

// Run shows the deck until the operator leaves, the context ends or the line
// is dropped. All three are a normal detach and give no error: the deck owns
// nothing that could be lost. The terminal is restored in every case.
//
// bubbletea reads the keys and runs the loop. The terminal's modes, its size
// and what is drawn on it are ours: with its renderer off, bubbletea leaves
// all three alone.
func Run(ctx context.Context, d Deps) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	keys, unraw, err := openKeys(d.Terminal)
	if err != nil {
		return fmt.Errorf("showing the deck: %w", err)
	}
	defer unraw()
	defer crash.AtEnd(unraw)()
	gone, release, err := hungUp(keys.Fd())
	if err != nil {
		return fmt.Errorf("showing the deck: %w", err)
	}
	defer release()
	m := newModel(ctx, d)
	defer crash.AtEnd(m.painter.giveBack)()
	go func() { defer crash.Recover(); m.painter.run() }()
	done := make(chan struct{})
	var result error // of the program; read after done
	go func() {
		defer close(done)
		defer crash.Recover()
		result = m.start(keys)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	case <-gone:
		stop()
	case <-m.leave:
	case <-m.painter.ended:
		stop() // it can only have panicked
	}
	m.painter.stop()
	if !closes(m.painter.ended) {
		m.deps.Log.Warn("the terminal takes nothing; leaving it", "after", patience)
	} else if m.painter.err != nil {
		return m.painter.err
	}
	if !closes(done) {
		m.deps.Log.Warn("the deck does not end; leaving it", "after", patience)
		return nil
	}
	return detached(result)
}

// closes waits for a channel to be closed, but not for ever.
func closes(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-time.After(patience):
		return false
	}
}

// start runs the bubbletea program. A panic outside its loop must not leave
// the terminal raw.
func (m *Model) start(keys Terminal) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	if size, ok := m.measureTerminal(); ok {
		m.Update(size)
	}
	ctx, stop := context.WithCancel(m.ctx)
	program := tea.NewProgram(m, tea.WithInput(keys), tea.WithoutRenderer(), tea.WithoutSignalHandler())
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		defer crash.Recover()
		m.follow(ctx, program, resized)
	}()
	defer func() { stop(); <-followed }()
	_, err = program.Run()
	return err
}

// follow tells the deck of each new size of the terminal, and to end when ctx
// does. bubbletea, given the context, would close the keyboard under its reader.
func (m *Model) follow(ctx context.Context, program *tea.Program, resized <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			program.Quit()
			return
		case <-resized:
		}
		if size, ok := m.measureTerminal(); ok {
			program.Send(size)
		}
	}
}

func (m *Model) measureTerminal() (tea.WindowSizeMsg, bool) {
	w, h, err := term.GetSize(m.meter.Fd())
	if err != nil {
		m.deps.Log.Warn("the terminal does not tell its size", "error", err)
		return tea.WindowSizeMsg{}, false
	}
	return tea.WindowSizeMsg{Width: w, Height: h}, true
}

// openKeys makes the terminal hand over every key as it is pressed: t, else
// standard input, else, if that is redirected, the process's own terminal.
// Restoring does not wait for the output to drain.
func openKeys(t Terminal) (keys Terminal, restore func(), err error) {
	keys = t
	release := func() {}
	if keys == nil {
		keys = os.Stdin
		if !term.IsTerminal(os.Stdin.Fd()) {
			tty, err := os.Open("/dev/tty")
			if err != nil {
				return nil, nil, fmt.Errorf("reading keys: %w", err)
			}
			keys = tty
			release = func() { _ = tty.Close() } // read from only: nothing is lost
		}
	}
	before, err := term.MakeRaw(keys.Fd())
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("entering raw mode: %w", err)
	}
	return keys, func() {
		// Nothing more can be done: the program ends and the shell resets.
		_ = term.Restore(keys.Fd(), before)
		release()
	}, nil
}

// detached tells a normal end from an error.
func detached(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("internal error, the terminal has been restored: %w", err)
	case errors.Is(err, context.Canceled), errors.Is(err, tea.ErrInterrupted), errors.Is(err, syscall.EIO):
		return nil // told to stop, ctrl-c, or the terminal is gone
	}
	return fmt.Errorf("showing the deck: %w", err)
}
