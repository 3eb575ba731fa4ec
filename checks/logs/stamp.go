package logs

import (
	"bytes"
	"time"
)

// A mark is a line's time stamp and where it stands.
type mark struct {
	at int64 // Unix time in nanoseconds

	// line[from:minute] names the minute (or, of a number, the 100 seconds);
	// every line that has the same text there is of the same one.
	from, minute int

	zone, end int // line[zone:end] is the zone as written; end is behind the stamp
	span      time.Duration
}

// A format knows one way to write a stamp. start is where in a line it would
// begin, negative if the line cannot have one; most begin at a fixed place.
type format struct {
	name   string
	start  func(line []byte) int
	parse  func(line []byte, from int, z zones) (mark, bool)
	inside bool // it does not begin the line: in a file of another format it is a date in a text
	floats bool // it stands where start finds it, not at the same place in each line
}

// textFormats in the order in which they are tried on every line, so that what
// a line says does not depend on the lines before it.
var textFormats = []*format{
	{name: "iso", start: startISO, parse: parseISO},
	{name: "syslog", start: startSyslog, parse: parseSyslog},
	{name: "redis", start: startRedis, parse: parseRedis},
	{name: "epoch", start: startEpoch, parse: parseEpoch},
	{name: "combined", start: startCombined, parse: parseCombined, floats: true},
	{name: "inline", start: startInline, parse: parseISO, inside: true},
	{name: "date", start: startDate, parse: parseDate, inside: true},
}

// formatsNamed are the formats that a source's "format" allows; JSON lines
// have their own parser. Unknown and empty names mean all.
func formatsNamed(name string) (text []*format, json bool) {
	switch name {
	case "json", "jsonlog":
		return nil, true
	case "iso", "postgres", "csvlog", "nginx":
		return textFormats[:1], false
	case "syslog":
		return textFormats[:2], false
	case "combined":
		return textFormats[4:5], false
	}
	return textFormats, true
}

// A stamper dates the lines of one file. What it says of a line depends on
// that line and on the file's habits, which are settled before the first line
// is read. The memo only makes it quick.
type stamper struct {
	zones  zones
	win    window
	text   []*format
	json   bool
	habits habits
	memo   [2]memo // of text and of JSON lines
	near   int64   // the last stamp that place found, to the minute or better
	from   int     // where that one begins if it does not begin the line
}

// habits are what the first dated lines of a file tell about all of its lines.
type habits struct {
	begins bool // stamps begin the lines: a date further in belongs to a text
	rows   bool // lines are rows of a csvlog, whose quoted texts may hold line ends
}

func newStamper(formatName string, z zones, w window) *stamper {
	text, json := formatsNamed(formatName)
	return &stamper{zones: z, win: w, text: text, json: json, habits: habits{rows: true}}
}

// look reads a line's stamp in full.
func (s *stamper) look(line []byte) (mark, bool) {
	if isJSON(line) {
		if !s.json {
			return mark{}, false
		}
		m, _, ok := s.lookJSON(line)
		return m, ok
	}
	m, _, ok := s.lookText(line)
	return m, ok
}

// lookText tries the formats in their order.
func (s *stamper) lookText(line []byte) (mark, *format, bool) {
	for _, f := range s.text {
		if f.inside && s.habits.begins {
			continue
		}
		if from := f.start(line); from >= 0 {
			if m, ok := f.parse(line, from, s.zones); ok {
				return m, f, true
			}
		}
	}
	return mark{}, nil, false
}

// dated reports whether the line has a stamp in a format that is tried before
// the given one.
func (s *stamper) dated(line []byte, before *format) bool {
	for _, f := range s.text {
		if f == before {
			break
		}
		if from := f.start(line); from >= 0 && (!f.inside || !s.habits.begins) {
			if _, ok := f.parse(line, from, s.zones); ok {
				return true
			}
		}
	}
	return false
}

// habitLines is how many dated lines settle the habits of a file, and
// habitBytes how much text is looked through for them.
const (
	habitLines = 100
	habitBytes = 64 << 10
)

// settle reads on to the first dated line, and from there far enough to learn
// the habits of most lines. first is the time of that line; without any dated
// line it is false.
func (s *stamper) settle(r *lineReader) (first int64, ok bool) {
	dated, begin, rows, last := 0, 0, 0, int64(0)
	var quotes openQuotes
	for dated < habitLines && (dated == 0 || r.lineStart() < last) {
		line, _, more := r.next()
		if !more {
			break
		}
		if quotes.holds(line) {
			continue
		}
		m, inside, ok := s.lookPlainly(line)
		if !ok {
			continue
		}
		if !inside {
			begin++
		}
		if isRow(line, m.end) {
			rows++
			quotes.begin(line)
		}
		if dated++; dated == 1 {
			first, last = m.at, r.lineStart()+habitBytes
		}
	}
	if dated > 0 {
		s.habits = habits{begins: 2*begin > dated, rows: 2*rows > dated}
	}
	return first, dated > 0
}

