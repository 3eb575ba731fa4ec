package runbooks

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// Computed is what is true of an item now and never stored, so that it cannot
// outlive its cause.
type Computed struct {
	Ready   bool
	Blocked string // the need that is not met; "" if all are
	Stale   string // the item that demands a fresher result; "" if none
	Overdue bool   // the section is overdue and the item is not decided
}

// A NotReadyError says why an item cannot be started now.
type NotReadyError struct {
	Item string
	Need string // the item that holds it up; "" if it is not a need
	Why  string
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
	case r.State != Open:
		return &NotReadyError{Item: item, Why: "the run is " + string(r.State)}
	case it.State.Busy():
		return &NotReadyError{Item: item, Why: "it is " + string(it.State)}
	}
	for _, need := range it.Needs {
		if why := r.unmet(need, now); why != "" {
			return &NotReadyError{Item: item, Need: need.Item, Why: why}
		}
	}
	return nil
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
		if !tooOld(it, need, now) {
			return ""
		}
		a, _ := it.Latest()
		return fmt.Sprintf("it needs %s from the last %v; it is %v old", need.Item, need.MaxAge, now.Sub(a.Ended).Round(time.Second))
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

func tooOld(it ItemRun, need Need, now time.Time) bool {
	a, ok := it.Latest()
	return ok && need.MaxAge > 0 && now.Sub(a.Ended) > need.MaxAge
}

// Computed is what is true of the item now.
func (r Run) Computed(item string, now time.Time) Computed {
	it, ok := r.Item(item)
	if !ok {
		return Computed{}
	}
	c := Computed{Stale: r.staleFor(it, now), Ready: r.Ready(item, now) == nil}
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
			if need.Item == it.ID && !later.State.Decided() && tooOld(it, need, now) {
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

// Key names a section of a runbook on a site.
func Key(site, runbook, section string) string { return site + "/" + runbook + "/" + section }
