package logs

import (
	"io"
	"runtime"
	"sync"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

const (
	// partSize is the least that is worth a goroutine of its own.
	partSize = 8 << 20

	// maxParts leaves cores to others.
	maxParts = 4
)

// read scans one file's text. A long plain one is cut into parts that are
// read at the same time, when only lines of a level are visited: those are
// few, so that taking turns costs nothing.
func (s *scan) read(src io.Reader, stream int) error {
	parts := s.parts(src)
	if len(parts) < 2 {
		s.reader.reset(src)
		s.lines(stream)
		return s.reader.err
	}
	var turn sync.Mutex
	workers := make([]*scan, len(parts))
	var done sync.WaitGroup
	for i, part := range parts {
		w := &scan{ctx: s.ctx, source: s.source, win: s.win, zones: s.zones, many: s.many, floor: s.floor,
			stamps: newStamper(s.source.Format, s.zones, s.win)}
		w.stamps.habits, w.older = s.stamps.habits, s.older
		w.visit = func(l *line) {
			turn.Lock()
			defer turn.Unlock()
			s.visit(l)
		}
		workers[i] = w
		done.Go(func() {
			defer crash.Recover()
			w.reader.reset(part)
			w.lines(stream)
		})
	}
	done.Wait()
	var err error
	for _, w := range workers {
		s.tally.add(&w.tally)
		if w.reader.err != io.EOF {
			err = w.reader.err
		}
	}
	return err
}

// parts cuts the rest of a plain file where records begin. A csvlog is not
// cut: what looks like a record may be text.
func (s *scan) parts(src io.Reader) []*span {
	whole, ok := src.(*span)
	if !ok || s.floor == noLevel || s.stamps.habits.rows {
		return nil
	}
	n := min(int64(runtime.GOMAXPROCS(0)), maxParts, (whole.end-whole.pos)/s.partSize)
	var parts []*span
	from := whole.pos
	for i := int64(1); i < n; i++ {
		at, ok := s.recordAt(whole, whole.pos+(whole.end-whole.pos)*i/n)
		if !ok || at <= from {
			continue
		}
		parts = append(parts, &span{ctx: s.ctx, file: whole.file, pos: from, end: at})
		from = at
	}
	return append(parts, &span{ctx: s.ctx, file: whole.file, pos: from, end: whole.end})
}

// recordAt finds where a record begins behind an offset.
func (s *scan) recordAt(whole *span, offset int64) (at int64, ok bool) {
	s.reader.reset(&span{ctx: s.ctx, file: whole.file, pos: offset, end: min(offset+probeLimit, whole.end), most: probeRead})
	s.reader.skipping = true
	_, at, ok = firstStamp(&s.reader, s.stamps)
	return at, ok
}

// add joins what another scan of the same file came by.
func (t *tally) add(other *tally) {
	t.lines += other.lines
	t.parsed += other.parsed
	t.continued += other.continued
	t.unparsed += other.unparsed
	t.cut += other.cut
	t.future += other.future
	t.levelled = t.levelled || other.levelled
	t.doubts.add(&other.doubts)
	t.samples = append(t.samples, other.samples...)
	t.samples = t.samples[:min(len(t.samples), maxSamples)]
}
