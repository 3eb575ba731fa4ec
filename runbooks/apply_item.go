package runbooks

import (
	"slices"
	"strings"
)

// apply is the item after one of its events. What comes after the run has
// ended is late.
func (it ItemRun) apply(e Event, p Payload, over bool) (ItemRun, error) {
	if allowed, ok := from[e.Kind]; ok && !slices.Contains(allowed, it.State) {
		return it, illegal(e, "the item is %s", it.State)
	}
	if next, ok, err := it.applyAction(e, p, over); ok {
		return next, err
	}
	if next, ok, err := it.applyHold(e, p); ok {
		return next, err
	}
	if next, ok, err := it.applyEnd(e, p); ok {
		return next, err
	}
	switch p := p.(type) {
	case CheckStarted:
		return it.started(e, p)
	case CheckFinished:
		return it.finished(e, p, over)
	case ItemConfirmed:
		return it.confirmed(e, p)
	case ItemDecided:
		return it.decided(e, p)
	case ItemNotApplicable:
		return it.attempted(e, Attempt{State: NotApplicable, Reason: p.Reason})
	case ItemInterrupted:
		return it.interrupted(e, p)
	case ItemRetried:
		it.State, it.Choice = Pending, ""
		it.Ack, it.Override, it.Skip = nil, nil, nil
		return it, nil
	}
	return it.remarked(e, p)
}

func (it ItemRun) nextAttempt(e Event) error {
	if want := it.Attempts.Len() + 1; e.Attempt != want {
		return illegal(e, "attempt %d, expected %d", e.Attempt, want)
	}
	return nil
}

// begin appends an attempt; remarks about the one before no longer hold.
func (it ItemRun) begin(e Event, a Attempt) ItemRun {
	a.N, a.Actor, a.Started = e.Attempt, e.Actor, e.At
	it.State, it.Attempts = a.State, it.Attempts.with(a)
	it.Ack, it.Override, it.Skip = nil, nil, nil
	return it
}

// beginAgain begins the newest attempt afresh: what was in it is forgotten.
func (it ItemRun) beginAgain(e Event, a Attempt) ItemRun {
	a.N, a.Actor, a.Started = e.Attempt, e.Actor, e.At
	it.State, it.Attempts = a.State, it.Attempts.replaced(a)
	it.Ack, it.Override, it.Skip = nil, nil, nil
	return it
}

func (it ItemRun) started(e Event, p CheckStarted) (ItemRun, error) {
	if it.Kind != Check {
		return it, illegal(e, "the item is a %s, not a check", it.Kind)
	}
	if err := it.nextAttempt(e); err != nil {
		return it, err
	}
	return it.begin(e, Attempt{State: Running, Check: p}), nil
}

// finished takes the result of the attempt that is running. Any other result
// came too late: it is kept as evidence and changes no state.
func (it ItemRun) finished(e Event, p CheckFinished, over bool) (ItemRun, error) {
	if e.Attempt < 1 || e.Attempt > it.Attempts.Len() {
		return it, illegal(e, "attempt %d was never started", e.Attempt)
	}
	a := it.Attempts.At(e.Attempt - 1)
	a.Ended, a.Result, a.State = e.At, &p.Result, StateOf(p.Result.Level)
	if over || it.State != Running || e.Attempt != it.Attempts.Len() {
		it.Late = it.Late.with(a)
		return it, nil
	}
	return it.ended(a), nil
}

// ended puts an attempt in the place of the newest.
func (it ItemRun) ended(a Attempt) ItemRun {
	it.Attempts, it.State = it.Attempts.replaced(a), a.State
	return it
}

func (it ItemRun) interrupted(e Event, p ItemInterrupted) (ItemRun, error) {
	a, _ := it.Latest()
	if e.Attempt != a.N {
		return it, illegal(e, "attempt %d, but %d is running", e.Attempt, a.N)
	}
	a.Ended, a.State, a.Reason = e.At, Interrupted, p.Reason
	return it.ended(a), nil
}

