// Package civil knows days and hours as a wall clock shows them: the instant
// of a wall time in a zone, and the maintenance windows made of such times.
//
// Dates are computed on the calendar and only then turned into instants, so
// that the nights on which a clock is set forward or back come out right. The
// package never asks for the time, opens no file and knows neither runbooks
// nor modules; the zone database is the program's affair. Read window.go first.
package civil

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Date is a day of the calendar, without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the date that the instant has in its own zone.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// UTC is the date's midnight in UTC, the form calendar arithmetic is done in:
// there every day has 24 hours.
func (d Date) UTC() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// Weekday is the date's day of the week.
func (d Date) Weekday() time.Weekday { return d.UTC().Weekday() }

// AddDays moves by days.
func (d Date) AddDays(n int) Date { return DateOf(d.UTC().AddDate(0, 0, n)) }

// AddMonths is the first day of the month that is n months on.
func (d Date) AddMonths(n int) Date {
	return DateOf(time.Date(d.Year, d.Month+time.Month(n), 1, 0, 0, 0, 0, time.UTC))
}

// MonthDays is how many days the date's month has.
func (d Date) MonthDays() int {
	return time.Date(d.Year, d.Month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// WithDay sets the day, clamped to the month's length.
func (d Date) WithDay(day int) Date {
	d.Day = min(day, d.MonthDays())
	return d
}

// furthestEast is more than the largest offset of any zone (+14 h), so that an
// instant that much earlier has not reached the wall time yet.
const furthestEast = 16 * time.Hour

// Instant is the first instant at which the zone's wall clock shows this time
// of this day or a later one. A time in a gap is thus the first instant after
// it, a repeated one the first of the two. The clock may be beyond 24 hours.
//
// time.Date does not promise either, and makes 23:00 of the day before out of
// a midnight that does not exist.
func (d Date) Instant(clock time.Duration, zone *time.Location) time.Time {
	wall := d.UTC().Add(clock)
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

// wallTime is what the zone's clock shows at the instant, as an instant of
// UTC: two of them can be subtracted.
func wallTime(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}

// ParseClock reads a time of day, "02:00", as the time since midnight.
func ParseClock(text string) (time.Duration, error) {
	h, m, ok := strings.Cut(text, ":")
	hours, err1 := strconv.ParseUint(h, 10, 8)
	minutes, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err1 != nil || err2 != nil || len(h) > 2 || len(m) != 2 || hours > 23 || minutes > 59 {
		return 0, fmt.Errorf("%q is not a time of day (write 12:00)", text)
	}
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute, nil
}

// FormatClock writes a time of day the way ParseClock reads it.
func FormatClock(clock time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(clock/time.Hour), int(clock%time.Hour/time.Minute))
}
