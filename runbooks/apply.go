package runbooks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// again are the states in which a new attempt at what changes nothing may
// begin. It is never written to.
var again = []State{Pending, Passed, Warned, Failed, Errored, Interrupted, Skipped, NotApplicable, Cancelled, RolledBack}

// from lists the item states in which an event of an item may happen. What is
// not listed is illegal. It is never written to.
var from = map[EventKind][]State{
	CheckStarted{}.Kind():      again,
	ItemConfirmed{}.Kind():     {Pending},
	ItemDecided{}.Kind():       {Pending},
	ItemSkipped{}.Kind():       {Pending, Warned, Failed, Errored, Interrupted, Cancelled},
	ItemAcknowledged{}.Kind():  {Warned, Failed, Errored},
	ItemOverridden{}.Kind():    {Failed},
	ItemRetried{}.Kind():       {Passed, Warned, Failed, Errored, Interrupted, Skipped, NotApplicable, Cancelled, RolledBack},
	ItemNotApplicable{}.Kind(): again,
	ItemInterrupted{}.Kind():   {Running, Cancelling},

	ActionArmed{}.Kind():     {Pending, Armed, Passed, Warned, Failed, Errored, Skipped, NotApplicable, Cancelled, RolledBack},
	ActionRefused{}.Kind():   {Pending, Passed, Warned, Failed, Errored, Skipped, NotApplicable, Cancelled, RolledBack},
	ActionDisarmed{}.Kind():  {Armed},
	ActionConfirmed{}.Kind(): {Armed},
	ActionClaimed{}.Kind():   {Armed},
	ActionIntended{}.Kind():  {Armed},
	ActionStarted{}.Kind():   {Running, Cancelling},
	ActionVerified{}.Kind():  {Running, Cancelling},
	ItemCancelling{}.Kind():  {Running},
	ItemCancelled{}.Kind():   {Running, Cancelling},
	ItemResolved{}.Kind():    {Interrupted},
	ItemProbed{}.Kind():      {Interrupted},
	ItemRolledBack{}.Kind():  {Failed, Errored, Cancelled},
	HoldStarted{}.Kind():     again,
	HoldSampled{}.Kind():     {Running, Cancelling},
	HoldEnded{}.Kind():       {Running},

	Signed{}.Kind(): {Armed, Passed, Warned, Failed, Errored, Skipped, NotApplicable, Cancelled, RolledBack},
}

// An IllegalError says why an event does not fit the run it is for.
type IllegalError struct {
	Run, Item string
	Kind      EventKind
	Why       string
}

// Error names the event, its place and the reason.
func (e *IllegalError) Error() string {
	where := "run " + e.Run
	if e.Item != "" {
		where = "item " + e.Item
	}
	return fmt.Sprintf("%s on %s: %s", e.Kind, where, e.Why)
}

func illegal(e Event, format string, a ...any) error {
	return &IllegalError{e.Run, e.Item, e.Kind, fmt.Sprintf(format, a...)}
}

// Apply is the run after the event. An event that does not fit, because its
// kind is unknown, its item is not there or the transition is illegal, leaves
// the run as it was and is refused with an *IllegalError.
func (r Run) Apply(e Event) (Run, error) {
	p, err := e.Payload()
	if err != nil {
		return r, err
	}
	return r.applied(e, p)
}

// applied is Apply with the event's content decoded.
func (r Run) applied(e Event, p Payload) (Run, error) {
	if err := r.fits(e, p); err != nil {
		return r, err
	}
	next, err := r.advance(e, p)
	if err != nil {
		return r, err
	}
	next.Seq, next.Last = max(r.Seq, e.Seq), e.At
	return next.stamped(e), nil
}

// fits checks what holds for every event, before any content is looked at.
func (r Run) fits(e Event, p Payload) error {
	if _, opens := p.(RunOpened); opens != (r.ID == "") {
		if opens {
			return illegal(e, "the run is open already")
		}
		return illegal(e, "the run was never opened")
	}
	if r.ID != "" && e.Run != r.ID {
		return illegal(e, "the event belongs to another run")
	}
	if r.State.Ended() && r.ID != "" && !allowedAfterEnd(p) {
		return illegal(e, "the run is %s", r.State)
	}
	return nil
}

// allowedAfterEnd are the events that a finished run still takes: remarks, and
// results that were under way when it ended.
func allowedAfterEnd(p Payload) bool {
	switch p.(type) {
	case Noted, Attached, CheckFinished, ActionFinished:
		return true
	}
	return false
}

func (r Run) advance(e Event, p Payload) (Run, error) {
	switch p := p.(type) {
	case RunOpened:
		return opened(e, p)
	case RunSuspended:
		return r.become(e, Suspended, Open, Aborting)
	case RunResumed:
		return r.resumed(e)
	case RunAborting:
		return r.aborting(e, p)
	case WindowOverridden:
		return r.windowOverridden(e, p)
	case ClockJumped:
		return r.clockMoved(p.By), nil
	case DriverLeft:
		return r.driverLeft(e, p)
	case DriverReturned:
		return r.driverReturned(e)
	case RunExpired:
		return r.end(e, Expired, "period "+p.Period+" began")
	case RunAborted:
		if strings.TrimSpace(p.Reason) == "" {
			return r, illegal(e, "a reason is required")
		}
		return r.end(e, Aborted, p.Reason)
	case RunClosed:
		return r.closed(e, p)
	case RunTakenOver:
		r.Driver = e.Actor
		return r, nil
	}
	if e.Item == "" {
		return r.remarked(e, p)
	}
	i := r.index(e.Item)
	if i < 0 {
		return r, illegal(e, "the runbook has no such item")
	}
	item, err := r.Items[i].apply(e, p, r.State.Ended())
	if err != nil {
		return r, err
	}
	r.Items = r.itemsToChange()
	r.Items[i] = item
	return r, nil
}

