package logs

import (
	"bytes"
	"time"
)

// A memo is the last stamp that was read in full, and what it proves about
// other lines: log lines come by the million and nearly all are of the minute
// of the line before, so that comparing a few bytes does for parsing.
//
// A memo answers only where it proves what parsing would answer. It holds
// everything parsing looked at: the text up to the minute, the shape of the
// clock behind it, the zone, and what may follow. Whatever differs is parsed.
type memo struct {
	floats bool       // the stamp has no fixed place: text begins at it, not at the line
	text   [128]byte  // what stands before the seconds
	n      int        // bytes of text in use; 0: the memo is empty
	clock  clockShape // from the seconds to the zone
	zone   [12]byte
	zoneN  int
	end    int // of the stamp, from where text begins
	place  place
	low    int64 // the first instant of the minute

	form   *format  // of a plain line
	from   int      // where its stamp begins, of a format inside the line
	rivals [][]byte // of a JSON line: quoted keys that would have been taken instead

	// harmless: the line's level is too low to count, and is written in text
	// or in quiet, which follows the stamp up to the byte behind the level.
	harmless bool
	quiet    [64]byte
	quietN   int
}

// stick stores the stamp of a line for the lines to come; base is where the
// memo's text is to begin. A minute that lies across an edge of the window, or
// a stamp too odd to compare, is not stored.
func (o *memo) stick(line []byte, m mark, base int, w window) {
	o.n, o.harmless, o.form, o.rivals = 0, false, nil, nil
	low := m.at - m.at%int64(m.span)
	high := low + int64(m.span) + int64(time.Second) // a leap second is the 61st
	n, clock, zone := m.minute-base, m.zone-m.minute, m.end-m.zone
	if w.place(low) != w.place(high) || n <= 0 || n > len(o.text) ||
		clock < 0 || clock > clockLimit || zone < 0 || zone > len(o.zone) {
		return
	}
	o.n = copy(o.text[:], line[base:m.minute])
	o.clock = shapeOf(line[m.minute:m.zone], m.span == time.Minute)
	o.zoneN = copy(o.zone[:], line[m.zone:m.end])
	o.end, o.place, o.low = m.end-base, w.place(low), low
}

// hit reports whether the line's stamp, whose text begins at base, is of the
// minute stored and ends where that one did.
func (o *memo) hit(line []byte, base int) bool {
	return o.same(line, base) && o.endsAt(line, base+o.end)
}

// same compares all of the stamp but what follows it.
func (o *memo) same(line []byte, base int) bool {
	end := base + o.end
	return o.n > 0 && base >= 0 && len(line) >= end &&
		string(line[base:base+o.n]) == string(o.text[:o.n]) &&
		string(line[end-o.zoneN:end]) == string(o.zone[:o.zoneN]) &&
		o.clock.fits(line[base+o.n:])
}

// endsAt reports whether nothing behind a stamp makes it a longer one, or
// gives it another zone.
func (o *memo) endsAt(line []byte, end int) bool {
	if end >= len(line) {
		return true
	}
	b := line[end]
	switch {
	case o.zoneN > 0:
		return !isWord(b) && b != ':'
	case o.form != nil && !o.clock.seconds:
		return b == ' ' || b == '\t' // a number is a stamp only if it is a word
	case b >= '0' && b <= ':' || o.clock.n <= secondsLen && (b == '.' || b == ','):
		return false
	}
	return !zoneLike(line, end)
}

// secondsLen is the length of ":12"; what is longer has a fraction.
const secondsLen = 3

// zoneLike reports whether what follows a stamp without a zone might be one.
func zoneLike(line []byte, i int) bool {
	switch line[i] {
	case 'Z', '+', '-':
		return true
	case ' ':
	default:
		return false
	}
	i++
	if i == len(line) {
		return false
	}
	if b := line[i]; b == '+' || b == '-' {
		return digits(line, i+1, 2) >= 0
	}
	end := i
	for end < len(line) && line[end] >= 'A' && line[end] <= 'Z' {
		end++
	}
	n := end - i
	return n == 1 && line[i] == 'Z' || n >= 3 && n <= 5 && levelWord(line[i:end]) == noLevel
}

