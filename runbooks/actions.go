package runbooks

import (
	"context"
	"errors"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Prober previews actions and looks at what came of them; *checks.Runner is one.
type Prober interface {
	Preview(context.Context, checks.Check, checks.Own) checks.Result
	Probe(context.Context, checks.Check, checks.Own, checks.Rule) checks.Result
}

// Deeds hands actions to processes of their own, which live on when this one
// dies. A step is the name under which a deed is found again.
type Deeds interface {
	// Prepare writes down durably what is to be done. Nothing is begun.
	Prepare(Deed) (step string, err error)

	// Start begins a prepared step, once. An error means that nothing was
	// begun, then or later, unless it is ErrMayHaveBegun.
	Start(step string) (ActionStarted, error)

	// Look says how a step stands.
	Look(step string) DeedStatus

	// Cancel asks the step to end, then ends it. It returns when it is gone.
	Cancel(ctx context.Context, step string) error

	// Scratch is the private folder of a step, where an action leaves the
	// record that its look from outside reads.
	Scratch(step string) string

	// Live is the output from a position on, and how far the step is.
	Live(step string, from int64) (Live, error)
}

// ErrMayHaveBegun says that a step could not be seen to begin and could not be
// kept from beginning either: what became of it is seen by looking at it.
var ErrMayHaveBegun = errors.New("whether the step began is not known")

// A Deed is what a step has to do.
type Deed struct {
	Token, Run, Item string
	Attempt          int
	Actor            Actor
	Check            checks.Check // resolved
	Preview          checks.Result
	Deadline         time.Time
	Site             string // hash of the site file under which it was previewed
}

// DeedState says how a step stands.
type DeedState string

// The states of a step.
const (
	DeedNotStarted DeedState = "not started" // prepared, and nobody began it
	DeedRunning    DeedState = "running"
	DeedFinished   DeedState = "finished" // there is a result
	DeedGone       DeedState = "gone"     // it began, there is no result, and its process is no more
)

// A DeedStatus is how a step stands, with its result if it has one.
type DeedStatus struct {
	State   DeedState
	Process ActionStarted
	Outcome ActionFinished
	Why     string // of one that is gone: "the host was started anew since"
}

// Live is what is to be seen of a running action.
type Live struct {
	Text     string // output, clean
	Next     int64  // where to go on reading
	Total    int64  // bytes so far, those that were not kept included
	Progress checks.Progress
	At       time.Time // of the progress; zero: none was reported
}

// Actions is how a session does what changes something.
type Actions struct {
	Prober Prober
	Deeds  Deeds

	// Refuse says why no action may be begun here now, "" if one may: a site
	// file that others can change, a full disk.
	Refuse func() string

	// Holder is who holds a lock on this host, "" if nobody does.
	Holder func(lock string) string

	// NewToken makes the mark of one attempt: "opsdeck/" and up to 20 characters.
	NewToken func() string

	// Advice are sentences that go with every preview: cron entries inside the
	// window, a log-out that would end the step.
	Advice func(time.Time) []string
}

// Limits of actions.
const (
	// previewHolds is how long a preview may be confirmed: after that what it
	// says of the target is too old to decide on.
	previewHolds = 15 * time.Minute

	// previewTimeout and probeTimeout bound the looks before and after.
	previewTimeout = 30 * time.Second
	probeTimeout   = 30 * time.Second

	// lookEvery is how often a running step is looked at.
	lookEvery = 250 * time.Millisecond

	// cancelTimeout is how long a step may take to end when asked.
	cancelTimeout = 150 * time.Second
)
