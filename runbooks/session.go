package runbooks

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Journal keeps events. Append gives the event its Seq, Prev and Hash and
// returns only when it is durable; after an error nothing was promised and
// nothing may be shown. After yields the events of every run that stand behind
// the one of that number, oldest first; behind 0 stands all of it.
type Journal interface {
	Append(Event) (Event, error)
	After(seq uint64) iter.Seq2[Event, error]
}

// A Runner runs a check; *checks.Runner is one.
type Runner interface {
	Run(context.Context, checks.Check) checks.Result
}

// ErrAllDone is StartAll's refusal when there is no check left to run.
var ErrAllDone = errors.New("every check of this section is done")

// A Session drives one run. Its methods return quickly: nil means accepted and
// recorded, an error says why it was refused. What comes of a started check is
// seen in a later Run. All methods may be called from any goroutine.
type Session interface {
	// Run is the run as it is recorded now. Changed is signalled after it changed.
	Run() Run
	Changed() <-chan struct{}

	// Section is the pinned section, with prose and evidence fields. Outdated
	// reports whether the file on disk has changed since the run was opened.
	Section() Section
	Outdated() bool

	// You is who drives through this session; Present are those who are at
	// the run now, as far as the session knows.
	You() Actor
	Present() []Actor

	// Book is the pinned runbook; Estimates are how long its items took before.
	Book() Runbook
	Estimates() map[string]time.Duration

	Start(item string) error // runs one check, or begins a hold
	StartAll() error         // runs every check that is not done, as their needs open
	Confirm(item string, evidence map[string]string) error
	Decide(item, option string) error
	Skip(item, reason string, until time.Time) error // zero until: this run
	Acknowledge(item, note string) error
	Override(item, reason string, until time.Time) error
	Note(item, text string) error // item "": on the run
	Attach(item string, frame Attached) error
	Retry(item string) error                 // a new attempt; a check starts at once
	Sign(item, role string, seen Hash) error // item "": the run; seen is the preview that was read, of an armed item

	// Arm makes an action's preview: the one method that takes as long as it
	// needs, within ctx. Approve confirms the preview of that hash and begins;
	// typed is the target's name where the danger asks for it. Disarm takes
	// the preview back.
	Arm(ctx context.Context, item string) error
	Approve(item, typed string, seen Hash) error
	Disarm(item, reason string) error

	// Cancel asks what runs to stop; the item is cancelled when it is gone.
	Cancel(item, reason string) error

	// Probe looks again at an interrupted action, Resolve says by a person's
	// evidence what became of it.
	Probe(item string) error
	Resolve(item string, done bool, evidence string) error

	// Live is an action's output from a position on, and how far it is.
	Live(item string, from int64) (Live, error)

	OverrideWindow(reason string, until time.Time) error
	TakeOver(reason string) error

	Finish(note string) error  // completes the run; every item must be decided
	Abort(reason string) error // gives it up; see Seat.Abort

	// Err is why nothing can be recorded any more, nil while all is well.
	Err() error

	// Close leaves the run. A Local one stops its checks and records them as
	// interrupted and the run as suspended; at a supervisor everything goes on.
	// It waits for every goroutine.
	Close() error
}
