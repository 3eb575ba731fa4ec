package logs

import (
	"context"
	"io"
	"time"
)

const (
	// seekMargin is how far out of order lines may be: several writers flush
	// at different times.
	seekMargin = time.Minute

	// probeLimit is how much text one probe looks through for a stamp.
	probeLimit = 1 << 20

	// probeRead is how much a probe reads at once; most need no more.
	probeRead = 8 << 10
)

// seekTime finds where to begin reading a plain log so that no line since
// from is missed: it halves the byte range, reads on from the middle to the
// first line with a stamp, and keeps the half in which the window begins. The
// log is taken to be in order but for margin. Where a probe finds no stamp the
// search goes on before it, so text that cannot be dated costs time, not lines.
//
// The result is 0 or the beginning of a line that is too old.
func seekTime(ctx context.Context, f io.ReaderAt, size int64, s *stamper, from time.Time, margin time.Duration) (int64, error) {
	target := from.Add(-margin).UnixNano()
	probe := lineReader{buf: make([]byte, lineLimit+2*probeRead)}
	low, high := int64(0), size
	for high-low > chunkSize/2 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		middle := low + (high-low)/2
		probe.reset(&span{ctx: ctx, file: f, pos: middle, end: min(middle+probeLimit, high), most: probeRead})
		probe.skipping = middle > 0 // up to the next line
		at, start, ok := firstStamp(&probe, s)
		if probe.err != nil && probe.err != io.EOF {
			return 0, probe.err
		}
		if ok && at < target && start > low {
			low = start
		} else {
			high = middle
		}
	}
	return low, nil
}

// firstStamp reads on to the first line that begins a record and says where it
// begins. In a csvlog only a row counts: what else is dated may be text.
func firstStamp(r *lineReader, s *stamper) (at, start int64, ok bool) {
	for {
		line, _, more := r.next()
		if !more {
			return 0, 0, false
		}
		if m, _, dated := s.lookPlainly(line); dated && (!s.habits.rows || isRow(line, m.end)) {
			return m.at, r.lineStart(), true
		}
	}
}
