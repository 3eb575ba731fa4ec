package step

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	lookEvery = 20 * time.Millisecond

	// dying is how long killed processes may take to be gone. One in
	// uninterruptible sleep takes longer; then Cancel says so.
	dying = 5 * time.Second
)

// Cancel asks the step to end and waits; after grace it ends it and all that
// it started. It returns when the step is seen to be gone. If ctx ends first
// the step has been asked, and nothing more is done to it.
func (f Folder) Cancel(ctx context.Context, grace time.Duration) error {
	askErr := f.place(cancelFile, nil, false) // empty: a full disk has room for a name
	if s := f.Look(); s.State == Running && s.Card.PID > 0 {
		if err := f.proc.signal(s.Card.PID, s.Card.Start, syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			askErr = errors.Join(askErr, fmt.Errorf("signalling process %d: %w", s.Card.PID, err))
		}
	}
	if ended, err := f.awaitEnd(ctx, grace); ended || err != nil {
		return err
	}
	s := f.Look()
	if s.State != Running || s.Card.PID == 0 {
		return errors.Join(fmt.Errorf("the step does not end: it is %v", s.State), askErr)
	}
	killErr := f.kill(s.Card)
	ended, err := f.awaitEnd(ctx, dying)
	switch {
	case err != nil:
		return errors.Join(err, killErr)
	case !ended:
		return errors.Join(fmt.Errorf("the step does not end: process %d outlives SIGKILL", s.Card.PID), askErr, killErr)
	}
	return killErr
}

// awaitEnd waits until the step does not run any more.
func (f Folder) awaitEnd(ctx context.Context, patience time.Duration) (bool, error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if s := f.Look().State; s != Running && s != Unclear {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("waiting for the step to end: %w", context.Cause(ctx))
		case <-deadline.C:
			return false, nil
		case <-tick.C:
		}
	}
}

// kill ends the step's process and everything below it or in its session. The
// process is stopped first: what it starts could otherwise outrun us, and its
// orphans would be lost among everybody's when it is gone.
func (f Folder) kill(step Card) error {
	if err := f.proc.signal(step.PID, step.Start, syscall.SIGSTOP); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping process %d: %w", step.PID, err)
	}
	for end := time.Now().Add(dying); time.Now().Before(end); time.Sleep(lookEvery) {
		members, err := f.proc.below(step.PID, nil)
		if err != nil || len(members) == 0 {
			break
		}
		for _, m := range members {
			f.proc.signal(m.pid, m.start, syscall.SIGKILL) //nolint:errcheck // the next look tells
		}
	}
	err := f.proc.signal(step.PID, step.Start, syscall.SIGKILL)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing process %d: %w", step.PID, err)
	}
	return nil
}
