package runbooks

import (
	"time"
)

// The wall clock of a host can be set while a run goes on. What is about an age
// or a length of time counts on over it: the run keeps by how much the clock
// was set, and each attempt where that stood.

// clockMoved takes a setting of the wall clock into account. A watch ends when
// its time is over and not when a clock says so.
func (r Run) clockMoved(by time.Duration) Run {
	r.clock += by
	items := r.itemsToChange()
	for i, it := range items {
		a, ok := it.Latest()
		if !ok || a.Hold == nil || it.State != Running && it.State != Cancelling {
			continue
		}
		w := *a.Hold
		w.Until = w.Until.Add(by)
		if !w.At.IsZero() {
			w.At = w.At.Add(by)
		}
		a.Hold = &w
		items[i].Attempts = it.Attempts.replaced(a)
	}
	r.Items = items
	return r
}

// stamped remembers where the clock stood when the event's attempt began or
// ended.
func (r Run) stamped(e Event) Run {
	i := r.index(e.Item)
	if i < 0 || r.clock == 0 {
		return r
	}
	a, ok := r.Items[i].Latest()
	if !ok || !a.Started.Equal(e.At) && !a.Ended.Equal(e.At) {
		return r
	}
	a.clock = r.clock
	items := r.itemsToChange()
	items[i].Attempts = items[i].Attempts.replaced(a)
	r.Items = items
	return r
}

// since is how long ago an attempt's instant was, whatever the clock was set
// to meanwhile. It is less than nothing if the clock was set back while nobody
// watched it.
func (r Run) since(a Attempt, at, now time.Time) time.Duration {
	return now.Sub(at) - (r.clock - a.clock)
}

// backwards is how far an instant may lie ahead before its age is no age.
const backwards = -5 * time.Second
