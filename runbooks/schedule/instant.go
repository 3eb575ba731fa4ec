package schedule

import "time"

// A date is a day of the calendar, without a zone.
type date struct {
	year  int
	month time.Month
	day   int
}

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{y, m, d}
}

// utc is the date's midnight in UTC, the form calendar arithmetic is done in:
// there every day has 24 hours.
func (d date) utc() time.Time { return time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC) }

func (d date) addDays(n int) date { return dateOf(d.utc().AddDate(0, 0, n)) }

// addMonths moves by months from the first of a month.
func (d date) addMonths(n int) date {
	return dateOf(time.Date(d.year, d.month+time.Month(n), 1, 0, 0, 0, 0, time.UTC))
}

// withDay sets the day, clamped to the month's length.
func (d date) withDay(day int) date {
	last := time.Date(d.year, d.month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	d.day = min(day, last)
	return d
}

// furthestEast is more than the largest offset of any zone (+14 h), so that an
// instant that much earlier has not reached the wall time yet.
const furthestEast = 16 * time.Hour

// instant is the first instant at which the zone's wall clock shows this time
// of this day or a later one. A time in a gap is thus the first instant after
// it, a repeated one the first of the two.
//
// time.Date does not promise either, and makes 23:00 of the day before out of
// a midnight that does not exist.
func (d date) instant(clock time.Duration, zone *time.Location) time.Time {
	wall := d.utc().Add(clock)
	t := wall.Add(-furthestEast).In(zone)
	for {
		begin, end := t.ZoneBounds()
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if end.IsZero() || at.Before(end) {
			if !begin.IsZero() && at.Before(begin) {
				at = begin
			}
			return at.In(zone)
		}
		t = end.In(zone)
	}
}
