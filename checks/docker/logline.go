package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

const (
	// maxLine bounds one line of a log, in bytes.
	maxLine = 1 << 20
	// maxFrame bounds one frame of the engine's stream, in bytes. The engine
	// splits what a container says after 16 KiB, or 1 MiB at most.
	maxFrame = 2 << 20
)

// containerLog reads the log of one container, a line at a time.
//
// The frames are those of package stdcopy, which cannot be used for it: it
// pushes both streams to their ends where a merge has to pull, joins no split
// lines, and allocates whatever length a frame claims.
type containerLog struct {
	name     string
	body     io.ReadCloser
	in       *bufio.Reader
	terminal bool // one raw stream, no frames

	line  []byte    // the line that next found, with its stamp and "\n"
	at    time.Time // its stamp
	frame []byte
	begun [3][]byte // of each stream, the line that has no end yet
}

// next goes to the next line, or is io.EOF. A line without a stamp stays with
// the one before it.
func (l *containerLog) next() error {
	read := l.framed
	if l.terminal {
		read = l.raw
	}
	if err := read(); err != nil {
		return err
	}
	if !bytes.HasSuffix(l.line, []byte("\n")) {
		l.line = append(l.line, '\n')
	}
	if at, _, ok := stamped(l.line); ok {
		l.at = at
	}
	return nil
}

// raw reads a line of a terminal.
func (l *containerLog) raw() error {
	l.line = l.line[:0]
	for {
		piece, err := l.in.ReadSlice('\n')
		l.line = appendBounded(l.line, piece)
		switch {
		case err == bufio.ErrBufferFull:
		case err == io.EOF && len(l.line) > 0:
			return nil
		default:
			return err
		}
	}
}

// framed reads frames until one of them ends a line of its stream.
func (l *containerLog) framed() error {
	for {
		stream, err := l.readFrame()
		if err == io.EOF {
			return l.unended()
		}
		if err != nil {
			return err
		}
		text, begun := l.frame, l.begun[stream]
		if len(begun) > 0 {
			if _, rest, ok := stamped(text); ok {
				text = rest // every piece of a split line has a stamp of its own
			}
		}
		l.begun[stream] = appendBounded(begun, text)
		if bytes.HasSuffix(text, []byte("\n")) {
			l.take(stream)
			return nil
		}
	}
}

// take makes what was begun on a stream the line.
func (l *containerLog) take(stream stdcopy.StdType) {
	l.line, l.begun[stream] = l.begun[stream], l.line[:0]
}

// unended takes a line that was begun when the log ended.
func (l *containerLog) unended() error {
	for stream := range stdcopy.Systemerr {
		if len(l.begun[stream]) > 0 {
			l.take(stream)
			return nil
		}
	}
	return io.EOF
}

// readFrame reads one frame: a byte for the stream, three of no meaning, four
// for the length, and the text.
func (l *containerLog) readFrame() (stdcopy.StdType, error) {
	var header [8]byte
	if _, err := io.ReadFull(l.in, header[:]); err != nil {
		return 0, err
	}
	stream, size := stdcopy.StdType(header[0]), int(binary.BigEndian.Uint32(header[4:]))
	if stream > stdcopy.Systemerr || size > maxFrame {
		return 0, checks.Failed(checks.Parse, "a frame of %d bytes of stream %d is none of a log", size, stream)
	}
	if cap(l.frame) < size {
		l.frame = make([]byte, size)
	}
	l.frame = l.frame[:size]
	if n, err := io.ReadFull(l.in, l.frame); n < size {
		return 0, fmt.Errorf("it broke off within a frame: %w", err)
	}
	if stream == stdcopy.Systemerr {
		return 0, fmt.Errorf("the engine says: %s", clean.Line(string(l.frame), 200))
	}
	return stream, nil
}

func appendBounded(line, text []byte) []byte {
	return append(line, text[:min(len(text), maxLine-len(line))]...)
}

// stamped cuts the engine's stamp and the blank after it off a line.
func stamped(line []byte) (at time.Time, rest []byte, ok bool) {
	const longest = len("2006-01-02T15:04:05.999999999+00:00")
	blank := bytes.IndexByte(line[:min(len(line), longest+1)], ' ')
	if blank < 0 || at.UnmarshalText(line[:blank]) != nil {
		return at, line, false
	}
	return at, line[blank+1:], true
}
