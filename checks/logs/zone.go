package logs

import (
	"time"
)

// zones turns civil times into instants.
type zones struct {
	loc *time.Location // of stamps that name no zone
	now time.Time      // for stamps without a year
}

// offsetAt reads a zone written as Z, +01:00, +0100 or +01, right at b[i] or
// after one space. end is i if there is none.
func offsetAt(b []byte, i int) (seconds, end int, ok bool) {
	at := i
	if at < len(b) && b[at] == ' ' {
		at++
	}
	if at >= len(b) {
		return 0, i, false
	}
	if b[at] == 'Z' && (at+1 == len(b) || !isWord(b[at+1])) {
		return 0, at + 1, true
	}
	if b[at] != '+' && b[at] != '-' {
		return 0, i, false
	}
	hours := digits(b, at+1, 2)
	if hours < 0 || hours > 15 {
		return 0, i, false
	}
	end = at + 3
	minutes := 0
	if end < len(b) && b[end] == ':' {
		end++
	}
	if m := digits(b, end, 2); m >= 0 && m < 60 {
		minutes, end = m, end+2
	} else if b[end-1] == ':' {
		end--
	}
	if end < len(b) && isWord(b[end]) {
		return 0, i, false
	}
	seconds = hours*3600 + minutes*60
	if b[at] == '-' {
		seconds = -seconds
	}
	return seconds, end, true
}

// abbreviations that PostgreSQL and others print and that mean one offset.
// Those with several meanings (IST, CST) are understood only when the source's
// own zone uses them.
var abbreviations = map[string]int{
	"UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
	"EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "JST": 9, "AEST": 10, "AEDT": 11,
}

// named reads a zone's abbreviation after one space. known is false for a
// word that is no zone.
func (z zones) named(b []byte, i int, c civil) (at int64, end int, known bool) {
	if i+3 >= len(b) || b[i] != ' ' || b[i+1] < 'A' || b[i+1] > 'Z' {
		return 0, i, false
	}
	end = i + 1
	for end < len(b) && b[end] >= 'A' && b[end] <= 'Z' {
		end++
	}
	if n := end - i - 1; n < 3 || n > 5 || end < len(b) && (isWord(b[end]) || b[end] == ':') {
		return 0, i, false
	}
	word := b[i+1 : end]
	if local := c.in(z.loc); z.calls(local, word) {
		return local, end, true
	}
	hours, known := abbreviations[string(word)]
	if !known {
		return 0, i, false
	}
	return c.utc() - int64(hours)*int64(time.Hour), end, true
}

// calls reports whether the source's own zone has that name at that instant.
func (z zones) calls(at int64, word []byte) bool {
	name, _ := time.Unix(0, at).In(z.loc).Zone()
	return name == string(word)
}

// resolve turns a civil time and whatever zone follows it into an instant.
// zone and end are where that zone begins and ends.
func (z zones) resolve(b []byte, i int, c civil) (at int64, end int, ok bool) {
	if !c.valid() {
		return 0, 0, false
	}
	if seconds, end, ok := offsetAt(b, i); ok {
		return c.utc() - int64(seconds)*int64(time.Second), end, true
	}
	if at, end, ok := z.named(b, i, c); ok {
		return at, end, true
	}
	if unknownZone(b, i) {
		return 0, 0, false
	}
	return c.in(z.loc), i, true
}

// unknownZone recognises a word in the place where PostgreSQL's %m puts the
// zone that is no zone known here: "12.345 IST [812]". Guessing would put the
// line hours away from where it belongs.
func unknownZone(b []byte, i int) bool {
	if i+5 >= len(b) || b[i] != ' ' {
		return false
	}
	end := i + 1
	for end < len(b) && b[end] >= 'A' && b[end] <= 'Z' {
		end++
	}
	if n := end - i - 1; n < 3 || n > 5 || levelWord(b[i+1:end]) != noLevel {
		return false
	}
	if end >= len(b) {
		return false
	}
	return b[end] == ',' || end+2 < len(b) && b[end] == ' ' && b[end+1] == '[' && b[end+2] >= '0' && b[end+2] <= '9'
}

// shifts reports whether the zone's offset changes near an instant, so that
// stamps without a zone go back by an hour.
func (z zones) shifts(at time.Time) bool {
	_, before := at.Add(-3 * time.Hour).In(z.loc).Zone()
	_, after := at.Add(3 * time.Hour).In(z.loc).Zone()
	return before != after
}

// wordBytes has a bit for each byte of a word: letters, digits, underscore.
var wordBytes = [4]uint64{0x03ff000000000000, 0x07fffffe87fffffe}

func isWord(b byte) bool { return wordBytes[b>>6]&(1<<(b&63)) != 0 }
