package civil

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// An Opening is one turn of a window, as instants in the window's zone.
type Opening struct {
	Start  time.Time
	End    time.Time // first instant after it
	Abort  time.Time // after this, what is not done is put back
	Notice time.Time // latest moment to tell people

	// What a clock that is set forward or back does to it.
	Missing   bool          // the start does not exist that night: it opens right after the gap
	Shortened time.Duration // how much of the length the gap takes
	Repeated  bool          // the clock shows an hour of it twice: Start is the first, End is by elapsed time
}

// IsZero reports whether there is no opening.
func (o Opening) IsZero() bool { return o.Start.IsZero() }

// Contains reports whether the instant is in the opening.
func (o Opening) Contains(t time.Time) bool { return !t.Before(o.Start) && t.Before(o.End) }

// Length is how long it is open, elapsed.
func (o Opening) Length() time.Duration { return o.End.Sub(o.Start) }

// Notes says what the clocks do to the opening, one sentence each; none on
// ordinary nights.
func (o Opening) Notes() []string {
	var notes []string
	if o.Missing {
		notes = append(notes, fmt.Sprintf("the clocks go forward: it opens at %s, the announced start does not exist", o.Start.Format("15:04 MST")))
	}
	if o.Shortened > 0 {
		notes = append(notes, fmt.Sprintf("the clocks go forward: it is %s shorter and closes at %s as announced", fact.FormatDuration(o.Shortened), o.End.Format("15:04 MST")))
	}
	if o.Repeated {
		notes = append(notes, fmt.Sprintf("the clocks go back: it opens at %s, the first of the two, and closes after %s at %s",
			o.Start.Format("15:04 MST"), fact.FormatDuration(o.Length()), o.End.Format("15:04 MST")))
	}
	return notes
}

// A Budget is how the time of an opening stands.
type Budget struct {
	Elapsed   time.Duration // of the opening; 0 before it
	Left      time.Duration // until its end; 0 after it
	ToAbort   time.Duration // until the abort point; negative after it
	Share     float64       // Elapsed of its length; above 1 after its end
	Overrun   time.Duration // by how much the estimate ends after the opening; 0 if it fits
	PastAbort bool
	Level     checks.Level // OK; Warn from half of it on or past the abort point; Crit with an Overrun
}

// warnShare is the share of the time from which the budget warns (guide).
const warnShare = 0.5

// Budget weighs what is left of the opening against the estimate of what
// remains to be done.
func (o Opening) Budget(now time.Time, estimate time.Duration) Budget {
	b := Budget{
		Elapsed: max(0, now.Sub(o.Start)),
		ToAbort: o.Abort.Sub(now),
		Level:   checks.OK,
	}
	b.Left = max(0, o.Length()-b.Elapsed)
	if o.Length() > 0 {
		b.Share = float64(b.Elapsed) / float64(o.Length())
	}
	b.PastAbort = b.ToAbort <= 0
	b.Overrun = max(0, b.Elapsed+max(0, estimate)-o.Length())
	switch {
	case b.Overrun > 0 || !now.Before(o.End):
		b.Level = checks.Crit
	case b.Share >= warnShare || b.PastAbort:
		b.Level = checks.Warn
	}
	return b
}
