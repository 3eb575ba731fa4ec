package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/calendar/civil"
)

// Due is a moment inside a period: "12:00", "sun 12:00", "15 12:00",
// "last 12:00", "3-15 12:00". The zero Due is the period's end.
type Due struct {
	Given  bool
	Offset int // days after the period's first day: of a day 0, of a week 0 (monday) to 6
	Month  int // of a quarter: 0 to 2
	Day    int // of a month: 1 to 31, clamped to the month's length; 31 is "last"
	Clock  time.Duration
}

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// dueForms says how a due is written, for error messages.
var dueForms = map[Cadence]string{
	Daily:     "12:00",
	Weekly:    "sun 12:00",
	Monthly:   "15 12:00 or last 12:00",
	Window:    "15 12:00 or last 12:00",
	Quarterly: "3-15 12:00 (month of the quarter, day) or last 12:00",
}

// ParseDue reads a due moment in the form its cadence has.
func ParseDue(c Cadence, text string) (Due, error) {
	form, ok := dueForms[c]
	if !ok {
		return Due{}, fmt.Errorf("cadence %s is never due", c)
	}
	day, clock := "", strings.TrimSpace(text)
	if i := strings.LastIndexByte(clock, ' '); i >= 0 {
		day, clock = strings.TrimSpace(clock[:i]), clock[i+1:]
	}
	d := Due{Given: true}
	var err error
	if d.Clock, err = civil.ParseClock(clock); err != nil || !d.setDay(c, day) {
		return Due{}, fmt.Errorf("%q is not a due time of a %s section (write %s)", text, c, form)
	}
	return d, nil
}

func (d *Due) setDay(c Cadence, day string) bool {
	switch c {
	case Daily:
		return day == ""
	case Weekly:
		for i, name := range weekdays {
			if strings.EqualFold(day, name) {
				d.Offset = i
				return true
			}
		}
		return false
	case Quarterly:
		return d.setQuarterDay(day)
	}
	return d.setMonthDay(day)
}

func (d *Due) setQuarterDay(day string) bool {
	if day == "last" {
		d.Month, d.Day = 2, 31
		return true
	}
	month, rest, ok := strings.Cut(day, "-")
	n, err := strconv.Atoi(month)
	if !ok || err != nil || n < 1 || n > 3 {
		return false
	}
	d.Month = n - 1
	return d.setMonthDay(rest)
}

func (d *Due) setMonthDay(day string) bool {
	if day == "last" {
		d.Day = 31
		return true
	}
	n, err := strconv.Atoi(day)
	d.Day = n
	return err == nil && n >= 1 && n <= 31
}