func (it ItemRun) confirmed(e Event, p ItemConfirmed) (ItemRun, error) {
	if it.Kind != Manual && it.Kind != Confirm {
		return it, illegal(e, "the item is a %s; nobody can confirm it", it.Kind)
	}
	return it.attempted(e, Attempt{State: StateOf(p.Level), Evidence: p.Evidence, Why: p.Why})
}

func (it ItemRun) decided(e Event, p ItemDecided) (ItemRun, error) {
	if it.Kind != Decide {
		return it, illegal(e, "the item is a %s, not a decision", it.Kind)
	}
	if !slices.ContainsFunc(it.Options, func(o Option) bool { return o.Name == p.Option }) {
		return it, illegal(e, "%q is not one of its options", p.Option)
	}
	it.Choice = p.Option
	return it.attempted(e, Attempt{State: Passed})
}

// attempted is an attempt that begins and ends with the same event.
func (it ItemRun) attempted(e Event, a Attempt) (ItemRun, error) {
	if err := it.nextAttempt(e); err != nil {
		return it, err
	}
	a.Ended = e.At
	return it.begin(e, a), nil
}

// remarked applies what people say about the item.
func (it ItemRun) remarked(e Event, p Payload) (ItemRun, error) {
	remark := Remark{At: e.At, Actor: e.Actor}
	switch p := p.(type) {
	case ActionBarred:
		remark.Text = p.Reason
		it.Barred = it.Barred.with(remark)
		return it, requireText(e, "reason", p.Reason)
	case Noted:
		remark.Text = p.Text
		it.Notes = it.Notes.with(remark)
		return it, requireText(e, "note", p.Text)
	case Attached:
		it.Exhibits = with(it.Exhibits, exhibit(e, p))
		return it, requireText(e, "frame", p.Text)
	case ItemAcknowledged:
		remark.Text = p.Note
		it.Ack = &remark
		return it, nil
	case ItemSkipped:
		remark.Text, remark.Until = p.Reason, p.Until
		it.Skip, it.State = &remark, Skipped
		it.Ack, it.Override = nil, nil
		return it, requireText(e, "reason", p.Reason)
	case ItemOverridden:
		remark.Text, remark.Until = p.Reason, p.Until
		it.Override = &remark
		if !p.Until.After(e.At) {
			return it, illegal(e, "an override needs a time in the future at which it expires")
		}
		return it, requireText(e, "reason", p.Reason)
	case Signed:
		if e.Actor.LoginState == LoginUnreadable {
			return it, illegal(e, "%v", e.Actor.unreadable())
		}
		if it.State == Armed {
			return it.signedPreview(e, p)
		}
		if signedBy(it.Signatures, e.Actor) {
			return it, illegal(e, "%s has signed already", e.Actor.Identity())
		}
		remark.Text = p.Role
		it.Signatures = with(it.Signatures, remark)
		return it, nil
	}
	return it, illegal(e, "the event is not one of an item")
}

// signedPreview is a second person's word for an armed action.
func (it ItemRun) signedPreview(e Event, p Signed) (ItemRun, error) {
	a, _ := it.Latest()
	switch {
	case p.Preview != a.Armed.Hash:
		return it, illegal(e, "the preview has changed since it was looked at")
	case a.Actor.Identity() == e.Actor.Identity():
		return it, illegal(e, "%s armed it: another person signs", e.Actor.Identity())
	case signedBy(a.Signatures, e.Actor):
		return it, illegal(e, "%s has signed already", e.Actor.Identity())
	}
	return it.under(e, func(a *Attempt) {
		a.Signatures = with(a.Signatures, Remark{At: e.At, Actor: e.Actor, Text: p.Role})
	})
}

func requireText(e Event, what, text string) error {
	if strings.TrimSpace(text) == "" {
		return illegal(e, "a %s is required", what)
	}
	return nil
}
