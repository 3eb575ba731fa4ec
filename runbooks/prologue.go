package runbooks

import (
	"fmt"
	"slices"
	"time"
)

// prepare finds the run to drive and returns the events that must be recorded
// before any other: older runs expire, the run is opened, resumed or taken
// over, what was running in a session that died is interrupted. l.run becomes
// the run as those events will make it. The caller holds mu.
func (l *Local) prepare(now time.Time) ([]Event, error) {
	section, ok := l.o.Runbook.Section(l.o.Section)
	if !ok {
		return nil, fmt.Errorf("runbook %s has no section %q", l.o.Runbook.ID, l.o.Section)
	}
	l.book, l.section, l.outdated = l.o.Runbook, section, false
	period := l.period(now).Name
	if err := l.readPast(period); err != nil {
		return nil, err
	}
	l.estimates = l.past.estimates
	var events []Event
	for _, r := range l.past.over {
		expiry, err := l.expire(r, period)
		if err != nil {
			return nil, err
		}
		events = append(events, expiry...)
	}
	own, err := l.enter(l.past.joined, now)
	if err != nil {
		return nil, err
	}
	l.events, l.ahead = append(slices.Clip(l.past.events), own...), len(own)
	return append(events, own...), nil
}

func (l *Local) expire(r Run, period string) ([]Event, error) {
	events, _, err := l.interruptAll(r, "the session that ran it ended")
	if err != nil {
		return nil, err
	}
	e, err := l.event(r.ID, "", 0, RunExpired{Period: period})
	return append(events, e), err
}

// enter opens a new run or comes back to one.
func (l *Local) enter(r Run, now time.Time) ([]Event, error) {
	if r.ID == "" {
		e, err := l.opening(now)
		if err != nil {
			return nil, err
		}
		l.run, err = Run{}.Apply(e)
		return []Event{e}, err
	}
	if err := l.pin(r); err != nil {
		return nil, err
	}
	resumed, err := l.event(r.ID, "", 0, RunResumed{Version: l.o.Version})
	if err != nil {
		return nil, err
	}
	events := []Event{resumed}
	if r.Driver.Identity() != l.who.Identity() {
		taken, err := l.event(r.ID, "", 0, RunTakenOver{From: r.Driver, Reason: "the run was left"})
		if err != nil {
			return nil, err
		}
		events = append(events, taken)
	}
	interrupted, r, err := l.interruptAll(r, "the session that ran it ended")
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if r, err = r.Apply(e); err != nil {
			return nil, err
		}
	}
	l.run = r
	return append(interrupted, events...), nil
}

// pin takes the copy of the runbook that the run was opened with.
func (l *Local) pin(r Run) error {
	l.outdated = r.Opened.Hash != l.o.Runbook.Hash
	if !l.outdated {
		return nil
	}
	if l.o.Parse == nil {
		return fmt.Errorf("run %s was opened with another copy of %s", r.ID, r.Opened.Path)
	}
	book, err := l.o.Parse(r.Opened.Path, []byte(r.Opened.Source))
	if err != nil {
		return fmt.Errorf("reading the copy of %s that run %s pinned: %w", r.Opened.Path, r.ID, err)
	}
	section, ok := book.Section(l.o.Section)
	if !ok {
		return fmt.Errorf("the copy of %s that run %s pinned has no section %q", r.Opened.Path, r.ID, l.o.Section)
	}
	l.book, l.section = book, section
	return nil
}

func (l *Local) opening(now time.Time) (Event, error) {
	period := l.period(now)
	if l.freshID == "" || l.freshPeriod != period.Name { // else it keeps its name
		l.freshID, l.freshPeriod = l.newID(period.Name), period.Name
	}
	return l.event(l.freshID, "", 0, RunOpened{
		Site: l.o.Name, Runbook: l.book.ID, Title: l.section.Title, Section: l.section.ID,
		Period: period.Name, Due: period.Due, Overdue: period.Overdue,
		Hash: l.book.Hash, Source: string(l.book.Source), Path: l.book.Path,
		Version: l.o.Version, Rehearsal: l.o.Rehearsal, Steps: l.section.Steps(), Mode: l.section.Mode, Abort: l.section.Abort,
	})
}

// Steps are the section's items as a run records them.
func (s Section) Steps() []Step {
	titles := map[string]string{}
	for _, g := range s.Groups {
		titles[g.ID] = g.Title
	}
	steps := make([]Step, len(s.Items))
	for i, it := range s.Items {
		steps[i] = Step{
			ID: it.ID, Title: it.Title, Group: titles[it.Group], Kind: it.Kind, Use: it.Use, Service: it.Service,
			Needs: it.Needs, Options: it.Options, Signers: it.Signers, Danger: it.Danger, Guide: it.Guide, Undo: it.Undo, Line: it.Line,
		}
	}
	return steps
}

func (l *Local) interruptAll(r Run, reason string) ([]Event, Run, error) {
	var events []Event
	for _, it := range r.Items {
		var p Payload
		switch {
		case it.Kind == Check && it.State == Running:
			p = ItemInterrupted{Reason: reason}
		case it.Kind == Check && it.State == Cancelling:
			p = ItemCancelled{Reason: reason}
		case it.State == Armed:
			p = ActionDisarmed{Reason: reason}
		default:
			continue // a step or a watch goes on without us
		}
		e, err := l.event(r.ID, it.ID, it.Attempts.Len(), p)
		if err != nil {
			return nil, r, err
		}
		next, err := r.Apply(e)
		if err != nil {
			return nil, r, err
		}
		r, events = next, append(events, e)
	}
	return events, r, nil
}
