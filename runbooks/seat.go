package runbooks

import (
	"fmt"
	"time"
)

// A Seat is one person's place at a run: what is done through it is recorded
// as theirs. Many may look and speak; one drives.
type Seat struct {
	l   *Local
	who Actor
}

// As is a place at the run for somebody.
func (l *Local) As(who Actor) Seat { return Seat{l, who} }

// You is whose place it is.
func (s Seat) You() Actor { return s.who }

// DrivenBy is the driver of the run, if that is somebody else and at the run
// now; ok is false if the seat is free.
func DrivenBy(run Run, you Actor, present []Actor) (driver Actor, ok bool) {
	if run.Driver.Identity() == you.Identity() {
		return Actor{}, false
	}
	for _, who := range present {
		if who.Identity() == run.Driver.Identity() {
			return run.Driver, true
		}
	}
	return Actor{}, false
}

// A DrivenError says that somebody else is at the run and drives it.
type DrivenError struct {
	Driver Actor
	Since  time.Time // of the newest event
}

// Error names the driver.
func (e *DrivenError) Error() string {
	text := fmt.Sprintf("%s drives this run", e.Driver)
	if e.Driver.TTY != "" {
		text += " on " + e.Driver.TTY
	}
	return text + ", last at " + e.Since.Format(time.TimeOnly) + ": take it over, or sign and note only"
}

// speak locks the run for one thing that anybody may say.
func (s Seat) speak() (unlock func(), err error) {
	s.l.mu.Lock()
	s.l.who = s.who
	return s.l.mu.Unlock, s.l.accepts()
}

// drive locks the run for one thing that only its driver does. A driver who is
// not there any more has left the seat to whoever takes it.
func (s Seat) drive() (unlock func(), err error) {
	unlock, err = s.speak()
	l := s.l
	if err != nil || !l.live || l.run.Driver.Identity() == s.who.Identity() {
		return unlock, err
	}
	if l.o.Present != nil && l.o.Present(l.run.Driver) {
		return unlock, &DrivenError{l.run.Driver, l.run.Last}
	}
	return unlock, l.append("", 0, RunTakenOver{From: l.run.Driver, Reason: "the run was left"})
}

// TakeOver makes this actor the driver, whoever is there.
func (s Seat) TakeOver(reason string) error {
	unlock, err := s.speak()
	defer unlock()
	if err != nil {
		return err
	}
	if s.l.live && s.l.run.Driver.Identity() == s.who.Identity() {
		return fmt.Errorf("%s drives already", s.who.Identity())
	}
	return s.l.append("", 0, RunTakenOver{From: s.l.run.Driver, Reason: s.l.line(reason)})
}

// ClockMoved records that the wall clock was set, in a run that is recorded.
func (l *Local) ClockMoved(by time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live || l.run.State.Ended() || l.accepts() != nil {
		return nil
	}
	l.who = l.run.Driver
	return l.append("", 0, ClockJumped{By: by})
}

// OverrideWindow lets actions begin outside the window until some time.
func (s Seat) OverrideWindow(reason string, until time.Time) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	return s.l.append("", 0, WindowOverridden{Reason: s.l.line(reason), Until: until})
}
