package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// Act does what an intent says. It is given what an action has to itself, and
// ends when ctx does. The writer in own may be used by many at once. touched is
// false only if nothing was begun that could have changed anything.
type Act func(ctx context.Context, in Intent, own checks.Own) (result checks.Result, touched bool)

// stopPatience is how long a deed may take to end when its context has: an
// orderly way out may have to drop what was half made.
const stopPatience = time.Minute

// An Option changes how Main goes about it.
type Option func(*process)

// Spare names processes that may outlive the deed, with all below them: the
// daemons that a package's scripts start. It is asked when the deed is over.
func Spare(spared func(pid int) bool) Option { return func(p *process) { p.spared = spared } }

// Patience sets how long the deed may take to end when its context has; after
// that it is given up. It is a minute by default.
func Patience(d time.Duration) Option { return func(p *process) { p.patience = d } }

// process is the step's side of a folder.
type process struct {
	Folder
	in       Intent
	out      *output
	wrap     func(io.Writer) io.Writer
	spared   func(pid int) bool
	patience time.Duration
	asked    chan os.Signal
	result   *hostfs.Reserved // the room for the result
}

// Main is the step's process. It does what the folder's intent says, once, and
// leaves the result in the folder. wrap makes output fit to be kept: redacted.
// If wrap's writer is an io.Closer it is closed when the deed is over.
//
// The error says why nothing was begun, ErrTaken for a second step, or why no
// result is left.
func Main(ctx context.Context, f Folder, wrap func(io.Writer) io.Writer, act Act, options ...Option) error {
	ready := newAnnouncer()
	defer ready.close()
	p := &process{Folder: f, wrap: wrap, patience: stopPatience}
	for _, option := range options {
		option(p)
	}
	lock, began, err := p.begin(ready)
	if err != nil {
		ready.say(err.Error())
		return err
	}
	defer lock.Close() //nolint:errcheck // nothing was written
	ready.say(saidBegun)
	ready.close()
	outcome, err := p.perform(ctx, act)
	if err != nil {
		return p.withoutResult(err)
	}
	outcome.Started = began
	crash.Point("step-before-result")
	if err := p.deliver(outcome); err != nil {
		return p.withoutResult(err)
	}
	crash.Point("step-after-result")
	return nil
}

// begin does all that must be there before anything is done: the lock, and
// under it the rest.
func (p *process) begin(ready announcer) (*os.File, time.Time, error) {
	lock, err := p.take()
	if err != nil {
		return nil, time.Time{}, err
	}
	ready.say(saidHere)
	began, err := p.prepare()
	if err != nil {
		return nil, began, errors.Join(err, lock.Close())
	}
	return lock, began, nil
}

// prepare makes the output, the room for the result and, last, the card.
func (p *process) prepare() (began time.Time, err error) {
	if p.in, err = p.Intent(); err != nil {
		return began, err
	}
	p.harden()
	if p.out, err = newOutput(p.Folder, p.in.MaxOutput); err != nil {
		return began, err
	}
	if err := p.reserve(); err != nil {
		return began, err
	}
	if began, err = p.record(); err != nil {
		return began, p.withoutResult(err)
	}
	crash.Point("step-after-started")
	return began, nil
}

// record writes the card: from then on the step has begun.
func (p *process) record() (began time.Time, err error) {
	self, err := p.proc.card(os.Getpid())
	if err != nil {
		return began, err
	}
	crash.Point("step-before-started")
	began = time.Now()
	if err := p.write(cardFile, begun{self, began}); err != nil {
		return began, fmt.Errorf("recording the start: %w", err)
	}
	return began, nil
}

// harden makes the process one whose memory no other user reads, which leaves no
// core file, and whose children cannot run away from it. The limit on core files
// is not touched: commands inherit it, and could not raise it again. Signals of a terminal that is gone are taken and
// dropped; if they were ignored, children would inherit that.
func (p *process) harden() {
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) //nolint:errcheck // children that run away are then not seen
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)        //nolint:errcheck // hardening only; an exec takes it back
	syscall.Umask(0o077)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	p.asked = make(chan os.Signal, 1)
	signal.Notify(p.asked, syscall.SIGTERM)
}
