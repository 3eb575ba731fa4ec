package runbooks

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
)

// applyAction is the item after an event of an action. ok is false if the
// event is not one.
func (it ItemRun) applyAction(e Event, p Payload, over bool) (_ ItemRun, ok bool, err error) {
	switch p := p.(type) {
	case ActionArmed:
		it, err = it.armed(e, p)
	case ActionRefused:
		it, err = it.attempted(e, Attempt{State: StateOf(p.Result.Level), Result: &p.Result, Reason: p.Result.Err})
	case ActionDisarmed:
		it, err = it.disarmed(e, p)
	case ActionConfirmed:
		it, err = it.confirmedAction(e, p)
	case ActionClaimed:
		it, err = it.claimed(e, p)
	case ActionIntended:
		it, err = it.intended(e, p)
	case ActionStarted:
		it, err = it.under(e, func(a *Attempt) { a.Process = &p })
	case ActionFinished:
		it, err = it.outcome(e, p, over)
	case ActionVerified:
		it, err = it.verified(e, p)
	default:
		return it, false, nil
	}
	return it, true, err
}

// armed begins an attempt, or replaces the preview of one that is armed.
func (it ItemRun) armed(e Event, p ActionArmed) (ItemRun, error) {
	if it.Kind != Action {
		return it, illegal(e, "the item is a %s, not an action", it.Kind)
	}
	if it.State == Armed {
		if e.Attempt != it.Attempts.Len() {
			return it, illegal(e, "attempt %d, but %d is armed", e.Attempt, it.Attempts.Len())
		}
		return it.beginAgain(e, Attempt{State: Armed, Armed: &p}), nil
	}
	if err := it.nextAttempt(e); err != nil {
		return it, err
	}
	return it.begin(e, Attempt{State: Armed, Armed: &p}), nil
}

func (it ItemRun) disarmed(e Event, p ActionDisarmed) (ItemRun, error) {
	it, err := it.under(e, func(a *Attempt) { a.State, a.Ended, a.Reason = Cancelled, e.At, p.Reason })
	it.State = Pending
	return it, err
}

// confirmedAction holds the event to the rules that a person's word has to
// meet, so that no caller can forget them.
func (it ItemRun) confirmedAction(e Event, p ActionConfirmed) (ItemRun, error) {
	if err := it.Confirmable(e.Actor, p.Typed, p.Preview); err != nil {
		return it, illegal(e, "%v", err)
	}
	return it.under(e, func(a *Attempt) { a.Typed, a.Confirmed = p.Typed, &Remark{At: e.At, Actor: e.Actor, Text: p.Typed} })
}

// Errors of a confirmation that the screen words itself.
var (
	// ErrTyped says that the target's name was not typed, or wrongly.
	ErrTyped = errors.New("the name that was typed is not the target's")
	// ErrSigners says that other people must sign first.
	ErrSigners = errors.New("a second person must sign first")
)

// Confirmable is nil if this actor may now confirm the armed action, having
// typed that and seen the preview of that hash.
func (it ItemRun) Confirmable(who Actor, typed string, seen Hash) error {
	a, ok := it.Latest()
	switch {
	case !ok || it.State != Armed || a.Armed == nil:
		return fmt.Errorf("the item is %s, not armed", it.State)
	case a.Confirmed != nil:
		return fmt.Errorf("%s has confirmed it already", a.Confirmed.Actor)
	case seen != a.Armed.Hash:
		return errors.New("the preview has changed since it was looked at")
	case a.Armed.Danger >= 2 && typed != a.Armed.Preview.Target:
		return fmt.Errorf("%w: type %s", ErrTyped, a.Armed.Preview.Target)
	}
	if a.Armed.Signers > 0 && who.LoginState == LoginUnreadable {
		return fmt.Errorf("%w, and one of the two must be who begins it: %w", ErrSigners, who.unreadable())
	}
	if missing := a.Armed.Signers - len(others(a.Signatures, who)); missing > 0 {
		return fmt.Errorf("%w: another login identity than %s signs the preview, %d missing", ErrSigners, who.Identity(), missing)
	}
	return nil
}

// others are the signatures of other people than the actor, one of each: the
// kernel vouches for every two of them, and the actor, being two people.
func others(list []Remark, who Actor) []Remark {
	var found []Remark
	for _, r := range list {
		samePerson := func(earlier Remark) bool { return !r.Actor.Differs(earlier.Actor) }
		if r.Actor.Differs(who) && !slices.ContainsFunc(found, samePerson) {
			found = append(found, r)
		}
	}
	return found
}

func (it ItemRun) claimed(e Event, p ActionClaimed) (ItemRun, error) {
	a, _ := it.Latest()
	if a.Confirmed == nil {
		return it, illegal(e, "nobody has confirmed it")
	}
	return it.under(e, func(a *Attempt) { a.Claim = &p })
}

