package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A line is one line inside the window, handed to a visitor. Its text is
// valid until the visitor returns.
type line struct {
	text   []byte
	kind   kind
	end    int // of a head: where its stamp ends
	csv    bool
	said   severity // its level, if it was looked at
	word   int      // where the level's word ends, if what is behind cannot change it
	record int64    // number of the record it belongs to
	stream int
	scan   *scan
}

// level is how bad the line says it is; only heads say.
func (l *line) level() severity {
	switch {
	case l.said != noLevel:
		return l.said
	case l.kind != head:
		return noLevel
	case isJSON(l.text):
		l.said, l.word = jsonLevel(l.text)
	case l.csv:
		l.said, l.word = levelWord(csvField(l.text, csvSeverity)), 0
	default:
		l.said, l.word = l.textLevel()
	}
	return l.said
}

// textLevel looks behind the stamp, and before it where the stamp does not
// begin the line: "ERROR 2026-11-23 03:07:12 x", "level=error ts=2026-…".
func (l *line) textLevel() (found severity, end int) {
	if from := l.scan.stamps.from; from > 0 && from <= len(l.text) {
		if found, end = textLevel(l.text[:from]); found != noLevel {
			return found, end
		}
	}
	found, end = textLevel(l.text[l.end:])
	return found, l.end + end
}

// at is when the line's record was written; of a line that continues one, to
// the minute.
func (l *line) at() time.Time {
	at := l.scan.stamps.near
	if l.kind == head {
		if m, ok := l.scan.stamps.look(l.text); ok {
			at = m.at
		}
	}
	return time.Unix(0, at).In(l.scan.source.Zone)
}

// A tally is what a scan came by. Every line it read is parsed, unparsed or
// continued; a line that continues an old record is not in the window.
type tally struct {
	lines     int64 // in the window, or of unknown time
	parsed    int64 // heads with a stamp
	continued int64 // folded into the head before
	unparsed  int64
	cut       int64 // longer than lineLimit
	future    int64 // stamps ahead of the window's end
	bytes     int64 // read or skipped by search
	files     int
	gaps      []string // what could not be read to its end
	samples   []string // some lines that were not understood
	empty     bool     // no file had a single line that is not blank
	levelled  bool     // some record named its level; only told if levels were asked for
	doubts
}

// unparsedShare is in percent of the lines.
func (t *tally) unparsedShare() float64 {
	if t.lines == 0 {
		return 0
	}
	return 100 * float64(t.unparsed) / float64(t.lines)
}

// scan is the reading of one source over one window.
type scan struct {
	ctx    context.Context
	source checks.LogSource
	win    window
	visit  func(*line)
	tally  tally
	reader lineReader
	stamps *stamper
	zones  zones
	record int64
	many   bool // several streams, which may hold copies of each other's lines

	partSize int64 // least text of one part of a file

	// Of the file that is read.
	undated bool // none of its lines is dated
	wrote   bool // an undated one has a line that is not blank
	older   bool // its first dated line, and so all before it, is older than the window

	// floor is the least level that is visited; noLevel visits every line.
	floor severity

	// wrapped lines carry a stamp of the container engine's before their own
	// text, continuation lines too.
	wrapped bool
}

// futureMargin is how far clocks of writers may be ahead of ours.
const futureMargin = 2 * time.Minute

// newScan prepares to read every line of a source that was written in
// [from, to) and to hand it to visit, one at a time; oldest first within each
// file as long as no floor is set.
func newScan(src checks.LogSource, from, to, now time.Time, visit func(*line)) *scan {
	return &scan{source: src, visit: visit, zones: zones{src.Zone, now}, win: window{from.UnixNano(), to.UnixNano()}, partSize: partSize}
}

// run reads the source.
func (s *scan) run(ctx context.Context) (*tally, error) {
	s.ctx = ctx
	files, err := openSource(ctx, s.source, time.Unix(0, s.win.from))
	if err != nil {
		return nil, err
	}
	s.tally.gaps, s.tally.empty, s.many = files.gaps, true, files.streams > 1
	for _, f := range files.files {
		if err = s.file(f); err != nil {
			break
		}
	}
	return &s.tally, errors.Join(err, files.Close())
}

// file scans one file. Damage to it is a gap; only the end of the context, or
// a read error of a live file, ends the scan.
func (s *scan) file(f *logFile) error {
	s.tally.files++
	size := f.info.Size()
	if size == 0 {
		return nil
	}
	s.tally.bytes += size
	s.stamps = newStamper(s.source.Format, s.zones, s.win)
	src, err := s.begin(f)
	if err == nil {
		err = s.read(src, f.stream)
	}
	s.tally.empty = s.tally.empty && s.undated && !s.wrote && err == io.EOF
	if s.undated && s.wrote {
		s.tally.undated = append(s.tally.undated, f.path)
	}
	if ctxErr := s.ctx.Err(); ctxErr != nil {
		return fmt.Errorf("reading log %s: %w", f.path, ctxErr)
	}
	if err != nil && err != io.EOF {
		s.gap("%s: %v", f.path, err)
	}
	if info, err := f.file.Stat(); err == nil && info.Size() < size {
		s.gap("%s was truncated while it was read", f.path)
	}
	return nil
}

