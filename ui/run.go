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
)

// patience is how long the terminal may take to swallow the last frame. A
// stalled SSH line blocks the renderer in a write that nothing can cancel.
const patience = 2 * time.Second

// Run shows the deck until the operator leaves, the context ends or the line
// is dropped. All three are a normal detach and give no error: the deck owns
// nothing that could be lost. The terminal is restored in every case.
func Run(ctx context.Context, d Deps) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	m := newModel(ctx, d)
	restore := remember(m.meter.Fd())
	done := make(chan error, 1)
	go func() { done <- m.start() }()
	select {
	case err := <-done:
		return detached(err)
	case <-ctx.Done():
	case <-m.leave:
	}
	select {
	case err := <-done:
		return detached(err)
	case <-time.After(patience):
		m.deps.Log.Warn("the terminal takes nothing; leaving it", "after", patience)
		restore()
		return nil
	}
}

// start runs the bubbletea program. A panic outside its loop must not leave
// the terminal raw.
func (m *Model) start() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	options := []tea.ProgramOption{
		tea.WithContext(m.ctx), tea.WithAltScreen(), tea.WithOutput(m.meter), tea.WithoutSignalHandler(),
	}
	if m.deps.Terminal != nil {
		options = append(options, tea.WithInput(m.deps.Terminal))
	}
	_, err = tea.NewProgram(m, options...).Run()
	return err
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

// remember keeps the terminal's settings for the case that bubbletea cannot
// restore them itself. Setting them does not wait for the output to drain.
func remember(fd uintptr) (restore func()) {
	state, err := term.GetState(fd)
	if err != nil {
		return func() {} // not a terminal: nothing to restore
	}
	return func() {
		// Nothing more can be done: the program ends and the shell resets.
		_ = term.SetState(fd, state)
	}
}
