package runbooks

import (
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Computed is what is true of an item now and never stored, so that it cannot
// outlive its cause.
type Computed struct {
	Ready   bool
	Blocked string // the need that is not met; "" if all are
	Stale   string // the item that demands a fresher result; "" if none
	Overdue bool   // the section is overdue and the item is not decided

	// FallsDue is when a follow-up may be started; zero if it waits for
	// nothing but time that has passed.
	FallsDue time.Time
}

// A NotReadyError says why an item cannot be started now.
type NotReadyError struct {
	Item string
	Need string // the item that holds it up; "" if it is not a need
	Why  string

	Outside bool // the window holds it up
}

// Error is the reason, for the operator.
func (e *NotReadyError) Error() string { return e.Item + ": " + e.Why }

// Ready is nil if the item can be started, confirmed or decided now, or a
// *NotReadyError that says why not.
func (r Run) Ready(item string, now time.Time) error {
	it, ok := r.Item(item)
	switch {
	case !ok:
		return &NotReadyError{Item: item, Why: "the runbook has no such item"}
	case r.State != Open && r.State != Aborting:
		return &NotReadyError{Item: item, Why: "the run is " + string(r.State)}
	case it.State.Busy():
		return &NotReadyError{Item: item, Why: "it is " + string(it.State)}
	case it.Kind == Action && it.State == Interrupted:
		return &NotReadyError{Item: item, Why: OutcomeUnknown}
	}
	if before, held := r.inTurn(it); held && r.State != Aborting {
		return &NotReadyError{Item: item, Need: before, Why: before + " comes first: this section is walked in its order"}
	}
	return r.held(it, now)
}

// held says which need of the item is not met.
func (r Run) held(it ItemRun, now time.Time) error {
	if r.State == Aborting {
		return r.wayOut(it)
	}
	for _, need := range it.Needs {
		if why := r.unmet(need, now); why != "" {
			return &NotReadyError{Item: it.ID, Need: need.Item, Why: why}
		}
	}
	return nil
}

// OutcomeUnknown is what is said of an action that was interrupted.
const OutcomeUnknown = "interrupted: outcome unknown, verify"

// wayOut allows, while a run is being aborted, what the section lists for that
// and what undoes something that was begun; their needs do not hold them up.
func (r Run) wayOut(it ItemRun) error {
	if r.LeadsOut(it.ID) {
		return nil
	}
	return &NotReadyError{Item: it.ID, Why: "the run is being aborted: only what leads out of it may be started"}
}

// LeadsOut reports whether the item is one that leaving the run offers: it is
// listed under the section's abort, or it undoes an action that was begun and
// not undone.
func (r Run) LeadsOut(item string) bool {
	if slices.Contains(r.Opened.Abort, item) {
		return true
	}
	return slices.ContainsFunc(r.Items, func(done ItemRun) bool {
		return done.Undo == item && done.Begun() && done.State != RolledBack
	})
}

// OnlyToAbort reports whether the item is there for a run that is aborted and
// for nothing else: a run that goes well leaves it alone. One that a decision
// leads to is there for that decision too, once it is the one that was made.
func (r Run) OnlyToAbort(item string) bool {
	undoes := func(it ItemRun) bool {
		chosen := slices.ContainsFunc(it.Options, func(o Option) bool { return o.Item == item && o.Name == it.Choice })
		return it.Undo == item || chosen || slices.ContainsFunc(it.Needs, func(n Need) bool { return n.Item == item })
	}
	return r.State != Aborting && slices.Contains(r.Opened.Abort, item) && !slices.ContainsFunc(r.Items, undoes)
}

// Begun reports whether the effect of an action may be there.
func (it ItemRun) Begun() bool { return it.begun }

// inTurn is the item that comes before this one in a section that is walked in
// its order, if there is one that is not done. Only what changes something or
// waits is held to it: looking ahead does no harm, and a person answers when
// the answer is known. Follow-ups that are not due yet hold nobody up.
func (r Run) inTurn(it ItemRun) (string, bool) {
	if r.Opened.Mode != ReadDo || it.Kind != Action && it.Kind != Hold || slices.Contains(r.Opened.Abort, it.ID) {
		return "", false
	}
	for _, earlier := range r.Items {
		if earlier.ID == it.ID {
			break
		}
		followUp := slices.ContainsFunc(earlier.Needs, func(n Need) bool { return n.MinAge > 0 })
		if !earlier.State.Decided() && !followUp && !r.OnlyToAbort(earlier.ID) {
			return earlier.ID, true
		}
	}
	return "", false
}

// FollowUp is when an undecided item falls due by the age that it wants of its
// needs; ok is false if it wants none, or they are not done.
func (r Run) FollowUp(it ItemRun) (due time.Time, ok bool) {
	for _, need := range it.Needs {
		needed, known := r.Item(need.Item)
		a, tried := needed.Latest()
		if need.MinAge == 0 || !known || !tried || !needed.State.Decided() {
			continue
		}
		if at := a.Ended.Add(need.MinAge + r.clock - a.clock); at.After(due) {
			due, ok = at, true
		}
	}
	return due, ok && !it.State.Decided()
}

// unmet says why a need is not met, "" if it is. It opens on passed, warned,
// not applicable and an override that has not expired, and on nothing else:
// what is unknown or was skipped holds.
func (r Run) unmet(need Need, now time.Time) string {
	it, ok := r.Item(need.Item)
	if !ok {
		return "it needs " + need.Item + ", which this section does not have"
	}
	switch it.State {
	case NotApplicable:
		return ""
	case Passed, Warned:
		a, _ := it.Latest()
		age := r.since(a, a.Ended, now)
		switch {
		case age < need.MinAge:
			return fmt.Sprintf("it falls due %s after %s, in %v", fact.FormatDuration(need.MinAge), need.Item, (need.MinAge - age).Round(time.Second))
		case need.MaxAge > 0 && age < backwards:
			return fmt.Sprintf("it needs %s from the last %v; by the clock it lies %v ahead, so its age is not known", need.Item, need.MaxAge, -age.Round(time.Second))
		case r.tooOld(it, need, now):
			return fmt.Sprintf("it needs %s from the last %v; it is %v old", need.Item, need.MaxAge, age.Round(time.Second))
		}
		return ""
	case Failed:
		if !it.Override.Expired(now) {
			return ""
		}
		if it.Override != nil {
			return "it needs " + need.Item + ", whose override has expired"
		}
	}
	return "it needs " + need.Item + ", which is " + string(it.State)
}

func (r Run) tooOld(it ItemRun, need Need, now time.Time) bool {
	a, ok := it.Latest()
	return ok && need.MaxAge > 0 && r.since(a, a.Ended, now) > need.MaxAge
}

// Computed is what is true of the item now.
func (r Run) Computed(item string, now time.Time) Computed {
	it, ok := r.Item(item)
	if !ok {
		return Computed{}
	}
	c := Computed{Stale: r.staleFor(it, now), Ready: r.Ready(item, now) == nil}
	if due, ok := r.FollowUp(it); ok && due.After(now) {
		c.FallsDue = due
	}
	if it.Kind == Action && it.State == Interrupted {
		c.Blocked = OutcomeUnknown
		return c
	}
	if r.State == Aborting { // needs no longer hold anything up: the way out does
		if !r.LeadsOut(item) && !it.State.Decided() {
			c.Blocked = "the run is being aborted"
		}
		return c
	}
	for _, need := range it.Needs {
		if why := r.unmet(need, now); why != "" && !it.State.Decided() {
			c.Blocked = why
			break
		}
	}
	c.Overdue = !r.State.Ended() && !it.State.Decided() && !r.Opened.Overdue.IsZero() && !now.Before(r.Opened.Overdue)
	return c
}

// staleFor is the id of an undecided item that needs this one fresher than it is.
func (r Run) staleFor(it ItemRun, now time.Time) string {
	if it.State != Passed && it.State != Warned {
		return ""
	}
	for _, later := range r.Items {
		for _, need := range later.Needs {
			if need.Item == it.ID && !later.State.Decided() && r.tooOld(it, need, now) {
				return later.ID
			}
		}
	}
	return ""
}

// Level is the worst of the items: what is pending, running or interrupted is
// unknown; what was overridden is still failed.
func (r Run) Level() checks.Level {
	worst := checks.Skipped
	for _, it := range r.Items {
		if l := it.State.Level(); l.Worse(worst) {
			worst = l
		}
	}
	return worst
}

// Progress counts the items of a run.
type Progress struct {
	Total, Decided int
	ByState        map[State]int
	Acknowledged   int
	Overridden     int // with an override that holds
}

// Progress counts the items by state.
func (r Run) Progress(now time.Time) Progress {
	p := Progress{Total: len(r.Items), ByState: map[State]int{}}
	for _, it := range r.Items {
		p.ByState[it.State]++
		if it.State.Decided() {
			p.Decided++
		}
		if it.Ack != nil {
			p.Acknowledged++
		}
		if !it.Override.Expired(now) {
			p.Overridden++
		}
	}
	return p
}

// Key is what at most one open run may have: site, section of a runbook, period.
func (r Run) Key() string {
	return Key(r.Opened.Site, r.Opened.Runbook, r.Opened.Section) + " " + r.Opened.Period
}

// Key names the section of a runbook on a site that the run walks.
func (o RunOpened) Key() string { return Key(o.Site, o.Runbook, o.Section) }

// Key names a section of a runbook on a site.
func Key(site, runbook, section string) string { return site + "/" + runbook + "/" + section }
