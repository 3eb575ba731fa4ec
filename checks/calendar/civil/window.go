package civil

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A Window says when maintenance may be done: on which days, from when, for
// how long. The zero Window never opens.
type Window struct {
	Days    Days
	Start   time.Duration  // wall clock since midnight
	Length  time.Duration  // elapsed time, at most 24 h
	Notice  time.Duration  // how long before it people are told; whole days are calendar days
	Reserve time.Duration  // kept back at the end for putting things back
	Zone    *time.Location // nil means UTC
}

// longestWindow keeps the openings of a daily window apart.
const longestWindow = 24 * time.Hour

// ParseWindow reads days and start and holds the whole to Validate.
func ParseWindow(days, start string, length, notice, reserve time.Duration, zone *time.Location) (Window, error) {
	w := Window{Length: length, Notice: notice, Reserve: reserve, Zone: zone}
	var err error
	if w.Days, err = ParseDays(days); err != nil {
		return Window{}, fmt.Errorf("days: %w", err)
	}
	if w.Start, err = ParseClock(start); err != nil {
		return Window{}, fmt.Errorf("start: %w", err)
	}
	if err := w.Validate(); err != nil {
		return Window{}, err
	}
	return w, nil
}

// Validate reports what is wrong with a window's lengths. Its errors begin
// with the name of the value that is wrong: "length", "notice", "reserve".
func (w Window) Validate() error {
	switch {
	case w.Days.IsZero():
		return fmt.Errorf("days: none are given (%s)", daysForm)
	case w.Start < 0 || w.Start >= 24*time.Hour:
		return fmt.Errorf("start: %v is not a time of day", w.Start)
	case w.Length <= 0:
		return fmt.Errorf("length: %s is no time at all", fact.FormatDuration(w.Length))
	case w.Length > longestWindow:
		return fmt.Errorf("length: %s is longer than a day", fact.FormatDuration(w.Length))
	case w.Notice < 0:
		return fmt.Errorf("notice: %s would come after the window", fact.FormatDuration(w.Notice))
	case w.Reserve < 0 || w.Reserve >= w.Length:
		return fmt.Errorf("reserve: %s leaves nothing of a window of %s", fact.FormatDuration(w.Reserve), fact.FormatDuration(w.Length))
	}
	return nil
}

// In is the window in a zone, if it names none itself.
func (w Window) In(zone *time.Location) Window {
	if w.Zone == nil {
		w.Zone = zone
	}
	return w
}

func (w Window) zone() *time.Location {
	if w.Zone == nil {
		return time.UTC
	}
	return w.Zone
}

// String is "first sun 02:00, 2 h, Europe/Paris".
func (w Window) String() string {
	return fmt.Sprintf("%v %s, %s, %v", w.Days, FormatClock(w.Start), fact.FormatDuration(w.Length), w.zone())
}

// furthestSearch is more days than any window takes to come again: a monthly
// one whose day a zone leaves out needs two months.
const furthestSearch = 100

// Next is the opening that the instant is in, or the first one after it. The
// zero Opening means that there is none.
func (w Window) Next(at time.Time) Opening {
	if w.Validate() != nil {
		return Opening{}
	}
	// An opening that began two days ago is over: none is longer than a day.
	day := DateOf(at.In(w.zone())).AddDays(-2)
	for range furthestSearch {
		if o, ok := w.on(day); ok && at.Before(o.End) {
			return o
		}
		day = day.AddDays(1)
	}
	return Opening{}
}

// At is the opening that the instant is in, if it is in one.
func (w Window) At(at time.Time) (Opening, bool) {
	if o := w.Next(at); o.Contains(at) {
		return o, true
	}
	return Opening{}, false
}

// on is the opening of a day. A day that the zone leaves out has none.
func (w Window) on(day Date) (Opening, bool) {
	zone := w.zone()
	if !w.Days.Has(day) || DateOf(day.Instant(0, zone)) != day {
		return Opening{}, false
	}
	o := Opening{Start: day.Instant(w.Start, zone)}
	o.Missing = !wallTime(o.Start).Equal(day.UTC().Add(w.Start))
	o.End = w.end(day, o.Start)
	o.Shortened = w.Length - o.End.Sub(o.Start)
	o.Repeated = repeated(o.Start, day.Instant(w.Start+w.Length, zone))
	o.Abort = o.End.Add(-w.Reserve)
	if o.Abort.Before(o.Start) { // what a gap left is shorter than the reserve
		o.Abort = o.Start
	}
	o.Notice = w.notice(day)
	return o, true
}

// end is the start and the length, but never later than the wall time that was
// announced. Where a gap swallows the window whole, it is held right after the
// gap, as a night's cron jobs are: a month without its window would be worse.
func (w Window) end(day Date, start time.Time) time.Time {
	end := start.Add(w.Length)
	if announced := day.Instant(w.Start+w.Length, w.zone()); announced.After(start) && announced.Before(end) {
		return announced
	}
	return end
}

// repeated reports whether the clock is set back between the two instants, or
// shows the first of them once more.
func repeated(start, end time.Time) bool {
	_, change := start.ZoneBounds()
	if change.IsZero() {
		return false
	}
	_, before := start.Zone()
	_, after := change.In(start.Location()).Zone()
	back := time.Duration(before-after) * time.Second
	return back > 0 && (change.Before(end) || change.Sub(start) <= back)
}

// notice takes whole days on the calendar, the rest on the clock.
func (w Window) notice(day Date) time.Time {
	const whole = 24 * time.Hour
	days, rest := int(w.Notice/whole), w.Notice%whole
	return day.AddDays(-days).Instant(w.Start, w.zone()).Add(-rest)
}