// lookPlainly reads the stamp of a line that begins a record, and says whether
// the stamp stands inside the line.
func (s *stamper) lookPlainly(line []byte) (m mark, inside, ok bool) {
	line = s.unindented(line)
	if isJSON(line) {
		m, ok = s.look(line)
		return m, false, ok
	}
	if isContinuation(line) {
		return mark{}, false, false
	}
	m, f, ok := s.lookText(line)
	return m, ok && f.inside, ok
}

// isRow reports whether a line whose stamp ends at end is a row of a csvlog:
// the twelfth field names a severity, in whatever language.
func isRow(line []byte, end int) bool {
	if end >= len(line) || line[end] != ',' || isJSON(line) {
		return false
	}
	word := csvField(line, csvSeverity)
	return len(word) >= 3 && word[0] >= 'A' && isUpper(word)
}

// A place says where a line stands to the window.
type place uint8

const (
	unstamped place = iota
	before
	inside
	after
)

// A window is the time from one instant to before another, in Unix
// nanoseconds.
type window struct{ from, to int64 }

func (w window) place(at int64) place {
	switch {
	case at < w.from:
		return before
	case at < w.to:
		return inside
	}
	return after
}

func isJSON(line []byte) bool { return len(line) > 1 && line[0] == '{' }

func startISO(line []byte) int {
	i := colourAt(line, 0)
	if len(line) > 0 && line[0] == '<' { // syslog RFC 5424: <34>1 2026-…
		if i = bytes.IndexByte(line[:min(len(line), 6)], '>') + 1; i == 0 || i+2 > len(line) || line[i] != '1' || line[i+1] != ' ' {
			return -1
		}
		i += 2
	}
	if i < len(line) && (line[i] == '[' || line[i] == '"' || line[i] == '(') {
		i++
	}
	if i+19 > len(line) || line[i] < '0' || line[i] > '9' {
		return -1
	}
	return i
}

// parseISO reads 2026-11-23T03:07:12.345+01:00 and its relatives: a space for
// the T, a comma for the dot, slashes for the dashes, the zone missing, or
// named as PostgreSQL does.
func parseISO(line []byte, from int, z zones) (mark, bool) {
	var c civil
	i := dateAt(line, from, &c)
	if i == 0 || i+9 > len(line) || line[i] != 'T' && line[i] != ' ' && line[i] != 't' {
		return mark{}, false
	}
	behind := clockAt(line, i+1, &c)
	if behind == 0 {
		return mark{}, false
	}
	return finish(line, from, i+6, behind, c, z)
}

// finish resolves the zone that follows a stamp; minute is behind its minutes.
func finish(line []byte, from, minute, behind int, c civil, z zones) (mark, bool) {
	at, end, ok := z.resolve(line, behind, c)
	return mark{at: at, from: from, minute: minute, zone: behind, end: end, span: time.Minute}, ok
}

// startSyslog finds "Nov 23 03:07:12", behind a priority or not.
func startSyslog(line []byte) int {
	i := 0
	if len(line) > 0 && line[0] == '<' {
		i = bytes.IndexByte(line[:min(len(line), 6)], '>') + 1
	}
	if monthAt(line, i) == 0 {
		return -1
	}
	return i
}

// parseSyslog reads the stamp of RFC 3164, which has no year: the newest that
// does not lie more than a day ahead is meant.
func parseSyslog(line []byte, from int, z zones) (mark, bool) {
	c := civil{month: monthAt(line, from)}
	if len(line) < from+15 || line[from+3] != ' ' || line[from+6] != ' ' {
		return mark{}, false
	}
	if c.day = digits(line, from+4, 2); line[from+4] == ' ' {
		c.day = digits(line, from+5, 1)
	}
	behind := clockAt(line, from+7, &c)
	if c.day < 1 || behind == 0 {
		return mark{}, false
	}
	ahead := z.now.Add(24 * time.Hour).UnixNano()
	for c.year = z.now.In(z.loc).Year() + 1; c.year > z.now.Year()-8; c.year-- {
		if c.valid() && c.in(z.loc) <= ahead {
			m := mark{at: c.in(z.loc), from: from, minute: from + 12, zone: behind, end: behind, span: time.Minute}
			return m, true
		}
	}
	return mark{}, false
}

// startCombined finds the bracket of "1.2.3.4 - - [23/Nov/2026:03:07:12 +0000]".
func startCombined(line []byte) int {
	return bytes.IndexByte(line[:min(len(line), 256)], '[')
}

func parseCombined(line []byte, from int, z zones) (mark, bool) {
	i := from + 1
	if len(line) < i+20 || line[i+2] != '/' || line[i+6] != '/' || line[i+11] != ':' {
		return mark{}, false
	}
	c := civil{day: digits(line, i, 2), month: monthAt(line, i+3), year: digits(line, i+7, 4)}
	behind := clockAt(line, i+12, &c)
	if behind == 0 {
		return mark{}, false
	}
	return finish(line, from, i+17, behind, c, z)
}

