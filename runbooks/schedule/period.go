package schedule

import (
	"fmt"
	"time"
)

// A Period is one turn of a section: a day, a week from monday, a month, a
// quarter. The zero Period belongs to a plan that does not recur.
type Period struct {
	Name    string    // "2026-11-23", "2026-W48", "2026-11", "2026-Q4"
	Start   time.Time // first instant
	End     time.Time // first instant of the next period
	Due     time.Time
	Overdue time.Time // Due and the grace

	first date
}

// Contains reports whether the instant is in the period.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.Start) && t.Before(p.End) }

// Period is the period the instant is in.
func (p Plan) Period(at time.Time) Period {
	if !p.Recurs() {
		return Period{}
	}
	period := p.from(p.first(dateOf(at.In(p.zone()))))
	// Where a zone repeats its midnight, the calendar's date and the instant
	// may disagree for an hour; the instant decides.
	for !at.Before(period.End) {
		period = p.Next(period)
	}
	for at.Before(period.Start) {
		period = p.Previous(period)
	}
	return period
}

// Next is the period after. Days that a zone leaves out are left out.
func (p Plan) Next(period Period) Period {
	for {
		period = p.from(p.step(period.first, 1))
		if period.Start.Before(period.End) {
			return period
		}
	}
}

// Previous is the period before.
func (p Plan) Previous(period Period) Period {
	for {
		period = p.from(p.step(period.first, -1))
		if period.Start.Before(period.End) {
			return period
		}
	}
}

// first is the first day of the period that the day is in.
func (p Plan) first(d date) date {
	switch p.Cadence {
	case Daily:
		return d
	case Weekly:
		return d.addDays(-(int(d.utc().Weekday()) + 6) % 7)
	case Quarterly:
		d.month -= (d.month - 1) % 3
	}
	d.day = 1
	return d
}

func (p Plan) step(first date, n int) date {
	switch p.Cadence {
	case Daily:
		return first.addDays(n)
	case Weekly:
		return first.addDays(7 * n)
	case Quarterly:
		return first.addMonths(3 * n)
	}
	return first.addMonths(n)
}

func (p Plan) from(first date) Period {
	zone := p.zone()
	period := Period{
		Name: p.name(first), first: first,
		Start: first.instant(0, zone),
		End:   p.step(first, 1).instant(0, zone),
	}
	period.Due = p.due(period)
	period.Overdue = p.afterGrace(period)
	return period
}

func (p Plan) name(first date) string {
	switch p.Cadence {
	case Daily:
		return first.utc().Format(time.DateOnly)
	case Weekly:
		year, week := first.utc().ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Quarterly:
		return fmt.Sprintf("%d-Q%d", first.year, (first.month+2)/3)
	}
	return first.utc().Format("2006-01")
}

func (p Plan) due(period Period) time.Time {
	if !p.Due.Given {
		return period.End
	}
	day := period.first
	switch p.Cadence {
	case Daily, Weekly:
		day = day.addDays(p.Due.Offset)
	default:
		day = day.addMonths(p.Due.Month).withDay(p.Due.Day)
	}
	due := day.instant(p.Due.Clock, p.zone())
	if due.After(period.End) { // a gap at the period's very end
		return period.End
	}
	return due
}

// afterGrace adds whole days on the calendar, the rest on the clock.
func (p Plan) afterGrace(period Period) time.Time {
	const day = 24 * time.Hour
	days, rest := int(p.Grace/day), p.Grace%day
	if days == 0 {
		return period.Due.Add(rest)
	}
	wall := period.Due.In(p.zone())
	h, m, s := wall.Clock()
	clock := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	return dateOf(wall).addDays(days).instant(clock, p.zone()).Add(rest)
}
