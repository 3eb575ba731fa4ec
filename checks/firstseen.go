package checks

import "time"

// findingMemory is how long back a finding can be known to have been open:
// longer than a year, because the lowest class of a policy may be a year.
const findingMemory = 400 * 24 * time.Hour

// SameLook is the farthest that two facts of one result may lie apart in a
// history that keeps one sample a minute of each.
const SameLook = 2 * time.Minute

// A Finding names what is remembered of one thing that a check finds open
// again and again: an advisory, a waiting update.
type Finding struct {
	Check string  // the id under which its history is kept
	Fact  string  // the fact that there is while it is open
	Label string  // which finding
	Look  string  // a fact that every result of the check has, found or not
	On    string  // the label of Look
	Least float64 // the fact's value from which it is this finding
}

// OpenFor is how long a finding that is open at now has been open without a
// break: a look that did not find it ends the time, however long ago the first
// one was, because what comes back is not the one of last year. No look at all
// is no break. 0 if no history is kept or nothing of it is in there.
func (f Finding) OpenFor(h History, now time.Time) time.Duration {
	if h == nil {
		return 0
	}
	from := now.Add(-findingMemory)
	looks := h.Series(f.Check, f.Look, f.On, from)
	seen := h.Series(f.Check, f.Fact, f.Label, from)
	since := now
	for i := len(seen) - 1; i >= 0; i-- {
		for len(looks) > 0 && looks[len(looks)-1].At.After(since.Add(-SameLook)) {
			looks = looks[:len(looks)-1]
		}
		if len(looks) > 0 && looks[len(looks)-1].At.After(seen[i].At.Add(SameLook)) {
			break
		}
		if seen[i].Value < f.Least {
			break
		}
		since = seen[i].At
	}
	return max(0, now.Sub(since))
}
