package schedule

import "time"

// State is how a section stands now.
type State string

// The states of a section.
const (
	Never   State = "never done" // never done, and not overdue yet
	DueNow  State = "due"        // this period's turn is open
	Overdue State = "overdue"
	Done    State = "done"        // done in this period
	Unbound State = "no schedule" // the plan does not recur
)

// A Status says how a section stands and when it is due next.
type Status struct {
	State  State
	Period Period    // the one that now is in
	Due    time.Time // of the period that is to be done next
	Since  time.Time // overdue: since when
	Missed int       // whole periods that passed without being done
	Last   time.Time // when it was last done; zero if never
}

// mostMissed bounds the counting of missed periods.
const mostMissed = 1000

// Status tells how the section stands, given when the run that last completed
// it was opened (a run counts for the period it was opened in); zero if it was
// never completed.
//
// A missed period stays overdue until the section is done again: doing it late
// does not need a second run for the period that is over.
func (p Plan) Status(now, last time.Time) Status {
	if !p.Recurs() {
		return Status{State: Unbound, Last: last}
	}
	s := Status{State: DueNow, Period: p.Period(now), Last: last}
	s.Due = s.Period.Due
	if last.IsZero() {
		s.State = Never
		return s.overdueIf(now, s.Period)
	}
	done := p.Period(last)
	if !done.Start.Before(s.Period.Start) {
		s.State, s.Due = Done, p.Next(s.Period).Due
		return s
	}
	missed := p.Next(done)
	for first := missed; missed.Start.Before(s.Period.Start) && s.Missed < mostMissed; missed = p.Next(missed) {
		if s.Missed == 0 {
			s = s.overdueIf(now, first)
		}
		s.Missed++
	}
	if s.State == Overdue {
		return s
	}
	return s.overdueIf(now, s.Period)
}

func (s Status) overdueIf(now time.Time, p Period) Status {
	if !now.Before(p.Overdue) {
		s.State, s.Since = Overdue, p.Overdue
	}
	return s
}