// rivalled reports whether a JSON line has a key that would be taken for the
// time instead of the one that the memo knows.
func (o *memo) rivalled(line []byte) bool {
	for _, key := range o.rivals {
		if bytes.Contains(line[o.end:], key) {
			return true
		}
	}
	return false
}

// isQuiet reports whether the line is like the last harmless one: of the same
// minute, inside the window, and of the same level at the same place. What
// follows a stamp is compared up to the level, so that the stamp's end needs no
// second look.
func (s *stamper) isQuiet(line []byte) bool {
	o := &s.memo[0]
	if isJSON(line) {
		o = &s.memo[1]
	}
	if !o.harmless || !o.same(line, 0) {
		return false
	}
	if o.quietN == 0 {
		return o.endsAt(line, o.end) && !o.rivalled(line)
	}
	return len(line) >= o.end+o.quietN && string(line[o.end:o.end+o.quietN]) == string(o.quiet[:o.quietN]) && !o.rivalled(line)
}

// hush remembers that the line, whose stamp was placed last, is harmless by a
// level whose word ends at levelEnd. The byte behind the word is part of the
// proof: it decides that this is the whole word, and that it is a level.
func (s *stamper) hush(line []byte, levelEnd int) {
	o := &s.memo[0]
	if isJSON(line) {
		o = &s.memo[1]
	}
	o.harmless = false
	if o.n == 0 || o.floats || o.form != nil && o.form.inside || o.place != inside || levelEnd <= 0 || levelEnd >= len(line) {
		return
	}
	switch behind := levelEnd + 1; {
	case behind <= o.n:
		o.quietN = 0
	case behind > o.end && behind-o.end <= len(o.quiet):
		o.quietN = copy(o.quiet[:], line[o.end:behind])
	default:
		return
	}
	o.harmless = true
}

// place is look for lines by the million: it says where the line stands to
// the window, where its stamp ends, and parses only once a minute.
func (s *stamper) place(line []byte) (p place, end int) {
	if isJSON(line) {
		return s.placeJSON(line)
	}
	if end, ok := s.recall(line); ok {
		s.near, s.from = s.memo[0].low, s.memo[0].from
		return s.memo[0].place, end
	}
	if isContinuation(line) {
		return unstamped, 0
	}
	m, f, ok := s.lookText(line)
	if !ok {
		return unstamped, 0
	}
	s.near, s.from = m.at, 0
	if f.inside {
		s.from = m.from
	}
	base, floats := 0, f.floats
	if floats {
		base = m.from
	}
	s.memo[0].stick(line, m, base, s.win)
	s.memo[0].form, s.memo[0].floats, s.memo[0].from = f, floats, s.from
	return s.win.place(m.at), m.end
}

// recall is the end of a plain line's stamp if the memo knows it. A stamp that
// does not begin the line counts only where no format tried earlier has one.
func (s *stamper) recall(line []byte) (end int, ok bool) {
	o := &s.memo[0]
	if o.n == 0 {
		return 0, false
	}
	base := 0
	if o.floats {
		base = o.form.start(line)
	}
	if !o.hit(line, base) {
		return 0, false
	}
	if (o.floats || o.form.inside) && (isContinuation(line) || s.dated(line, o.form)) {
		return 0, false
	}
	return base + o.end, true
}

func (s *stamper) placeJSON(line []byte) (p place, end int) {
	if !s.json {
		return unstamped, 0
	}
	o := &s.memo[1]
	if o.hit(line, 0) && !o.rivalled(line) {
		s.near = o.low
		return o.place, o.end
	}
	m, rank, ok := s.lookJSON(line)
	if !ok {
		return unstamped, 0
	}
	s.near = m.at
	o.stick(line, m, 0, s.win)
	o.rivals = quotedTimeKeys[:rank]
	return s.win.place(m.at), m.end
}
