package runbooks

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Watch is how far a hold is.
type Watch struct {
	HoldStarted
	Samples int             // looks so far
	Latest  []checks.Result // of the newest look
	At      time.Time       // when that was
	Worst   checks.Level    // of all looks
}

// applyHold is the item after an event of a hold. ok is false if the event is
// not one.
func (it ItemRun) applyHold(e Event, p Payload) (_ ItemRun, ok bool, err error) {
	switch p := p.(type) {
	case HoldStarted:
		if it.Kind != Hold {
			return it, true, illegal(e, "the item is a %s, not a hold", it.Kind)
		}
		if err := it.nextAttempt(e); err != nil {
			return it, true, err
		}
		return it.begin(e, Attempt{State: Running, Hold: &Watch{HoldStarted: p, Worst: checks.OK}}), true, nil
	case HoldSampled:
		it, err = it.sampled(e, p)
	case HoldEnded:
		it, err = it.under(e, func(a *Attempt) { a.State, a.Ended, a.Reason = StateOf(p.Level), e.At, p.Reason })
	default:
		return it, false, nil
	}
	return it, true, err
}

func (it ItemRun) sampled(e Event, p HoldSampled) (ItemRun, error) {
	return it.under(e, func(a *Attempt) {
		w := *a.Hold
		w.Samples++
		w.Latest, w.At = p.Results, e.At
		for _, r := range p.Results {
			if r.Level.Worse(w.Worst) && r.Level != checks.Skipped {
				w.Worst = r.Level
			}
		}
		a.Hold = &w
	})
}
