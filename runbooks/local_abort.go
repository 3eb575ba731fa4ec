package runbooks

import (
	"errors"
	"fmt"
	"strings"
)

// Abort gives the run up. Checks and holds are stopped. Where something was
// begun, the run is not over yet: what the section lists for that and what
// undoes comes first, and the run ends when all of it is decided.
func (s Seat) Abort(reason string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	l := s.l
	if strings.TrimSpace(reason) == "" {
		return errors.New("a reason is required")
	}
	if l.run.State == Aborting {
		return l.stillToLeave()
	}
	clear(l.wanted)
	if err := l.interruptReaders("the run was aborted"); err != nil {
		return err
	}
	if !l.run.Touched() {
		return l.append("", 0, RunAborted{Reason: l.line(reason)})
	}
	return l.append("", 0, RunAborting{Reason: l.line(reason)})
}

// interruptReaders stops what only looks: checks and holds. Actions go on;
// stopping one is a word of its own.
func (l *Local) interruptReaders(reason string) error {
	for _, it := range l.run.Items {
		cancel, running := l.running[it.ID]
		if !running || it.Kind == Action || it.State != Running {
			continue
		}
		if err := l.append(it.ID, it.Attempts.Len(), ItemInterrupted{Reason: reason}); err != nil {
			return err
		}
		cancel()
	}
	for _, it := range l.run.Items {
		if it.State != Armed {
			continue
		}
		if err := l.append(it.ID, it.Attempts.Len(), ActionDisarmed{Reason: reason}); err != nil {
			return err
		}
	}
	return nil
}

// Touched reports whether anything was begun that changes the system.
func (r Run) Touched() bool {
	for _, it := range r.Items {
		if it.Begun() {
			return true
		}
	}
	return false
}

// WaysOut are the items that leaving the run offers and that nobody has
// decided, what reopens before what tells.
func (r Run) WaysOut() []ItemRun {
	var undo, listed []ItemRun
	for _, it := range r.Items {
		switch {
		case !r.LeadsOut(it.ID) || it.State.Decided() && it.State != Failed && it.State != Errored && it.State != Cancelled:
		case r.undoes(it.ID):
			undo = append(undo, it)
		default:
			listed = append(listed, it)
		}
	}
	return append(undo, listed...)
}

// undoes reports whether the item undoes something that was begun.
func (r Run) undoes(item string) bool {
	for _, it := range r.Items {
		if it.Undo == item && it.Begun() && it.State != RolledBack {
			return true
		}
	}
	return false
}

// stillToLeave says what holds up the end of a run that is being aborted.
func (l *Local) stillToLeave() error {
	for _, it := range l.run.Items {
		if it.State == Running || it.State == Cancelling {
			return fmt.Errorf("%s is %s: wait for it, or cancel it", it.ID, it.State)
		}
	}
	if left := l.run.WaysOut(); len(left) > 0 {
		return fmt.Errorf("%s comes first: do it, or skip it with a reason", left[0].ID)
	}
	l.leaveIfOut()
	return l.broken
}

// leaveIfOut ends a run that is being aborted when nothing is left to do.
func (l *Local) leaveIfOut() {
	if l.run.State != Aborting || l.broken != nil || len(l.run.WaysOut()) > 0 {
		return
	}
	for _, it := range l.run.Items {
		if it.State.Busy() {
			return
		}
	}
	l.mustAppend("", 0, RunAborted{Reason: l.run.Aborting.Text})
}
