package runbooks

import (
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// beginDeed writes the intent down before anything is changed, and begins.
// The order of the lines is the promise; see ActionIntended.
func (l *Local) beginDeed(item string, attempt int, armed ActionArmed, check checks.Check) error {
	deeds := l.o.Actions.Deeds
	deed := Deed{
		Token: l.o.Actions.NewToken(), Run: l.run.ID, Item: item, Attempt: attempt, Actor: l.who,
		Check: check, Preview: armed.Preview, Deadline: l.o.Now().Add(armed.Timeout), Site: armed.Site,
	}
	if it, _ := l.section.Item(item); check.Module.Bounded {
		if opening, ok := l.openingFor(it); ok && opening.End.Before(deed.Deadline) {
			deed.Deadline = opening.End
		}
	}
	step, err := deeds.Prepare(deed)
	if err != nil {
		return l.undone(item, attempt, fmt.Errorf("preparing the step: %w", err))
	}
	intent := ActionIntended{Token: deed.Token, Step: step, Version: l.o.Version, Crash: armed.Crash, Deadline: deed.Deadline}
	if err := l.append(item, attempt, intent); err != nil {
		return err // nothing was begun, and nothing can be recorded
	}
	crash.Point("after-intent")
	started, err := deeds.Start(step)
	switch {
	case errors.Is(err, ErrMayHaveBegun): // looking at it tells, now or later
		l.watchDeed(item, attempt, step, l.who)
		return nil
	case err != nil:
		return l.neverBegan(item, attempt, err)
	}
	crash.Point("after-spawn")
	if err := l.append(item, attempt, started); err != nil {
		return err // the step goes on; its result file will tell
	}
	crash.Point("after-started")
	l.watchDeed(item, attempt, step, l.who)
	return nil
}

// undone takes an action back of which nothing was begun.
func (l *Local) undone(item string, attempt int, cause error) error {
	if err := l.append(item, attempt, ActionDisarmed{Reason: l.line(cause.Error())}); err != nil {
		return err
	}
	return cause
}

// neverBegan records that the step could not be started: it is known that
// nothing was done.
func (l *Local) neverBegan(item string, attempt int, cause error) error {
	res := checks.Result{ID: item, Level: checks.Unknown, At: l.o.Now(), Err: l.line("the step could not be started: " + cause.Error()), Class: checks.Internal}
	if err := l.append(item, attempt, ActionFinished{Result: res, Untouched: true}); err != nil {
		return err
	}
	if err := l.append(item, attempt, ActionVerified{Result: res}); err != nil {
		return err
	}
	return cause
}

// watchDeed follows a step until it has a result or is gone. It ends with the
// session; the step does not.
func (l *Local) watchDeed(item string, attempt int, step string, who Actor) {
	l.running[item] = func() {} // what stops a deed is Deeds.Cancel
	l.tasks.Go(func() {
		defer crash.Recover()
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			status := l.o.Actions.Deeds.Look(step)
			switch status.State {
			case DeedFinished:
				l.outcome(item, attempt, who, status.Outcome)
				return
			case DeedGone, DeedNotStarted:
				l.lost(item, attempt, who, status)
				return
			}
			select {
			case <-l.ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// outcome records what the step reported, looks from outside, and records that.
func (l *Local) outcome(item string, attempt int, who Actor, outcome ActionFinished) {
	if !l.record(who, item, attempt, outcome) {
		return
	}
	crash.Point("after-outcome")
	l.verify(item, attempt, who)
}

// verify looks from outside at an action that has an outcome.
func (l *Local) verify(item string, attempt int, who Actor) {
	seen, ok := l.look(item)
	if !ok || l.ctx.Err() != nil {
		return // the next session looks
	}
	if l.nobodyKnows(item, seen) {
		l.unknown(item, attempt, who, seen)
		return
	}
	if !l.record(who, item, attempt, ActionVerified{Result: seen}) {
		return
	}
	crash.Point("after-verified")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = who
	delete(l.running, item)
	l.settle(item)
}

// nobodyKnows reports whether neither the process that did the item's action
// nor the look from outside can say what was done. Such an action may not
// simply be tried again.
func (l *Local) nobodyKnows(item string, seen checks.Result) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	run, _ := l.run.Item(item)
	a, _ := run.Latest()
	return a.Outcome != nil && !a.Outcome.Untouched && !a.Outcome.Cancelled &&
		a.Outcome.Result.Level == checks.Unknown && seen.Level == checks.Unknown
}

// unknown records that an action ended and what it did is not known, and what
// was seen of it.
func (l *Local) unknown(item string, attempt int, who Actor, seen checks.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = who
	delete(l.running, item)
	if l.broken != nil {
		return
	}
	run, _ := l.run.Item(item)
	a, _ := run.Latest()
	why := OutcomeUnknown
	if a.Outcome != nil && a.Outcome.Result.Err != "" {
		why += "; " + a.Outcome.Result.Err
	}
	l.mustAppend(item, attempt, ItemInterrupted{Reason: l.line(why)})
	if l.broken == nil {
		l.mustAppend(item, attempt, ItemProbed{Result: seen})
	}
	l.settle(item)
}

// record appends where nobody is there to be told.
func (l *Local) record(who Actor, item string, attempt int, p Payload) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = who
	if l.broken != nil {
		return false
	}
	l.mustAppend(item, attempt, p)
	return l.broken == nil
}

// settle goes on with what the end of an action opens, and marks what it
// undid. The caller holds mu.
func (l *Local) settle(item string) {
	done, _ := l.run.Item(item)
	if done.State == Passed || done.State == Warned {
		for _, it := range l.run.Items {
			if it.Undo != item || !it.Begun() || it.State != Failed && it.State != Errored && it.State != Cancelled {
				continue
			}
			l.mustAppend(it.ID, it.Attempts.Len(), ItemRolledBack{By: item})
		}
	}
	l.advance() //nolint:errcheck // nobody is there to be told
}

// look asks the module from outside what came of the item's newest attempt.
func (l *Local) look(item string) (checks.Result, bool) {
	l.mu.Lock()
	it, known := l.section.Item(item)
	run, _ := l.run.Item(item)
	a, tried := run.Latest()
	if !known || !tried || a.Intent == nil || a.Armed == nil {
		l.mu.Unlock()
		return checks.Result{}, false
	}
	check, err := Resolve(it, l.o.Site, l.variables)
	l.mu.Unlock()
	if err != nil {
		return checks.Result{ID: item, Level: checks.Unknown, At: l.o.Now(), Err: l.line(err.Error()), Class: checks.ClassOf(err)}, true
	}
	check.Timeout = probeTimeout
	own := checks.Own{Token: a.Intent.Token, Before: a.Armed.Preview.Facts}
	own.Dir = l.o.Actions.Deeds.Scratch(a.Intent.Step)
	verify := checks.Rule{Text: a.Armed.Verify, Source: it.Check.Origin}
	return l.o.Actions.Prober.Probe(l.ctx, check, own, verify), true
}

// lost records that an action ended and nobody can say how, and looks.
func (l *Local) lost(item string, attempt int, who Actor, status DeedStatus) {
	why := OutcomeUnknown
	if status.Why != "" {
		why += "; " + status.Why
	}
	if status.State == DeedNotStarted {
		why += "; its step was never started"
	}
	if !l.record(who, item, attempt, ItemInterrupted{Reason: why}) {
		return
	}
	l.resolveByProbe(item, attempt, who)
}

// probeLater looks at an interrupted action without making anybody wait. The
// caller holds mu.
func (l *Local) probeLater(item string, attempt int, who Actor) {
	l.tasks.Go(func() { defer crash.Recover(); l.resolveByProbe(item, attempt, who) })
}

// resolveByProbe resolves an interrupted action if the look from outside can
// tell, and keeps what was seen if it cannot.
func (l *Local) resolveByProbe(item string, attempt int, who Actor) {
	seen, ok := l.look(item)
	if !ok || l.ctx.Err() != nil {
		return
	}
	var p Payload = ItemProbed{Result: seen}
	if f, told := seen.Fact(checks.DoneFact.Name, ""); told && seen.Level != checks.Unknown && !stillRunning(seen) {
		level := checks.Crit
		if f.Bool() && seen.Level == checks.OK {
			level = checks.OK
		}
		p = ItemResolved{Level: level, Probe: &seen}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = who
	delete(l.running, item)
	if run, _ := l.run.Item(item); l.broken != nil || run.State != Interrupted || run.Attempts.Len() != attempt {
		return
	}
	l.mustAppend(item, attempt, p)
	l.settle(item)
}

// stillRunning: a server may work on at what its client died over.
func stillRunning(seen checks.Result) bool {
	f, ok := seen.Fact("running", "")
	return ok && f.Bool()
}

// adopt goes on with what a session before this one left running: steps that
// live on or have a result, and watches whose time is not over. The caller
// holds mu and has recorded the prologue.
func (l *Local) adopt() {
	for _, it := range l.run.Items {
		a, ok := it.Latest()
		if !ok || it.State != Running && it.State != Cancelling && it.State != Interrupted {
			continue
		}
		switch item, known := l.section.Item(it.ID); {
		case it.Kind == Hold && a.Hold != nil && known && it.State == Running:
			l.watchHold(item, a.N, a.Actor)
		case it.Kind == Hold && it.State == Cancelling:
			l.mustAppend(it.ID, a.N, ItemCancelled{Reason: a.Reason})
		case it.Kind != Action || l.o.Actions == nil || a.Intent == nil:
		case it.State == Interrupted && a.Verified == nil:
			l.probeLater(it.ID, a.N, a.Actor)
		case it.State == Interrupted:
		case a.Outcome != nil:
			who := a.Actor
			l.running[it.ID] = func() {}
			l.tasks.Go(func() { defer crash.Recover(); l.verify(it.ID, a.N, who) })
		default:
			l.watchDeed(it.ID, a.N, a.Intent.Step, a.Actor)
			if it.State == Cancelling { // who asked may have died before it was told
				l.endDeed(a.Intent.Step)
			}
		}
	}
}

// Unsettled reports whether the run has something that goes on without
// anybody: a step, a watch.
func (r Run) Unsettled() bool {
	for _, it := range r.Items {
		if !r.State.Ended() && (it.Kind == Action || it.Kind == Hold) && (it.State == Running || it.State == Cancelling) {
			return true
		}
	}
	return false
}

// Adopt goes on with what was left running, without waiting for anybody to
// come: the run is resumed in the journal if there is such a thing.
func (l *Local) Adopt() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live || !l.run.Unsettled() {
		return nil
	}
	l.who = l.run.Driver
	return l.begin()
}
