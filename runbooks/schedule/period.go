package schedule

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
)

// A Period is one turn of a section: a day, a week from monday, a month, a
// quarter. The zero Period belongs to a plan that does not recur.
type Period struct {
	Name    string    // "2026-11-23", "2026-W48", "2026-11", "2026-Q4"
	Start   time.Time // first instant
	End     time.Time // first instant of the next period
	Due     time.Time
	Overdue time.Time // Due and the grace

	first civil.Date
}

// Contains reports whether the instant is in the period.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.Start) && t.Before(p.End) }

// Period is the period the instant is in.
func (p Plan) Period(at time.Time) Period {
	if !p.Recurs() {
		return Period{}
	}
	period := p.from(p.first(civil.DateOf(at.In(p.zone()))))
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
func (p Plan) first(d civil.Date) civil.Date {
	switch p.Cadence {
	case Daily:
		return d
	case Weekly:
		return d.AddDays(-(int(d.Weekday()) + 6) % 7)
	case Quarterly:
		d.Month -= (d.Month - 1) % 3
	}
	d.Day = 1
	return d
}

func (p Plan) step(first civil.Date, n int) civil.Date {
	switch p.Cadence {
	case Daily:
		return first.AddDays(n)
	case Weekly:
		return first.AddDays(7 * n)
	case Quarterly:
		return first.AddMonths(3 * n)
	}
	return first.AddMonths(n)
}

func (p Plan) from(first civil.Date) Period {
	zone := p.zone()
	period := Period{
		Name: p.name(first), first: first,
		Start: first.Instant(0, zone),
		End:   p.step(first, 1).Instant(0, zone),
	}
	period.Due = p.due(period)
	period.Overdue = p.afterGrace(period)
	return period
}

func (p Plan) name(first civil.Date) string {
	switch p.Cadence {
	case Daily:
		return first.UTC().Format(time.DateOnly)
	case Weekly:
		year, week := first.UTC().ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Quarterly:
		return fmt.Sprintf("%d-Q%d", first.Year, (first.Month+2)/3)
	}
	return first.UTC().Format("2006-01")
}

func (p Plan) due(period Period) time.Time {
	if !p.Due.Given {
		return period.End
	}
	day := period.first
	switch p.Cadence {
	case Daily, Weekly:
		day = day.AddDays(p.Due.Offset)
	default:
		day = day.AddMonths(p.Due.Month).WithDay(p.Due.Day)
	}
	due := day.Instant(p.Due.Clock, p.zone())
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
	return civil.DateOf(wall).AddDays(days).Instant(clock, p.zone()).Add(rest)
}
