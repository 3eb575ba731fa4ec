package postgres

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// hours are business hours: "Mon-Fri 08:00-18:00".
type hours struct {
	from, to   time.Weekday
	start, end time.Duration // since midnight
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func parseHours(text string) (hours, error) {
	wrong := fmt.Errorf("%q is not business hours (write Mon-Fri 08:00-18:00)", text)
	days, clock, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		return hours{}, wrong
	}
	first, last, ranged := strings.Cut(strings.ToLower(days), "-")
	if !ranged {
		last = first
	}
	from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
	opens, closes, ok := strings.Cut(strings.TrimSpace(clock), "-")
	if !ok || from < 0 || to < 0 {
		return hours{}, wrong
	}
	start, err := clockTime(opens)
	if err != nil {
		return hours{}, wrong
	}
	end, err := clockTime(closes)
	if err != nil || end <= start {
		return hours{}, wrong
	}
	return hours{time.Weekday(from), time.Weekday(to), start, end}, nil
}

func clockTime(text string) (time.Duration, error) {
	if text == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, err
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

func checkHours(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("%v is not a text", value)
	}
	_, err := parseHours(text)
	return err
}

// within reports whether now is within the hours, by the site's wall clock. A
// range of days may go over the weekend: Sat-Mon.
func within(text string, now time.Time, zone *time.Location) bool {
	h, err := parseHours(text)
	if err != nil {
		return false // checked when the parameter was bound
	}
	if zone != nil {
		now = now.In(zone)
	}
	day := now.Weekday()
	inDays := day >= h.from && day <= h.to
	if h.from > h.to {
		inDays = day >= h.from || day <= h.to
	}
	clock := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute + time.Duration(now.Second())*time.Second
	return inDays && clock >= h.start && clock < h.end
}
