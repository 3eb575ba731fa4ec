package logs

import (
	"bytes"
	"time"
)

// civil is a date and time of day as written, before its zone is known.
type civil struct {
	year, month, day int
	hour, min, sec   int
	nanos            int
}

// valid holds a date to the calendar and to the years a log can be of; a leap
// second is taken for the second after it.
func (c civil) valid() bool {
	return c.year >= 1970 && c.year <= 2200 && c.month >= 1 && c.month <= 12 &&
		c.day >= 1 && c.day <= daysIn(c.year, c.month) &&
		c.hour <= 23 && c.min <= 59 && c.sec <= 60
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// utc is the Unix time in nanoseconds of a civil time in UTC. Howard Hinnant's
// days_from_civil; time.Date is five times slower and normalises nonsense.
func (c civil) utc() int64 {
	y, m := c.year, c.month
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yearOfEra := y - era*400
	dayOfYear := (153*(m-3)+2)/5 + c.day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	days := int64(era)*146097 + int64(dayOfEra) - 719468
	return (days*86400+int64(c.hour*3600+c.min*60+c.sec))*int64(time.Second) + int64(c.nanos)
}

// in is the Unix time in nanoseconds of a civil time in a location.
func (c civil) in(loc *time.Location) int64 {
	if loc == time.UTC {
		return c.utc()
	}
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.min, c.sec, c.nanos, loc).UnixNano()
}

// digits reads exactly n digits at b[i:]; -1 if they are not there.
func digits(b []byte, i, n int) int {
	if len(b) < i+n {
		return -1
	}
	v := 0
	for _, d := range b[i : i+n] {
		if d < '0' || d > '9' {
			return -1
		}
		v = v*10 + int(d-'0')
	}
	return v
}

// clockAt reads 03:07:12 with an optional fraction; end is 0 if it is not there.
func clockAt(b []byte, i int, c *civil) (end int) {
	c.hour, c.min, c.sec = digits(b, i, 2), digits(b, i+3, 2), digits(b, i+6, 2)
	if c.hour < 0 || c.min < 0 || c.sec < 0 || b[i+2] != ':' || b[i+5] != ':' {
		return 0
	}
	i += 8
	if i+1 < len(b) && (b[i] == '.' || b[i] == ',') && b[i+1] >= '0' && b[i+1] <= '9' {
		scale := 100_000_000
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			c.nanos += int(b[i]-'0') * scale
			scale /= 10
		}
	}
	return i
}

// dateAt reads 2026-11-23 or 2026/11/23; end is 0 if it is not there.
func dateAt(b []byte, i int, c *civil) (end int) {
	if len(b) < i+10 || b[i+4] != b[i+7] || b[i+4] != '-' && b[i+4] != '/' {
		return 0
	}
	c.year, c.month, c.day = digits(b, i, 4), digits(b, i+5, 2), digits(b, i+8, 2)
	if c.year < 0 || c.month < 0 || c.day < 0 {
		return 0
	}
	return i + 10
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// monthAt reads a month's English short name; 0 if it is not one.
func monthAt(b []byte, i int) int {
	if len(b) < i+3 {
		return 0
	}
	at := bytes.Index([]byte(months), b[i:i+3])
	if at < 0 || at%3 != 0 {
		return 0
	}
	return at/3 + 1
}
