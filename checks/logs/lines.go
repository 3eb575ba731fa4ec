package logs

import (
	"bytes"
	"io"
)

const (
	// chunkSize is how much is read at once: it fits the second-level cache,
	// so that the bytes are still there when they are looked at.
	chunkSize = 256 << 10

	// lineLimit is how much of a line is looked at; the rest is skipped.
	lineLimit = 64 << 10
)

// A lineReader cuts a stream into lines with one buffer. A line longer than
// lineLimit is cut there and marked; a run of NULs before a line, as a log
// truncated under its writer has, is skipped.
type lineReader struct {
	src      io.Reader
	hole     func() // moves src over a hole; nil if it cannot
	buf      []byte
	r, w     int
	from     int   // where in buf the last line begins
	offset   int64 // of buf[0] in what was read
	skipping bool  // inside the rest of a line that was cut
	err      error // why src gives no more
}

// reset starts over on another stream.
func (l *lineReader) reset(src io.Reader) {
	if l.buf == nil {
		l.buf = make([]byte, chunkSize)
	}
	*l = lineReader{src: src, buf: l.buf}
	if s, ok := src.(*span); ok {
		l.hole = s.skipHole
		l.offset = s.pos
	}
}

// lineStart is the offset of the line that next returned last. Behind a hole
// that was skipped it is too small, never too large.
func (l *lineReader) lineStart() int64 { return l.offset + int64(l.from) }

// next returns the next line without its end, valid until the call after. It
// is false at the end of the stream; l.err then says why it ended.
func (l *lineReader) next() (line []byte, cut, ok bool) {
	window := l.buf[l.r:l.w]
	i := bytes.IndexByte(window, '\n')
	if i <= 0 || i > lineLimit || window[0] == 0 || l.skipping {
		return l.slow()
	}
	l.from = l.r
	l.r += i + 1
	return trimCR(window[:i]), false, true
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// slow is next for everything but a whole line in the buffer.
func (l *lineReader) slow() (line []byte, cut, ok bool) {
	for {
		if l.skipping {
			l.skipRest()
		} else {
			l.skipZeros()
		}
		window := l.buf[l.r:l.w]
		i := bytes.IndexByte(window, '\n')
		l.from = l.r
		switch {
		case l.skipping || i < 0 && len(window) <= lineLimit && l.err == nil:
			if l.err != nil {
				return nil, false, false
			}
			l.fill()
		case i >= 0 && i <= lineLimit:
			l.r += i + 1
			return trimCR(window[:i]), false, true
		case len(window) > lineLimit:
			l.r += lineLimit
			l.skipping = true
			return window[:lineLimit], true, true
		case len(window) > 0:
			l.r = l.w
			return trimCR(window), false, true
		default:
			return nil, false, false
		}
	}
}

// skipRest drops what the buffer has of a line that was cut.
func (l *lineReader) skipRest() {
	i := bytes.IndexByte(l.buf[l.r:l.w], '\n')
	if i < 0 {
		l.overHole(l.buf[l.r:l.w])
		l.r = l.w
		return
	}
	l.r += i + 1
	l.skipping = false
	l.skipZeros()
}

// skipZeros drops the NULs at the front of the buffer.
func (l *lineReader) skipZeros() {
	window := l.buf[l.r:l.w]
	n := zeros(window)
	if n == len(window) {
		l.overHole(window)
	}
	l.r += n
}

// overHole asks the source to skip ahead when all that was read is zeros.
func (l *lineReader) overHole(window []byte) {
	if l.hole != nil && len(window) >= 4096 && zeros(window) == len(window) {
		l.hole()
	}
}

func zeros(b []byte) int {
	var block [512]byte
	n := 0
	for len(b)-n >= len(block) && bytes.Equal(b[n:n+len(block)], block[:]) {
		n += len(block)
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

// fill moves what is left to the front and reads once more.
func (l *lineReader) fill() {
	if l.r > 0 {
		l.offset += int64(l.r)
		l.w = copy(l.buf, l.buf[l.r:l.w])
		l.r = 0
	}
	n, err := l.src.Read(l.buf[l.w:])
	l.w += n
	if err != nil {
		l.err = err
	}
}
