package supervisor

import (
	"fmt"
	"slices"
	"time"
)

// How many runs a user may have made ready that nobody had open: each costs the
// supervisor a look through the record, and memory. A run that is open already
// may be joined at any time.
const (
	newRuns    = 20
	newRunsPer = time.Minute
)

// maxOpen is how many runs one connection may have open at a time.
const maxOpen = 20

// pace counts what each user had made ready lately. It belongs to the user and
// not to the connection, so that connecting again changes nothing.
type pace map[int][]time.Time

// take counts one more for a user, or says how long to wait.
func (p pace) take(uid int, now time.Time) error {
	for user, times := range p { // those that are over do not stay
		times = slices.DeleteFunc(times, func(at time.Time) bool { return now.Sub(at) >= newRunsPer })
		if p[user] = times; len(times) == 0 {
			delete(p, user)
		}
	}
	if recent := p[uid]; len(recent) >= newRuns {
		wait := recent[0].Add(newRunsPer).Sub(now)
		return fmt.Errorf("user %d has opened %d runs within %v: open the next in %v", uid, newRuns, newRunsPer, wait.Round(time.Second))
	}
	p[uid] = append(p[uid], now)
	return nil
}
