package runbooks

import (
	"slices"
	"time"
)

// estimates are how long each item of a section took in earlier runs: the
// median of the attempts that passed or warned.
func estimates(runs []Run, site, book, section string) map[string]time.Duration {
	took := map[string][]time.Duration{}
	for _, r := range runs {
		if r.Opened.Rehearsal || Key(r.Opened.Site, r.Opened.Runbook, r.Opened.Section) != Key(site, book, section) {
			continue
		}
		for _, it := range r.Items {
			for a := range it.Attempts.All() {
				if d, ok := a.took(); ok {
					took[it.ID] = append(took[it.ID], d)
				}
			}
		}
	}
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