func (s *scan) gap(format string, a ...any) {
	s.tally.gaps = append(s.tally.gaps, fmt.Sprintf(format, a...))
}

// begin settles the file's habits and opens its text where the window begins.
// However much undated text a file begins with, it is read on.
func (s *scan) begin(f *logFile) (io.Reader, error) {
	size := f.info.Size()
	if f.zipped {
		probe, err := unzipped(s.ctx, f.file, size)
		if err != nil {
			return nil, err
		}
		s.settle(probe)
		return unzipped(s.ctx, f.file, size)
	}
	s.settle(&span{ctx: s.ctx, file: f.file, end: size, most: probeRead})
	if s.undated {
		return &span{ctx: s.ctx, file: f.file, end: size}, s.ctx.Err()
	}
	margin := seekMargin
	if s.zones.shifts(time.Unix(0, s.win.from)) || s.zones.shifts(s.zones.now) {
		margin += time.Hour
	}
	start, err := seekTime(s.ctx, f.file, size, s.stamps, time.Unix(0, s.win.from), margin)
	return &span{ctx: s.ctx, file: f.file, pos: start, end: size}, err
}

// settle learns from a file's first dated lines what holds for all of it.
func (s *scan) settle(src io.Reader) {
	s.reader.reset(src)
	first, ok := s.stamps.settle(&s.reader)
	s.undated, s.wrote = !ok, false
	s.older = ok && first < s.win.from
}

// lines reads the reader to its end, deciding of each line what it is and
// whether it lies in the window.
func (s *scan) lines(stream int) {
	l := line{scan: s, stream: stream}
	current := unstamped // where the record lies that the next lines continue
	var quotes openQuotes
	for {
		if s.floor > noLevel && !quotes.open && s.quiet() {
			current = inside
		}
		text, cut, ok := s.reader.next()
		if !ok {
			return
		}
		if s.floor > noLevel && !quotes.open && s.stamps.isQuiet(text) {
			s.pass(1) // the first line of a buffer
			current = inside
			continue
		}
		l.text, l.said, l.word = text, noLevel, 0
		if quotes.open && quotes.holds(text) {
			l.kind, l.end = more, 0
		} else {
			current = s.sort(&l, text, current, &quotes)
		}
		if current == before || current == after || current == unstamped && s.older {
			continue
		}
		s.count(&l, cut)
		if current == inside {
			l.record = s.record
			s.hand(&l)
		}
	}
}

// quiet passes the harmless lines that are next in the buffer, and reports
// whether there were any. It is what most of a log goes through, so it does
// nothing else.
func (s *scan) quiet() bool {
	r, passed := &s.reader, int64(0)
	for !r.skipping {
		window := r.buf[r.r:r.w]
		i := bytes.IndexByte(window, '\n')
		if i <= 0 || i > lineLimit || !s.stamps.isQuiet(trimCR(window[:i])) {
			break
		}
		r.from = r.r
		r.r += i + 1
		passed++
	}
	s.pass(passed)
	return passed > 0
}

// pass counts lines that are heads inside the window and too harmless to hand
// on.
func (s *scan) pass(n int64) {
	s.tally.lines += n
	s.tally.parsed += n
	s.record += n
}

// hand gives a line to the visitor, unless it is too harmless.
func (s *scan) hand(l *line) {
	if s.floor > noLevel {
		l.level()
		s.tally.noteLevel(l)
		if l.said < s.floor {
			if l.said != noLevel && !l.csv && !s.wrapped {
				s.stamps.hush(l.text, l.word)
			}
			return
		}
	}
	s.visit(l)
}

// sort says what a line is and where its record lies.
func (s *scan) sort(l *line, text []byte, current place, quotes *openQuotes) place {
	text = s.stamps.unindented(text)
	p, end := s.stamps.place(text)
	l.text, l.end = text, end
	if p == unstamped {
		l.kind = stray
		if isContinuation(text) {
			l.kind = more
		}
		return current
	}
	l.kind = head
	l.csv = s.stamps.habits.rows && isRow(text, end)
	if l.csv {
		quotes.begin(text)
	}
	if p == after {
		s.ahead(text)
	}
	if s.wrapped {
		l.text, l.end = bytes.TrimPrefix(text[end:], []byte(" ")), 0
		l.text = s.stamps.unindented(l.text)
		if isContinuation(l.text) && s.record > 0 {
			l.kind = more
			return current
		}
	}
	s.record++
	return p
}

// ahead counts a stamp that lies in the future, not merely behind the window.
func (s *scan) ahead(text []byte) {
	if m, ok := s.stamps.look(text); ok && m.at > s.zones.now.Add(futureMargin).UnixNano() {
		s.tally.future++
		keepFirst(&s.tally.futureLine, text)
	}
}

// maxSamples is how many lines that were not understood are kept as evidence.
const maxSamples = 3

func (s *scan) count(l *line, cut bool) {
	t := &s.tally
	t.lines++
	s.wrote = s.wrote || s.undated && len(bytes.TrimSpace(l.text)) > 0
	if cut {
		t.cut++
	}
	switch l.kind {
	case head:
		t.parsed++
	case more:
		t.continued++
	default:
		t.unparsed++
		if len(t.samples) < maxSamples {
			t.samples = append(t.samples, sampleLine(l.text))
		}
	}
}
