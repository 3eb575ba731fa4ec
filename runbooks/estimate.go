package runbooks

import (
	"slices"
	"time"
)

// addTook adds how long each item of a run took: the attempts that passed or
// warned. A rehearsal says nothing about the real thing.
func addTook(took map[string][]time.Duration, r Run) {
	if r.Opened.Rehearsal {
		return
	}
	for _, it := range r.Items {
		for a := range it.Attempts.All() {
			if d, ok := a.took(); ok {
				took[it.ID] = append(took[it.ID], d)
			}
		}
	}
}

// medians are the estimates that earlier times give, by item.
func medians(took map[string][]time.Duration) map[string]time.Duration {
	median := map[string]time.Duration{}
	for id, list := range took {
		slices.Sort(list)
		median[id] = list[len(list)/2]
	}
	return median
}

// took is how long an attempt that went well needed.
func (a Attempt) took() (time.Duration, bool) {
	if a.Ended.IsZero() || a.State != Passed && a.State != Warned {
		return 0, false
	}
	return a.Took(), true
}
