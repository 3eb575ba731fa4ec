package backup

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// tailSize is how much of a dump's end is searched for its last line.
const tailSize = 4 << 10

// trailers are the last lines of pg_dump and of pg_dumpall.
var trailers = []string{"-- PostgreSQL database dump complete", "-- PostgreSQL database cluster dump complete"}

// readPlain reads a plain dump to its end, counts its tables, and
// looks for its last line. A gzip that is whole says nothing of the dump in it.
func (i *inspection) readPlain(src *bufio.Reader, trailer string) error {
	i.plain = true
	complete := false
	i.trailer = &complete
	tail := make([]byte, 0, 2*tailSize)
	created, filled := newCounter("\nCREATE TABLE ", "\nCREATE UNLOGGED TABLE "), newCounter("\nCOPY ")
	var creates, copies int64
	buf := make([]byte, 128<<10)
	for {
		n, err := src.Read(buf)
		creates += created.add(buf[:n])
		copies += filled.add(buf[:n])
		i.tables = max(creates, copies)
		tail = keepTail(tail, buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			if errors.Is(err, errDamaged) {
				i.wrong("the dump is not whole")
			}
			return err
		}
	}
	if complete = endsComplete(string(tail), trailer); !complete {
		i.wrong("the dump's last line is missing: it was not finished")
	}
	return nil
}

// keepTail keeps the last tailSize bytes of a stream.
func keepTail(tail, next []byte) []byte {
	if len(next) >= tailSize {
		return append(tail[:0], next[len(next)-tailSize:]...)
	}
	tail = append(tail, next...)
	if extra := len(tail) - tailSize; extra > 0 {
		tail = append(tail[:0], tail[extra:]...)
	}
	return tail
}

// endsComplete reports whether the last statement of a dump is its trailer.
// Comments, blank lines and psql's \unrestrict, which newer versions write
// behind it, may follow; a line of data or SQL may not.
func endsComplete(tail, trailer string) bool {
	wanted := trailers
	if trailer != "" {
		wanted = []string{trailer}
	}
	lines := strings.Split(tail, "\n")
	for n := len(lines) - 1; n >= 0; n-- {
		line := strings.TrimRight(lines[n], " \r")
		for _, w := range wanted {
			if line == w || trailer != "" && strings.HasPrefix(line, w) {
				return true
			}
		}
		if line != "" && !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, `\unrestrict`) {
			return false
		}
	}
	return false
}

// A counter counts texts in a stream, whatever its pieces are.
type counter struct {
	texts [][]byte
	carry []byte
	most  int
}

func newCounter(texts ...string) *counter {
	c := &counter{}
	for _, t := range texts {
		c.texts = append(c.texts, []byte(t))
		c.most = max(c.most, len(t))
	}
	return c
}

// add counts what the next piece completes.
func (c *counter) add(piece []byte) (n int64) {
	if len(piece) == 0 {
		return 0
	}
	seam := append(c.carry, piece[:min(len(piece), c.most-1)]...)
	for _, t := range c.texts {
		for at := 0; at+len(t) <= len(seam); at++ {
			// counted here only if it begins in the carry and ends in the piece
			if at < len(c.carry) && at+len(t) > len(c.carry) && bytes.Equal(seam[at:at+len(t)], t) {
				n++
			}
		}
		n += int64(bytes.Count(piece, t))
	}
	last := piece
	if len(piece) < c.most-1 {
		last = seam // the carry and the whole piece
	}
	c.carry = bytes.Clone(last[max(0, len(last)-c.most+1):])
	return n
}