// startRedis finds the day in "812:M 23 Nov 2026 03:07:12.345 # Warning".
func startRedis(line []byte) int {
	colon := bytes.IndexByte(line[:min(len(line), 12)], ':')
	if colon <= 0 || len(line) < colon+24 || line[colon+2] != ' ' || digits(line, 0, colon) < 0 {
		return -1
	}
	return colon + 3
}

func parseRedis(line []byte, from int, z zones) (mark, bool) {
	c := civil{day: digits(line, from, 2), month: monthAt(line, from+3), year: digits(line, from+7, 4)}
	behind := clockAt(line, from+12, &c)
	if behind == 0 {
		return mark{}, false
	}
	return finish(line, from, from+17, behind, c, z)
}

func startEpoch(line []byte) int {
	if len(line) < 11 || line[0] < '1' || line[0] > '9' {
		return -1
	}
	return 0
}

func parseEpoch(line []byte, from int, _ zones) (mark, bool) {
	m, ok := number(line, from)
	if !ok || m.end < len(line) && line[m.end] != ' ' && line[m.end] != '\t' {
		return mark{}, false
	}
	return m, true
}

// number reads a Unix time in seconds, milli-, micro- or nanoseconds, told
// apart by their digits, as long as the year is 2001 to 2200.
func number(line []byte, from int) (mark, bool) {
	end := from
	for end < len(line) && line[end] >= '0' && line[end] <= '9' {
		end++
	}
	n := end - from
	scale := map[int]int64{10: 1e9, 13: 1e6, 16: 1e3, 19: 1}[n]
	if scale == 0 {
		return mark{}, false
	}
	at := int64(0)
	for _, d := range line[from:end] {
		at = at*10 + int64(d-'0')
	}
	if at >= int64(7258118400e9)/scale {
		return mark{}, false
	}
	at *= scale
	if n == 10 && end+1 < len(line) && line[end] == '.' {
		unit := int64(1e8)
		for end++; end < len(line) && line[end] >= '0' && line[end] <= '9'; end++ {
			at += int64(line[end]-'0') * unit
			unit /= 10
		}
	}
	return mark{at: at, from: from, minute: from + 8, zone: end, end: end, span: 100 * time.Second}, true
}

// inlineReach is how far into a line a stamp may stand that does not begin it:
// "INFO 2026-11-23 03:07:12 …", "time=2026-11-23T03:07:12Z level=…".
const inlineReach = 80

func startInline(line []byte) int {
	reach := min(len(line)-19, inlineReach)
	for i := 0; i < reach; i++ {
		if line[i+4] == '-' && line[i+7] == '-' && line[i+13] == ':' && (i == 0 || !isWord(line[i-1])) && digits(line, i, 4) > 0 {
			return i
		}
	}
	return -1
}

const weekdays = "Mon Tue Wed Thu Fri Sat Sun "

// startDate finds what date(1) prints, as scripts put it into their own lines:
// "=== Completed: Mon Nov 23 03:07:12 UTC 2026 ===".
func startDate(line []byte) int {
	reach := min(len(line)-28, inlineReach) + 1
	for i := 0; i < reach; i++ {
		if line[i+3] != ' ' || line[i+7] != ' ' || i > 0 && isWord(line[i-1]) || monthAt(line, i+4) == 0 {
			continue
		}
		if at := bytes.Index([]byte(weekdays), line[i:i+4]); at >= 0 && at%4 == 0 {
			return i
		}
	}
	return -1
}

// parseDate reads "Mon Nov 23 03:07:12 UTC 2026" and, of a locale that counts to
// twelve, "Mon Nov 23 03:07:12 AM UTC 2026".
func parseDate(line []byte, from int, z zones) (mark, bool) {
	c := civil{month: monthAt(line, from+4)}
	if c.day = digits(line, from+8, 2); line[from+8] == ' ' {
		c.day = digits(line, from+9, 1)
	}
	behind := clockAt(line, from+11, &c)
	if c.day < 1 || behind == 0 {
		return mark{}, false
	}
	zone := behind
	if half := line[zone:min(zone+4, len(line))]; string(half) == " AM " || string(half) == " PM " {
		if c.hour %= 12; half[1] == 'P' {
			c.hour += 12
		}
		zone += 3
	}
	space := bytes.IndexByte(line[zone+1:], ' ')
	if space < 0 {
		return mark{}, false
	}
	year := zone + 1 + space + 1
	if c.year = digits(line, year, 4); c.year < 0 || !c.valid() {
		return mark{}, false
	}
	at, _, ok := z.resolve(line[:year-1], zone, c)
	return mark{at: at, from: from, minute: from + 16, zone: behind, end: year + 4, span: time.Minute}, ok
}
