package runbooks

import (
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
)

// State is the stored state of an item. Blocked, ready, stale and overdue are
// not states: they are computed, see Run.Computed.
type State string

// The states of an item.
const (
	Pending       State = "pending"
	Armed         State = "armed" // an action's preview was shown
	Running       State = "running"
	Cancelling    State = "cancelling"
	Passed        State = "passed"
	Warned        State = "warned"
	Failed        State = "failed"
	Errored       State = "errored"     // could not be determined, timeouts included
	Interrupted   State = "interrupted" // started, outcome unknown
	Skipped       State = "skipped"
	NotApplicable State = "not_applicable"
	Cancelled     State = "cancelled"
	RolledBack    State = "rolled_back"
)

// States lists every state of an item.
func States() []State {
	return []State{Pending, Armed, Running, Cancelling, Passed, Warned, Failed, Errored, Interrupted, Skipped, NotApplicable, Cancelled, RolledBack}
}

// Decided reports whether nothing more is expected of an item in this state.
func (s State) Decided() bool {
	return slices.Contains([]State{Passed, Warned, Failed, Errored, Skipped, NotApplicable, Cancelled, RolledBack}, s)
}

// Busy reports whether something is going on.
func (s State) Busy() bool { return s == Running || s == Cancelling || s == Armed }

// StateOf is the state that a verdict gives an item.
func StateOf(l checks.Level) State {
	switch l {
	case checks.OK:
		return Passed
	case checks.Warn:
		return Warned
	case checks.Crit:
		return Failed
	case checks.Skipped:
		return NotApplicable
	default:
		return Errored
	}
}

// Level is what the state counts for in a run's level: what is pending,
// running or interrupted is unknown.
func (s State) Level() checks.Level {
	switch s {
	case Passed:
		return checks.OK
	case Warned:
		return checks.Warn
	case Failed:
		return checks.Crit
	case Skipped, NotApplicable, RolledBack:
		return checks.Skipped
	default:
		return checks.Unknown
	}
}

// RunState is the stored state of a run.
type RunState string

// The states of a run.
const (
	Open                    RunState = "open"
	Suspended               RunState = "suspended" // nobody is at it, nothing runs
	Aborting                RunState = "aborting"  // being left: what undoes and what must be told comes first
	Completed               RunState = "completed"
	CompletedWithExceptions RunState = "completed_with_exceptions"
	Aborted                 RunState = "aborted"
	Expired                 RunState = "expired" // a new period began
)

// RunStates lists every state of a run.
func RunStates() []RunState {
	return []RunState{Open, Suspended, Aborting, Completed, CompletedWithExceptions, Aborted, Expired}
}

// Ended reports whether the run is over.
func (s RunState) Ended() bool { return s != Open && s != Suspended && s != Aborting }
