package civil

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// Days are the days a window opens on: "daily", "sun", "first sun", "2nd tue",
// "last fri", "15" (of the month), "last" (of the month). The zero Days never
// come.
type Days struct {
	kind    daysKind
	weekday time.Weekday
	nth     int // of a month's weekdays: 1 to 4, -1 for the last
	day     int // of a month: 1 to 31, clamped to the month's length
}

type daysKind uint8

const (
	noDay daysKind = iota
	everyDay
	everyWeek
	nthWeekday
	dayOfMonth
)

// longestMonth as a day of the month is the last of every month.
const longestMonth = 31

// ordinals are the words for the turn of a weekday in its month. A fifth is
// missing because not every month has one.
var ordinals = []struct {
	word, short string
	nth         int
}{
	{"first", "1st", 1}, {"second", "2nd", 2}, {"third", "3rd", 3}, {"fourth", "4th", 4}, {"last", "last", -1},
}

const daysForm = `write "first sun", "sun", "2nd tue", "last fri", "daily" or "15"`

// ParseDays reads the days of a window. An error says how they are written,
// and which word was probably meant.
func ParseDays(text string) (Days, error) {
	words := strings.Fields(strings.ToLower(text))
	switch len(words) {
	case 1:
		return parseDay(words[0])
	case 2:
		nth, err := parseOrdinal(words[0])
		if err != nil {
			return Days{}, err
		}
		weekday, ok := parseWeekday(words[1])
		if !ok {
			return Days{}, fmt.Errorf("%q is not a weekday%s", words[1], hint(words[1], weekdayWords()))
		}
		return Days{kind: nthWeekday, nth: nth, weekday: weekday}, nil
	}
	return Days{}, fmt.Errorf("%q is not a day (%s)", text, daysForm)
}

func parseDay(word string) (Days, error) {
	switch word {
	case "daily":
		return Days{kind: everyDay}, nil
	case "last":
		return Days{kind: dayOfMonth, day: longestMonth}, nil
	}
	if weekday, ok := parseWeekday(word); ok {
		return Days{kind: everyWeek, weekday: weekday}, nil
	}
	if n, err := strconv.Atoi(word); err == nil {
		if n < 1 || n > longestMonth {
			return Days{}, fmt.Errorf("%d is not a day of the month (1 to 31)", n)
		}
		return Days{kind: dayOfMonth, day: n}, nil
	}
	near := hint(word, append(weekdayWords(), "daily", "last"))
	if near == "" {
		near = " (" + daysForm + ")"
	}
	return Days{}, fmt.Errorf("%q is not a day%s", word, near)
}

func parseOrdinal(word string) (int, error) {
	var words []string
	for _, o := range ordinals {
		if word == o.word || word == o.short {
			return o.nth, nil
		}
		words = append(words, o.word, o.short)
	}
	if word == "fifth" || word == "5th" {
		return 0, fmt.Errorf(`not every month has a fifth weekday (write "last")`)
	}
	near := hint(word, words)
	if near == "" {
		near = " (first, second, third, fourth or last)"
	}
	return 0, fmt.Errorf("%q does not say which weekday of the month%s", word, near)
}

// parseWeekday takes the first three letters and the full name.
func parseWeekday(word string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if full := strings.ToLower(day.String()); word == full || word == full[:3] {
			return day, true
		}
	}
	return 0, false
}

func weekdayWords() []string {
	return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
}

// hint is `, did you mean "sun"?`, or nothing where no word is near.
func hint(word string, words []string) string {
	if near := checks.Nearest(word, words); strings.HasPrefix(near, "did") {
		return ", " + near
	}
	return ""
}

// IsZero reports whether no days were given.
func (d Days) IsZero() bool { return d.kind == noDay }

// String is the days the way ParseDays reads them.
func (d Days) String() string {
	weekday := strings.ToLower(d.weekday.String())[:3]
	switch d.kind {
	case everyDay:
		return "daily"
	case everyWeek:
		return weekday
	case nthWeekday:
		for _, o := range ordinals {
			if o.nth == d.nth {
				return o.word + " " + weekday
			}
		}
	case dayOfMonth:
		if d.day == longestMonth {
			return "last"
		}
		return strconv.Itoa(d.day)
	}
	return ""
}

// Has reports whether the date is one of the days.
func (d Days) Has(date Date) bool {
	switch d.kind {
	case everyDay:
		return true
	case everyWeek:
		return date.Weekday() == d.weekday
	case nthWeekday:
		if date.Weekday() != d.weekday {
			return false
		}
		if d.nth < 0 {
			return date.Day+7 > date.MonthDays()
		}
		return (date.Day+6)/7 == d.nth
	case dayOfMonth:
		return date.Day == min(d.day, date.MonthDays())
	}
	return false
}
