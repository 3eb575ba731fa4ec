package step

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// State is how a step stands.
type State int

// The states.
const (
	NotStarted State = iota // nobody began it
	Running
	Finished // there is a result
	Gone     // it began, there is no result, and its process is no more
	Unclear  // it cannot be told now, as when we are out of descriptors: look again
)

// String is the state in a word or two.
func (s State) String() string {
	switch s {
	case NotStarted:
		return "not started"
	case Running:
		return "running"
	case Finished:
		return "finished"
	case Gone:
		return "gone"
	case Unclear:
		return "unclear"
	}
	return fmt.Sprintf("state %d", int(s))
}

// A Status is how a step stands, with what is known of it.
type Status struct {
	State   State
	Card    Card      // zero if it was not started, or is starting just now
	Since   time.Time // when the card was written
	Outcome Outcome   // of one that is finished
	Why     string    // of one that is gone or unclear
}

// An Outcome is what a step leaves behind.
type Outcome struct {
	Result     checks.Result `json:"result"`
	Started    time.Time     `json:"started"`
	Ended      time.Time     `json:"ended"`
	Took       time.Duration `json:"took"`                  // by the monotonic clock
	Cancelled  bool          `json:"cancelled,omitempty"`   // Cancel asked it to end before the deed had returned
	Output     int64         `json:"output"`                // bytes written, kept or not
	OutputHash string        `json:"output_hash,omitempty"` // SHA-256 of what was kept, in hexadecimal
	Truncated  bool          `json:"truncated,omitempty"`   // not all of it was kept
	Tail       string        `json:"tail,omitempty"`        // its last lines, 4 KiB at most
	Left       []string      `json:"left,omitempty"`        // processes that outlived the deed and were ended: "1234 sleep"
	CPU        time.Duration `json:"cpu,omitempty"`
	MaxRSS     int64         `json:"max_rss,omitempty"` // bytes, of its largest process

	// Untouched says that nothing was begun that could have changed anything:
	// a result that tells nothing is known to be that of nothing.
	Untouched bool `json:"untouched,omitempty"`
}

// begun is what the card file holds.
type begun struct {
	Card
	At time.Time `json:"at"`
}

// Look says how the step stands. The result counts, whatever became of the
// process; without one, the process does. A process lives if it holds the
// folder's lock or if /proc shows the very one that the card names: where
// /proc hides processes, the lock alone tells.
func (f Folder) Look() Status {
	s, _ := f.finished()
	if s.State == Finished {
		return s
	}
	held, lockErr := f.held()
	card, err := f.card()
	if errors.Is(err, fs.ErrNotExist) {
		return f.unstarted(held, lockErr, s.Why)
	}
	if err != nil {
		return judge(held, false, errors.Join(err, lockErr), "its card cannot be read: "+err.Error())
	}
	alive, procErr := f.proc.alive(card.Card)
	status := judge(held, alive, errors.Join(lockErr, procErr), "its process is no more")
	if status.State != Running { // it may have ended while we looked
		if s, clear := f.finished(); s.State == Finished {
			return s
		} else if !clear {
			status.State, status.Why = Unclear, s.Why
		} else if s.Why != "" {
			status.Why += "; " + s.Why
		}
	}
	status.Card, status.Since = card.Card, card.At
	if boot, err := f.proc.boot(); err == nil && boot != card.Boot && status.State == Gone {
		status.Why = "the host was started anew since"
	}
	return status
}

// judge says how a step without a result stands.
func judge(held, alive bool, doubt error, gone string) Status {
	switch {
	case held || alive:
		return Status{State: Running}
	case doubt != nil && unclear(doubt):
		return Status{State: Unclear, Why: doubt.Error()}
	}
	return Status{State: Gone, Why: gone}
}

// unstarted says how a step without a card stands. Bad is what is wrong with
// a result that should not be there.
func (f Folder) unstarted(held bool, lockErr error, bad string) Status {
	switch {
	case held:
		return Status{State: Running} // it has begun to begin, or somebody buries it
	case lockErr != nil && unclear(lockErr):
		return Status{State: Unclear, Why: lockErr.Error()}
	case bad != "":
		return Status{State: Gone, Why: bad}
	}
	if _, err := f.card(); !errors.Is(err, fs.ErrNotExist) {
		return f.Look() // it began, and maybe ended, between two looks
	}
	return Status{State: NotStarted}
}

func (f Folder) card() (begun, error) {
	var b begun
	err := f.read(cardFile, &b)
	return b, err
}

// finished reads the result. It is not clear if there may be one that cannot
// be read now; Why says what is wrong with one that never can.
func (f Folder) finished() (s Status, clear bool) {
	err := f.read(resultFile, &s.Outcome)
	switch {
	case err == nil:
		s.State = Finished
		if b, err := f.card(); err == nil { // a result without a card is a result
			s.Card, s.Since = b.Card, b.At
		}
		return s, true
	case errors.Is(err, fs.ErrNotExist):
		return Status{}, true
	}
	return Status{Why: "its result cannot be read: " + err.Error()}, !unclear(err)
}
