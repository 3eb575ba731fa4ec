package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/step"
)

// Steps hands actions to processes of their own, as runbooks.Deeds.
type Steps struct {
	Root string                       // the folder of the steps' folders
	Args func(folder string) []string // of opsdeck, for the process of that folder
}

var _ runbooks.Deeds = Steps{}

// cancelGrace is how long a step may take to end by itself: what it began with
// containers or a web server it has to bring to an end.
const cancelGrace = 60 * time.Second

// liveChunk is how much output one request gets.
const liveChunk = 32 << 10

// Prepare writes the intent down.
func (s Steps) Prepare(d runbooks.Deed) (string, error) {
	folder, err := step.New(s.Root, step.Intent{
		Token: d.Token, Run: d.Run, Item: d.Item, Attempt: d.Attempt, Who: d.Actor.String(),
		Module: d.Check.Module.Name, Check: d.Check.ID, With: d.Check.Args.Raw(d.Check.Module), Connection: d.Check.Connection,
		Target: d.Preview.Target, Warn: d.Check.Rules.Warn, Fail: d.Check.Rules.Fail,
		Fingerprint: d.Preview.Fingerprint, Locks: d.Preview.Locks, Before: append([]fact.Fact(nil), d.Preview.Facts...),
		Timeout: d.Check.Deadline(), Deadline: d.Deadline, Site: d.Site,
	})
	if err != nil {
		return "", err
	}
	return folder.Name(), nil
}

// Start begins a prepared step.
func (s Steps) Start(name string) (runbooks.ActionStarted, error) {
	folder, err := step.Find(s.Root, name)
	if err != nil {
		return runbooks.ActionStarted{}, err
	}
	card, err := folder.Start(s.Args(folder.Path)...)
	if err == nil {
		return started(card), nil
	}
	switch buryErr := folder.Bury(); {
	case buryErr == nil:
		return runbooks.ActionStarted{}, err
	case errors.Is(buryErr, step.ErrTaken): // it has begun all the same
		return started(folder.Look().Card), nil
	default:
		return runbooks.ActionStarted{}, fmt.Errorf("%w: %w, and keeping it from beginning failed: %w", runbooks.ErrMayHaveBegun, err, buryErr)
	}
}

func started(c step.Card) runbooks.ActionStarted {
	return runbooks.ActionStarted{PID: c.PID, Start: c.Start, Boot: c.Boot}
}

// Look says how a step stands. One that was never started is buried: whoever
// asks is about to decide what became of it. One that is gone writes no result
// any more, and the room for it is freed.
func (s Steps) Look(name string) runbooks.DeedStatus {
	folder, err := step.Find(s.Root, name)
	if err != nil {
		return runbooks.DeedStatus{State: runbooks.DeedGone, Why: err.Error()}
	}
	status := folder.Look()
	if status.State == step.NotStarted {
		if err := folder.Bury(); err == nil {
			return runbooks.DeedStatus{State: runbooks.DeedNotStarted}
		} else if !errors.Is(err, step.ErrTaken) {
			return runbooks.DeedStatus{State: runbooks.DeedGone, Why: err.Error()}
		}
		if status = folder.Look(); status.State == step.NotStarted { // buried before
			return runbooks.DeedStatus{State: runbooks.DeedNotStarted}
		}
	}
	if status.State == step.Gone {
		folder.FreeRoom() //nolint:errcheck // it only takes room, and step.Prune tries again
	}
	return runbooks.DeedStatus{State: states[status.State], Process: started(status.Card), Why: status.Why, Outcome: outcome(status.Outcome)}
}

// states are a step's in the words of a run. It is never written to.
var states = map[step.State]runbooks.DeedState{
	step.NotStarted: runbooks.DeedNotStarted, step.Running: runbooks.DeedRunning, step.Finished: runbooks.DeedFinished, step.Gone: runbooks.DeedGone,
	step.Unclear: runbooks.DeedRunning, // it cannot be told now, and nothing is decided on that
}

func outcome(o step.Outcome) runbooks.ActionFinished {
	done := runbooks.ActionFinished{
		Result: o.Result, Cancelled: o.Cancelled, Output: o.Output, Truncated: o.Truncated, Tail: o.Tail, Left: o.Left,
		Started: o.Started, Ended: o.Ended, Took: o.Took, CPU: o.CPU, MaxRSS: o.MaxRSS, Untouched: o.Untouched,
	}
	done.OutputHash.UnmarshalText([]byte(o.OutputHash)) //nolint:errcheck // without a hash there was no output to read
	return done
}

// Cancel asks the step to end, then ends it.
func (s Steps) Cancel(ctx context.Context, name string) error {
	folder, err := step.Find(s.Root, name)
	if err != nil {
		return err
	}
	return folder.Cancel(ctx, cancelGrace)
}

// Scratch is the step's private folder.
func (s Steps) Scratch(name string) string {
	folder, err := step.Find(s.Root, name)
	if err != nil {
		return ""
	}
	return folder.Scratch()
}

// Live is the output from a position on, and how far the step is.
func (s Steps) Live(name string, from int64) (runbooks.Live, error) {
	folder, err := step.Find(s.Root, name)
	if err != nil {
		return runbooks.Live{}, err
	}
	text, next, err := folder.Live(max(0, from), liveChunk)
	if err != nil {
		return runbooks.Live{}, fmt.Errorf("following the step: %w", err)
	}
	live := runbooks.Live{Text: text, Next: next, Total: next}
	if _, _, total, err := folder.Output(next, 0); err == nil {
		live.Total = total
	}
	if p, at, ok := folder.Progress(); ok {
		live.Progress, live.At = p, at
	}
	return live, nil
}
