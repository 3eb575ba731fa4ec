package calendar

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cronSpec is the five fields of a crontab line as sets of bits.
type cronSpec struct {
	minute, hour, day, month, weekday uint64
	anyDay                            bool // day or weekday begins with "*": both must match, else either
}

// cronFields are the limits and names of the fields. A weekday is 0 to 7,
// both ends being sunday.
var cronFields = []struct {
	name        string
	least, most int
	words       []string // from least on
}{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"}},
}

// cronNicknames stand for five fields. @reboot has no time and is not among them.
var cronNicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// parseCronSpec reads five fields.
func parseCronSpec(fields []string) (cronSpec, error) {
	if len(fields) != len(cronFields) {
		return cronSpec{}, fmt.Errorf("%d fields of a time, expected %d", len(fields), len(cronFields))
	}
	var sets [5]uint64
	for i, text := range fields {
		var err error
		if sets[i], err = parseCronField(i, strings.ToLower(text)); err != nil {
			return cronSpec{}, err
		}
	}
	const sunday = 1 << 7
	if sets[4]&sunday != 0 {
		sets[4] |= 1
	}
	anyDay := strings.HasPrefix(fields[2], "*") || strings.HasPrefix(fields[4], "*")
	return cronSpec{sets[0], sets[1], sets[2], sets[3], sets[4], anyDay}, nil
}

func parseCronField(i int, text string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(text, ",") {
		first, last, step, err := cronRange(i, part)
		if err != nil {
			return 0, fmt.Errorf("%q is not a %s", part, cronFields[i].name)
		}
		for n := first; n <= last; n += step {
			set |= 1 << n
		}
	}
	return set, nil
}

// cronRange reads "*", "5", "mon-fri", "*/10", "8-18/2". A random time,
// "10~50", may be any of its range.
func cronRange(i int, part string) (first, last, step int, err error) {
	field := cronFields[i]
	span, every, stepped := strings.Cut(part, "/")
	step = 1
	if stepped {
		if step, err = strconv.Atoi(every); err != nil || step < 1 || step > field.most {
			return 0, 0, 0, fmt.Errorf("bad step")
		}
	}
	if span == "*" {
		return field.least, field.most, step, nil
	}
	from, to, ranged := strings.Cut(strings.Replace(span, "~", "-", 1), "-")
	if first, err = cronNumber(i, from); err != nil {
		return 0, 0, 0, err
	}
	last = first
	if ranged {
		last, err = cronNumber(i, to)
	} else if stepped {
		last = field.most
	}
	if err == nil && last < first {
		err = fmt.Errorf("backwards")
	}
	return first, last, step, err
}

func cronNumber(i int, text string) (int, error) {
	field := cronFields[i]
	for j, word := range field.words {
		if text == word {
			return field.least + j, nil
		}
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err == nil && (int(n) < field.least || int(n) > field.most) {
		err = fmt.Errorf("out of range")
	}
	return int(n), err
}

// at reports whether the entry fires in the minute that the wall clock shows.
func (s cronSpec) at(wall time.Time) bool {
	if s.minute>>wall.Minute()&1 == 0 || s.hour>>wall.Hour()&1 == 0 || s.month>>int(wall.Month())&1 == 0 {
		return false
	}
	day, weekday := s.day>>wall.Day()&1 == 1, s.weekday>>int(wall.Weekday())&1 == 1
	if s.anyDay {
		return day && weekday
	}
	return day || weekday
}

// firings are the instants from start until before end at which the entry
// fires in the zone. What a gap of the clock skips fires right after it, as
// cron does; what is repeated is counted twice, as some crons do.
func (s cronSpec) firings(start, end time.Time, zone *time.Location) []time.Time {
	var at []time.Time
	t := start.Truncate(time.Minute)
	if t.Before(start) {
		t = t.Add(time.Minute)
	}
	before := shown(t.Add(-time.Minute), zone)
	for ; t.Before(end); t = t.Add(time.Minute) {
		wall := shown(t, zone)
		if s.between(before, wall) {
			at = append(at, t.In(zone))
		}
		before = wall
	}
	return at
}

// longestGap is more than any zone ever skipped: a day.
const longestGap = 25 * time.Hour

// between reports whether the entry fires after one wall time until another,
// a minute later or beyond a gap. Where the clock was set back, the later one
// alone counts.
func (s cronSpec) between(before, wall time.Time) bool {
	for gap := wall.Sub(before); gap > time.Minute && gap < longestGap; gap = wall.Sub(before) {
		before = before.Add(time.Minute)
		if s.at(before) {
			return true
		}
	}
	return s.at(wall)
}

// shown is what the zone's clock shows, as an instant of UTC.
func shown(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}
