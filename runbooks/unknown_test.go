package runbooks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// reports lets a step write a result that says nothing.
func (y *yard) reports(step string, o runbooks.ActionFinished) {
	y.mu.Lock()
	defer y.mu.Unlock()
	o.Result.Level, o.Result.At = checks.Unknown, time.Now()
	y.steps[step].State, y.steps[step].Outcome = runbooks.DeedFinished, o
}

// TestWhatBeganAndTellsNothingIsInterrupted: a result that does not say what
// was done, and a look from outside that cannot tell either, leave an action
// that nobody may simply begin again; one that is known to have touched
// nothing may be.
func TestWhatBeganAndTellsNothingIsInterrupted(t *testing.T) {
	full := checks.Result{Err: "recording how the command ended: no space left on device"}
	for _, c := range []struct {
		name   string
		result runbooks.ActionFinished
		done   *bool
		want   runbooks.State
		again  bool // may be armed at once
	}{
		{"its record could not be written", runbooks.ActionFinished{Result: full}, nil, runbooks.Interrupted, false},
		{"it panicked", runbooks.ActionFinished{Result: checks.Result{Err: "cmd.run panicked", Class: checks.Internal}}, nil, runbooks.Interrupted, false},
		{"it was given up", runbooks.ActionFinished{Result: checks.Result{Err: "it was given up", Class: checks.Timeout}}, nil, runbooks.Interrupted, false},
		{"it touched nothing", runbooks.ActionFinished{Result: checks.Result{Err: "nothing was done"}, Untouched: true}, nil, runbooks.Errored, true},
		{"the look says that it was not done", runbooks.ActionFinished{Result: full}, no, runbooks.Failed, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, y := &memory{}, newYard()
				y.done = c.done
				l := drive(t, windowOptions(j, y))
				defer l.Close()
				must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
				y.reports("step-1", c.result)
				later(time.Second)
				a := stateOf(t, l, "tidy", c.want)
				if c.want == runbooks.Interrupted && (a.Verified == nil || a.Outcome == nil || !strings.Contains(a.Reason, c.result.Result.Err)) {
					t.Errorf("%q, outcome %v, seen %v", a.Reason, a.Outcome, a.Verified)
				}
				if err := l.Arm(t.Context(), "tidy"); (err == nil) != c.again {
					t.Errorf("beginning it again: %v", err)
				}
				again, err := runbooks.Fold(j.events)
				must(t, err)
				if it, _ := again.Item("tidy"); it.State != states(l)["tidy"] {
					t.Errorf("folded again it is %s", it.State)
				}
			})
		})
	}
}

// unseen is a yard whose starts fail after something became of the step.
type unseen struct {
	*yard
	then func(*yard)
}

func (u unseen) Start(step string) (runbooks.ActionStarted, error) {
	u.then(u.yard)
	return u.yard.Start(step)
}

// TestAStartThatNobodySawIsLookedAt: it is neither taken back nor counted as
// begun until its folder tells.
func TestAStartThatNobodySawIsLookedAt(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*yard)
		want runbooks.State
	}{
		{"it began and ended well", func(y *yard) { y.ends("step-1", checks.OK, false) }, runbooks.Passed},
		{"it is gone", func(y *yard) { y.dies("step-1") }, runbooks.Interrupted},
		{"it never began", func(*yard) {}, runbooks.Interrupted},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newYard()
				y.startErr = fmt.Errorf("%w: too many open files", runbooks.ErrMayHaveBegun)
				o := windowOptions(&memory{}, y)
				o.Actions.Deeds = unseen{y, c.then}
				l := drive(t, o)
				defer l.Close()
				if c.want == runbooks.Passed {
					y.sees(true)
				}
				must(t, l.Approve("tidy", "", arm(t, l, "tidy")))
				later(time.Second)
				stateOf(t, l, "tidy", c.want)
			})
		})
	}
}

// TestAStepThatCannotBeStartedMayBeTriedAgain: it is known that nothing was begun.
func TestAStepThatCannotBeStartedMayBeTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.startErr = errors.New("reserving room for the result: no space left on device")
		l := drive(t, windowOptions(&memory{}, y))
		defer l.Close()
		if err := l.Approve("tidy", "", arm(t, l, "tidy")); err == nil {
			t.Fatal("a step that did not start was taken for one that did")
		}
		if a := stateOf(t, l, "tidy", runbooks.Errored); !a.Outcome.Untouched {
			t.Errorf("%+v", a.Outcome)
		}
		y.startErr = nil
		arm(t, l, "tidy")
	})
}
