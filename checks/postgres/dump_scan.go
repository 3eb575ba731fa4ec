package postgres

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A dumpScan reads a plain dump as psql reads it and finds what does not
// belong there: a dump is a program, and whoever restores it runs it.
//
// It follows psql's lexer (psqlscan.l), where a backslash outside of quotes,
// comments and COPY data begins a command on the restoring machine. What
// follows the lexer's rules only by an accident of version or encoding is
// refused instead of followed. Statements are held to those that pg_dump
// writes; see dump_statement.go.
//
// The scan is advice. The barriers are a role without privileges, and psql's
// own \restrict.
type dumpScan struct {
	src  *bufio.Reader
	line int // of the next byte
	st   dumpStatement
	end  error // of src, io.EOF at the end

	pending []byte    // of the statement under way, not yet passed on
	to      io.Writer // gets the dump without what a restore must not do; nil: nobody
	toErr   error

	leaves func(extension string) bool // which are not passed on

	restrict string // token of \restrict, while it is in force
	findings dumpFindings
}

// dumpFindings is what a scan of a whole dump has shown.
type dumpFindings struct {
	hits       []dumpHit
	damage     string // why it is no whole dump; "" if it is
	tables     int    // that it creates
	rows       int64  // lines of COPY data
	extensions []dumpHit
	over       map[string]int // statements that are passed over, by what they are
	from, by   string         // versions of the server and of pg_dump, as the dump says
	complete   bool           // its last line is there
}

// A dumpHit is something at a line of a dump.
type dumpHit struct {
	line int
	what string
}

// String is the hit for people.
func (h dumpHit) String() string { return fmt.Sprintf("line %d: %s", h.line, h.what) }

const (
	maxHits    = 20
	maxPending = 1 << 20
	maxTag     = 1 << 10 // of a dollar quote
	maxWord    = 64      // longer ones are no keywords
)

// scanDump reads a plain dump to its end. What is wrong with the dump is in
// the findings; an error means that it could not be read, or that the cleaned
// dump could not be written. It stops at the first hit if there is somebody to
// write to: nothing of the statement with the hit has been written then.
func scanDump(src io.Reader, to io.Writer, leaves func(extension string) bool) (dumpFindings, error) {
	s := &dumpScan{src: bufio.NewReaderSize(src, 256<<10), line: 1, to: to, leaves: leaves}
	s.st = dumpStatement{line: 1}
	for s.more() {
		c, ok := s.next()
		if !ok {
			break
		}
		s.step(c)
	}
	if s.end != nil && s.end != io.EOF {
		return s.findings, s.end
	}
	if s.toErr == nil && len(s.findings.hits) == 0 {
		if s.atEnd(); s.findings.damage == "" {
			s.flush()
		}
	}
	return s.findings, s.toErr
}

// more: whether there is any use in reading on.
func (s *dumpScan) more() bool {
	if s.to != nil && len(s.findings.hits) > 0 || len(s.findings.hits) >= maxHits {
		return false
	}
	return s.toErr == nil && s.end == nil
}

func (s *dumpScan) atEnd() {
	switch {
	case s.findings.damage != "":
	case !s.st.empty():
		s.findings.damage = fmt.Sprintf("it ends in the middle of the statement of line %d", s.st.line)
	case !s.findings.complete:
		s.findings.damage = "its last line is missing: it was not finished"
	}
}

func (s *dumpScan) hit(line int, format string, a ...any) {
	s.findings.hits = append(s.findings.hits, dumpHit{line, fmt.Sprintf(format, a...)})
}

// next takes a byte.
func (s *dumpScan) next() (byte, bool) {
	if s.end != nil {
		return 0, false
	}
	c, err := s.src.ReadByte()
	if err != nil {
		s.end = err
		return 0, false
	}
	switch c {
	case '\n':
		s.line++
	case 0:
		s.hit(s.line, "a NUL byte, behind which psql reads nothing")
	}
	s.keep(c)
	return c, true
}

func (s *dumpScan) keep(b ...byte) {
	if s.to == nil {
		return
	}
	s.pending = append(s.pending, b...)
	if len(s.pending) > maxPending && len(s.findings.hits) == 0 && !s.unwanted(&s.st) {
		s.flush()
	}
}

func (s *dumpScan) flush() {
	if s.to == nil || s.toErr != nil {
		return
	}
	_, s.toErr = s.to.Write(s.pending)
	s.pending = s.pending[:0]
}

// peek is the byte n places further on, 0 at the end.
func (s *dumpScan) peek(n int) byte {
	b, _ := s.src.Peek(n + 1) // at the end there are fewer
	if len(b) <= n {
		return 0
	}
	return b[n]
}

// semicolon ends a statement, unless psql would not send it yet.
func (s *dumpScan) semicolon() {
	if s.st.open() {
		return
	}
	st := s.st
	s.st = dumpStatement{line: s.line}
	if !st.empty() {
		s.findings.complete = false
		s.judge(st)
	}
	switch {
	case len(s.findings.hits) > 0:
		return
	case s.unwanted(&st):
		s.pending = s.pending[:0]
		s.keep('\n')
	}
	s.flush()
	if st.readsData() {
		s.copyData(st)
	}
}

// judge holds a statement to what pg_dump writes.
func (s *dumpScan) judge(st dumpStatement) {
	if why := st.refused(); why != "" {
		s.hit(st.line, "%s", why)
		return
	}
	if st.is("CREATE", "TABLE") || st.is("CREATE", "UNLOGGED", "TABLE") {
		s.findings.tables++
	}
	if s.unwanted(&st) {
		s.findings.passOver(st.kind())
	}
	if name := st.extension(); name != "" {
		s.findings.extensions = append(s.findings.extensions, dumpHit{st.line, name})
	}
}

// copyData reads the rows behind COPY … FROM stdin, up to the line \. alone.
// psql reads them from the next line on.
func (s *dumpScan) copyData(st dumpStatement) {
	for {
		c, ok := s.next()
		if !ok || c == '\n' {
			break
		}
		if c != ' ' && c != '\t' && c != '\r' {
			s.hit(s.line, "something behind COPY in its line")
			return
		}
	}
	s.flush()
	s.st.line = s.line
	for begins := true; s.more(); {
		part, err := s.src.ReadSlice('\n')
		if bytes.IndexByte(part, 0) >= 0 {
			s.hit(s.line, "a NUL byte, behind which psql reads nothing")
		}
		s.keepData(part)
		switch {
		case begins && (string(part) == "\\.\n" || string(part) == "\\.\r\n"):
			s.line++
			s.st.line = s.line
			return
		case err == nil:
			s.line++
			s.findings.rows++
			begins = true
		case errors.Is(err, bufio.ErrBufferFull):
			begins = false
		default:
			s.end = err
			s.findings.damage = fmt.Sprintf("it ends in the middle of the rows of line %d", st.line)
		}
	}
}

func (s *dumpScan) keepData(part []byte) {
	if s.to != nil && s.toErr == nil && len(s.findings.hits) == 0 {
		_, s.toErr = s.to.Write(part)
	}
}

// passOver counts a statement that is not restored.
func (f *dumpFindings) passOver(kind string) {
	if f.over == nil {
		f.over = map[string]int{}
	}
	f.over[kind]++
}
