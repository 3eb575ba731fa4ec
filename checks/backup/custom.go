package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// walkCustom walks a dump of pg_dump -Fc: header, table of contents, and every
// block of data down to the end of the file. It returns what is wrong with it;
// an error means that the reading failed. The layout is that of PostgreSQL's
// pg_backup_archiver.c and pg_backup_custom.c, archive versions 1.12 to 1.16
// (PostgreSQL 9.0 to 18).
func walkCustom(src *bufio.Reader) (problem string, err error) {
	w := &customWalk{src: src}
	entries := w.header()
	if w.problem == "" && w.err == nil {
		w.contents(entries)
		w.blocks()
	}
	if errors.Is(w.err, io.EOF) || errors.Is(w.err, io.ErrUnexpectedEOF) {
		return "the dump ends too early: the file was cut short", nil
	}
	return w.problem, w.err
}

// customWalk reads the archive's primitives; after the first error or problem
// every read gives zero.
type customWalk struct {
	src        *bufio.Reader
	version    int // major*256 + minor
	intSize    int
	offsetSize int
	problem    string
	err        error
}

func (w *customWalk) stopped() bool { return w.err != nil || w.problem != "" }

func (w *customWalk) fail(format string, a ...any) {
	if w.problem == "" {
		w.problem = fmt.Sprintf(format, a...)
	}
}

func (w *customWalk) byte() byte {
	if w.stopped() {
		return 0
	}
	b, err := w.src.ReadByte()
	w.err = err
	return b
}

// int reads a sign byte and the number, least significant byte first.
func (w *customWalk) int() int64 {
	sign := w.byte()
	var n int64
	for i := range w.intSize {
		n |= int64(w.byte()) << (8 * i)
	}
	if sign != 0 {
		return -n
	}
	return n
}

// longest is the longest text in a table of contents that is believed.
const longest = 1 << 30

func (w *customWalk) skipText() (present bool) {
	n := w.int()
	if n < 0 || w.stopped() {
		return false
	}
	if n > longest {
		w.fail("the dump's table of contents is damaged")
		return false
	}
	w.skip(n)
	return true
}

func (w *customWalk) skip(n int64) {
	for n > 0 && !w.stopped() {
		step := min(n, 1<<20)
		_, w.err = w.src.Discard(int(step))
		n -= step
	}
}

// header reads the header and returns how many entries the contents have.
func (w *customWalk) header() int64 {
	for _, want := range []byte("PGDMP") {
		if w.byte() != want && !w.stopped() {
			w.fail("not a custom-format dump")
		}
	}
	w.version = int(w.byte())<<8 | int(w.byte())
	w.byte() // revision
	w.intSize, w.offsetSize = int(w.byte()), int(w.byte())
	format := w.byte()
	if w.stopped() {
		return 0
	}
	if w.version < 1<<8|12 || w.version > 1<<8|16 || w.intSize < 2 || w.intSize > 8 || w.offsetSize < 4 || w.offsetSize > 8 || format != 1 {
		w.fail("a custom-format dump of a version or shape unknown here: %d.%d, format %d", w.version>>8, w.version&255, format)
		return 0
	}
	if w.version >= 1<<8|15 {
		w.byte() // compression algorithm
	} else {
		w.int() // compression level
	}
	for range 7 {
		w.int() // when it was begun
	}
	for range 3 {
		w.skipText() // database, versions of server and pg_dump
	}
	entries := w.int()
	if entries <= 0 && !w.stopped() || entries > 10_000_000 {
		w.fail("the dump's table of contents is empty or damaged")
	}
	return entries
}

// contents reads over the table of contents.
func (w *customWalk) contents(entries int64) {
	for ; entries > 0 && !w.stopped(); entries-- {
		if id := w.int(); id <= 0 && !w.stopped() {
			w.fail("the dump's table of contents is damaged")
		}
		w.int() // has data
		for range 4 {
			w.skipText() // table oid, oid, tag, kind
		}
		w.int() // section
		for range 5 {
			w.skipText() // definition, drop, copy, schema, tablespace
		}
		if w.version >= 1<<8|14 {
			w.skipText() // table access method
		}
		if w.version >= 1<<8|16 {
			w.int() // kind of relation
		}
		w.skipText() // owner
		w.skipText() // with oids
		for w.skipText() && !w.stopped() {
			continue // dependencies, up to a text that is absent
		}
		w.byte() // state of the offset
		w.skip(int64(w.offsetSize))
	}
}

const (
	blockData  = 1
	blockBlobs = 3
)

// blocks walks the data to the end of the file.
func (w *customWalk) blocks() {
	for !w.stopped() {
		kind, err := w.src.ReadByte()
		if err == io.EOF {
			return
		}
		w.err = err
		w.int() // dump id
		switch {
		case w.stopped():
			return
		case kind == blockData:
			w.chunks()
		case kind == blockBlobs:
			for w.int() != 0 && !w.stopped() {
				w.chunks()
			}
		default:
			w.fail("the dump's data are damaged")
		}
	}
}

// chunks walks one object's data: lengths and bytes, up to a length of zero.
func (w *customWalk) chunks() {
	for !w.stopped() {
		n := w.int()
		switch {
		case n == 0:
			return
		case n < 0 || n > longest:
			w.fail("the dump's data are damaged")
		default:
			w.skip(n)
		}
	}
}
