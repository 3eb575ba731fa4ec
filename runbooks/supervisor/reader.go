package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// frameTimeout is how long a client may take over one message, once it has
// begun it: what it has sent of it is kept in memory meanwhile.
const frameTimeout = 10 * time.Second

// reader reads frames of at most max bytes. Between two frames it keeps a few
// KiB, however large the last one was.
type reader struct {
	in   *bufio.Reader
	most int

	conn   net.Conn      // whose deadline is set for each frame
	within time.Duration // 0: a frame may take as long as it does
}

func newReader(r io.Reader, most int) *reader {
	return &reader{in: bufio.NewReaderSize(r, 4096), most: most}
}

// limit gives every frame from now on that long, from its first byte on.
func (r *reader) limit(conn net.Conn, within time.Duration) { r.conn, r.within = conn, within }

// next is the next frame; io.EOF at the end.
func (r *reader) next() (frame, error) {
	if _, err := r.in.Peek(1); err != nil {
		return frame{}, err
	}
	if r.within > 0 {
		r.conn.SetReadDeadline(time.Now().Add(r.within)) //nolint:errcheck // a closed connection fails the read
		defer r.conn.SetReadDeadline(time.Time{})        //nolint:errcheck // a closed connection fails the next read
	}
	line, err := r.line()
	if err != nil {
		return frame{}, err
	}
	var f frame
	if err := json.Unmarshal(line, &f); err != nil {
		return frame{}, fmt.Errorf("reading a message: %w", err)
	}
	return f, nil
}

// line is valid until the next call.
func (r *reader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(line)+len(part) > r.most {
			return nil, fmt.Errorf("a message of more than %d bytes", r.most)
		}
		switch {
		case err == nil && line == nil:
			return part, nil
		case err == nil, errors.Is(err, io.EOF):
			return append(line, part...), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		line = append(line, part...)
	}
}