// itemsToChange are the items in a slice that nobody else reads.
func (r Run) itemsToChange() []ItemRun {
	if r.alone {
		return r.Items
	}
	return slices.Clone(r.Items)
}

func opened(e Event, p RunOpened) (Run, error) {
	if e.Run == "" {
		return Run{}, illegal(e, "the run has no id")
	}
	r := Run{ID: e.Run, Opened: p, State: Open, OpenedAt: e.At, OpenedBy: e.Actor, Driver: e.Actor, places: map[string]int{}}
	for i, s := range p.Steps {
		if s.ID == "" || r.index(s.ID) >= 0 {
			return Run{}, illegal(e, "step %q is unnamed or listed twice", s.ID)
		}
		r.Items = append(r.Items, ItemRun{Step: s, State: Pending})
		r.places[s.ID] = i
	}
	return r, nil
}

// become changes the state of a run that goes on. A session that died without
// a word leaves its run open, so an open run can be resumed too.
func (r Run) become(e Event, to RunState, from ...RunState) (Run, error) {
	if !slices.Contains(from, r.State) {
		return r, illegal(e, "the run is %s", r.State)
	}
	r.State = to
	return r, nil
}

// resumed comes back to where the run was left: a run that was being aborted
// is so still.
func (r Run) resumed(e Event) (Run, error) {
	to := Open
	if r.Aborting != nil {
		to = Aborting
	}
	return r.become(e, to, Suspended, Open, Aborting)
}

func (r Run) aborting(e Event, p RunAborting) (Run, error) {
	if strings.TrimSpace(p.Reason) == "" {
		return r, illegal(e, "a reason is required")
	}
	r.Aborting = &Remark{At: e.At, Actor: e.Actor, Text: p.Reason}
	return r.become(e, Aborting, Open)
}

func (r Run) windowOverridden(e Event, p WindowOverridden) (Run, error) {
	if strings.TrimSpace(p.Reason) == "" || !p.Until.After(e.At) {
		return r, illegal(e, "an override needs a reason and a time in the future at which it expires")
	}
	r.Window = &Remark{At: e.At, Actor: e.Actor, Text: p.Reason, Until: p.Until}
	return r, nil
}

func (r Run) end(e Event, to RunState, reason string) (Run, error) {
	r.State, r.Reason, r.ClosedAt = to, reason, e.At
	return r, nil
}

func (r Run) closed(e Event, p RunClosed) (Run, error) {
	if r.State == Aborting {
		return r, illegal(e, "the run is being aborted")
	}
	if err := r.Closable(); err != nil {
		return r, illegal(e, "%v", err)
	}
	if want := r.Outcome(); p.State != want {
		return r, illegal(e, "the items make the run %s, not %s", want, p.State)
	}
	return r.end(e, p.State, p.Note)
}

// Closable is nil if every item is decided, or says what is not.
func (r Run) Closable() error {
	var open []string
	for _, it := range r.Items {
		if !it.State.Decided() && !r.OnlyToAbort(it.ID) {
			open = append(open, it.ID+" ("+string(it.State)+")")
		}
	}
	switch {
	case len(open) == 0:
		return nil
	case len(open) > 3:
		return fmt.Errorf("%d items are not done: %s and %d more", len(open), strings.Join(open[:3], ", "), len(open)-3)
	}
	return errors.New("not done: " + strings.Join(open, ", "))
}

// Outcome is the state that closing gives the run now: completed if every item
// passed, warned or does not apply, else completed with exceptions.
func (r Run) Outcome() RunState {
	for _, it := range r.Items {
		if it.State != Passed && it.State != Warned && it.State != NotApplicable && !r.OnlyToAbort(it.ID) {
			return CompletedWithExceptions
		}
	}
	return Completed
}

// remarked applies the events of a run that people make.
func (r Run) remarked(e Event, p Payload) (Run, error) {
	switch p := p.(type) {
	case Noted:
		if strings.TrimSpace(p.Text) == "" {
			return r, illegal(e, "the note is empty")
		}
		r.Notes = r.Notes.with(Remark{At: e.At, Actor: e.Actor, Text: p.Text})
	case Attached:
		r.Exhibits = with(r.Exhibits, exhibit(e, p))
		return r, requireText(e, "frame", p.Text)
	case Signed:
		if e.Actor.LoginState == LoginUnreadable {
			return r, illegal(e, "%v", e.Actor.unreadable())
		}
		if signedBy(r.Signatures, e.Actor) {
			return r, illegal(e, "%s has signed already", e.Actor.Identity())
		}
		r.Signatures = with(r.Signatures, Remark{At: e.At, Actor: e.Actor, Text: p.Role})
	default:
		return r, illegal(e, "the event names no item")
	}
	return r, nil
}

// with appends to a copy, so that an older Run keeps its own. It is for lists
// that stay short; see Entries.
func with[T any](list []T, v T) []T { return append(slices.Clip(list), v) }

func signedBy(list []Remark, who Actor) bool {
	return slices.ContainsFunc(list, func(r Remark) bool { return r.Actor.Identity() == who.Identity() })
}