// intended is the point of no return: from here on the item is running,
// whatever becomes of us.
func (it ItemRun) intended(e Event, p ActionIntended) (ItemRun, error) {
	a, _ := it.Latest()
	if a.Claim == nil {
		return it, illegal(e, "its targets were not claimed")
	}
	it.begun = true
	return it.under(e, func(a *Attempt) { a.Intent, a.State = &p, Running })
}

// outcome takes the step's result. It decides nothing before the look from
// outside; after a decision it is late evidence.
func (it ItemRun) outcome(e Event, p ActionFinished, over bool) (ItemRun, error) {
	if e.Attempt < 1 || e.Attempt > it.Attempts.Len() {
		return it, illegal(e, "attempt %d was never begun", e.Attempt)
	}
	a := it.Attempts.At(e.Attempt - 1)
	if a.Intent == nil {
		return it, illegal(e, "attempt %d was never intended", e.Attempt)
	}
	current := e.Attempt == it.Attempts.Len() && (it.State == Running || it.State == Cancelling) && a.Outcome == nil && !over
	a.Outcome, a.Result = &p, &p.Result
	if !current {
		it.Late = it.Late.with(a)
		return it, nil
	}
	return it.ended(a), nil
}

// verified ends the attempt: with the worse of what the step reported and what
// is seen from outside; a cancelled one stays cancelled, with what was seen.
func (it ItemRun) verified(e Event, p ActionVerified) (ItemRun, error) {
	a, _ := it.Latest()
	if a.Outcome == nil {
		return it, illegal(e, "there is no outcome yet")
	}
	return it.under(e, func(a *Attempt) {
		a.Verified, a.Ended = &p.Result, e.At
		level := a.Outcome.Result.Level
		if p.Result.Level.Worse(level) {
			level = p.Result.Level
		}
		a.State = StateOf(level)
		if a.Outcome.Cancelled {
			a.State, a.Reason = Cancelled, cancelledWith(p.Result)
		}
	})
}

func cancelledWith(seen checks.Result) string {
	switch seen.Level {
	case checks.OK:
		return "cancelled; seen from outside, it was done all the same"
	case checks.Crit:
		return "cancelled; seen from outside, it was not done"
	}
	return "cancelled; it cannot be told from outside what was done: " + seen.Err
}

// under changes the newest attempt, which the event must be about.
func (it ItemRun) under(e Event, change func(*Attempt)) (ItemRun, error) {
	a, ok := it.Latest()
	if !ok || e.Attempt != a.N {
		return it, illegal(e, "attempt %d, but %d is the newest", e.Attempt, a.N)
	}
	change(&a)
	return it.ended(a), nil
}

// applyEnd is the item after an event that ends or explains an attempt of any
// kind. ok is false if the event is not one.
func (it ItemRun) applyEnd(e Event, p Payload) (_ ItemRun, ok bool, err error) {
	switch p := p.(type) {
	case ItemCancelling:
		it, err = it.under(e, func(a *Attempt) { a.State, a.Reason = Cancelling, p.Reason })
	case ItemCancelled:
		it, err = it.cancelled(e, p)
	case ItemResolved:
		it, err = it.resolved(e, p)
	case ItemProbed:
		it, err = it.under(e, func(a *Attempt) { a.Verified = &p.Result })
	case ItemRolledBack:
		it, err = it.under(e, func(a *Attempt) { a.State, a.Reason = RolledBack, "undone by "+p.By })
	default:
		return it, false, nil
	}
	return it, true, err
}

func (it ItemRun) cancelled(e Event, p ItemCancelled) (ItemRun, error) {
	if it.Kind == Action {
		return it, illegal(e, "an action that was cancelled has an outcome")
	}
	return it.under(e, func(a *Attempt) { a.State, a.Ended, a.Reason = Cancelled, e.At, p.Reason })
}

func (it ItemRun) resolved(e Event, p ItemResolved) (ItemRun, error) {
	if p.Probe == nil && strings.TrimSpace(p.Evidence) == "" {
		return it, illegal(e, "a probe or a person's evidence is required")
	}
	if p.Level != checks.OK && p.Level != checks.Warn && p.Level != checks.Crit {
		return it, illegal(e, "it is resolved as done or as not done, not as %s", p.Level)
	}
	return it.under(e, func(a *Attempt) {
		a.State, a.Ended, a.Verified = StateOf(p.Level), e.At, p.Probe
		a.Resolved = &Remark{At: e.At, Actor: e.Actor, Text: p.Evidence}
		if p.Probe != nil {
			a.Resolved.Text = "the look from outside: " + p.Probe.Note
		}
	})
}
