package logs

import "time"

// A memo is the last stamp that was read in full, and what it says of every
// other stamp that starts with the same text. Log lines come by the million
// and nearly all are of the minute of the line before, so that comparing a few
// bytes does for parsing.
type memo struct {
	from   int  // where the stamp's text begins
	floats bool // no: it must be looked for in each line
	text   [48]byte
	n      int // bytes of text in use; 0: the memo is empty
	zone   [8]byte
	zoneN  int
	zoneAt int  // behind from
	point  byte // between seconds and fraction; 0 without a fraction
	end    int  // behind from
	place  place
	low    int64 // the first instant of the minute

	// quiet is the level of a line too harmless to count, as written at
	// quietAt.
	quiet   [32]byte
	quietN  int
	quietAt int
}

// stick stores a stamp for the lines to come. A minute that lies across an
// edge of the window, or a stamp too odd to compare, is not stored.
func (o *memo) stick(line []byte, m mark, floats bool, w window) {
	o.n = 0
	low := m.at - m.at%int64(m.span)
	high := low + int64(m.span) + int64(time.Second) // a leap second is the 61st
	if w.place(low) != w.place(high) || m.minute-m.from > len(o.text) || m.end-m.zone > len(o.zone) || m.minute <= m.from {
		return
	}
	o.from, o.floats, o.place, o.low = m.from, floats, w.place(low), low
	o.n = copy(o.text[:], line[m.from:m.minute])
	o.zoneN = copy(o.zone[:], line[m.zone:m.end])
	o.zoneAt, o.end = m.zone-m.from, m.end-m.from
	o.point = 0
	if at := m.minute + secondsLen; at < m.zone && (line[at] == '.' || line[at] == ',') {
		o.point = line[at]
	}
}

// secondsLen is the length of ":12"; of a number it is just three more digits.
const secondsLen = 3

// hit reports whether the line's stamp at from is of the minute stored and
// ends where that one did.
func (o *memo) hit(line []byte, from int) bool {
	return o.n > 0 && from >= 0 && len(line) >= from+o.end &&
		string(line[from:from+o.n]) == string(o.text[:o.n]) && o.sameEnd(line, from)
}

// sameEnd compares what follows the minute: fraction, zone, and that nothing
// makes them longer.
func (o *memo) sameEnd(line []byte, from int) bool {
	end := from + o.end
	if string(line[from+o.zoneAt:end]) != string(o.zone[:o.zoneN]) || !o.sameFraction(line, from) {
		return false
	}
	if end == len(line) {
		return true
	}
	b := line[end]
	return (b < '0' || b > ':') && (o.zoneN > 0 || !zoneLike(line, end)) // no longer fraction, no other zone
}

// sameFraction reports whether the seconds have a fraction as they had then.
func (o *memo) sameFraction(line []byte, from int) bool {
	if o.point == 0 {
		return o.zoneN > 0 || from+o.end+1 >= len(line) || line[from+o.end] != '.' && line[from+o.end] != ',' ||
			line[from+o.end+1] < '0' || line[from+o.end+1] > '9'
	}
	last := line[from+o.zoneAt-1]
	return line[from+o.n+secondsLen] == o.point && last >= '0' && last <= '9'
}

// zoneLike reports whether what follows a stamp without a zone might be one.
func zoneLike(line []byte, i int) bool {
	switch line[i] {
	case 'Z', '+', '-':
		return true
	case ' ':
	default:
		return false
	}
	if i+4 > len(line) {
		return false
	}
	if b := line[i+1]; b == '+' || b == '-' {
		return digits(line, i+2, 2) >= 0
	}
	end := i + 1
	for end < len(line) && line[end] >= 'A' && line[end] <= 'Z' {
		end++
	}
	n := end - i - 1
	return n >= 3 && n <= 5 && levelWord(line[i+1:end]) == noLevel
}

// isQuiet reports whether the line is like the last harmless one: of the same
// minute, inside the window, and of the same level at the same place. What
// follows a plain line's stamp is compared with the level, so that the end of
// the stamp needs no second look.
func (s *stamper) isQuiet(line []byte) bool {
	o := &s.memo[0]
	if isJSON(line) {
		o = &s.memo[1]
	}
	end := o.quietAt + o.quietN
	return o.quietN > 0 && o.place == inside && len(line) > max(end, o.from+o.end) &&
		string(line[o.quietAt:end]) == string(o.quiet[:o.quietN]) &&
		string(line[o.from:o.from+o.n]) == string(o.text[:o.n]) && o.n > 0 &&
		(o.quietAt == o.from+o.end && o.zoneN == 0 || o.sameEnd(line, o.from))
}

// hush remembers a harmless line's level, which for a plain line is what
// follows its stamp up to the byte behind the level.
func (s *stamper) hush(line []byte, end int) {
	o, at := &s.memo[0], end
	if isJSON(line) {
		o, at = &s.memo[1], s.shape.levelAt
		end = at + len(s.shape.levelKey)
	}
	o.quietN = 0
	if o.n == 0 || o.floats || at != o.from+o.end && o == &s.memo[0] {
		return
	}
	for end < len(line) && !isWord(line[end]) {
		end++
	}
	for end < len(line) && isWord(line[end]) {
		end++
	}
	if end+1 < len(line) && end+1-at <= len(o.quiet) {
		o.quietAt, o.quietN = at, copy(o.quiet[:], line[at:end+1])
	}
}

// place is look for lines by the million: it says where the line stands to
// the window, where its stamp ends, and parses only once a minute.
func (s *stamper) place(line []byte) (p place, end int) {
	if isJSON(line) {
		return s.placeJSON(line)
	}
	if o := &s.memo[0]; o.n > 0 {
		from := o.from
		if o.floats {
			from = startCombined(line)
		}
		if o.hit(line, from) {
			s.near = o.low
			return o.place, from + o.end
		}
	}
	if isContinuation(line) {
		return unstamped, 0
	}
	m, f, ok := s.lookText(line)
	if !ok {
		return unstamped, 0
	}
	s.near = m.at
	s.memo[0].stick(line, m, f.name == "combined", s.win)
	return s.win.place(m.at), m.end
}

func (s *stamper) placeJSON(line []byte) (p place, end int) {
	if !s.json {
		return unstamped, 0
	}
	if o := &s.memo[1]; o.hit(line, o.from) {
		s.near = o.low
		return o.place, o.from + o.end
	}
	m, ok := s.lookJSON(line)
	if !ok {
		return unstamped, 0
	}
	s.near = m.at
	s.memo[1].stick(line, m, false, s.win)
	return s.win.place(m.at), m.end
}
