package postgres

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/clean"
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
	from, by   string // versions of the server and of pg_dump, as the dump says
	complete   bool   // its last line is there
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

var errTooManyHits = errors.New("too much that does not belong into a dump")

// scanDump reads a plain dump to its end. What is wrong with the dump is in
// the findings; an error means that it could not be read, or that the cleaned
// dump could not be written. It stops at the first hit if there is somebody to
// write to: nothing of the statement with the hit has been written then.
func scanDump(src io.Reader, to io.Writer) (dumpFindings, error) {
	s := &dumpScan{src: bufio.NewReaderSize(src, 256<<10), line: 1, to: to}
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
	if len(s.pending) > maxPending && len(s.findings.hits) == 0 && !s.st.unwanted() {
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

// step handles what begins with c outside of everything.
func (s *dumpScan) step(c byte) {
	switch {
	case c == ' ', c == '\t', c == '\f', c == '\v':
	case c == '\n', c == '\r':
		s.st.newline = true
	case c == '-' && s.peek(0) == '-':
		s.lineComment()
	case c == '/' && s.peek(0) == '*':
		s.blockComment()
	case c == '\'':
		s.quoted(false)
	case c == '"':
		s.identifier()
	case c == '$':
		s.dollar()
	case isIdentStart(c):
		s.word(c)
	case c >= '0' && c <= '9':
		s.number()
	case c == '\\':
		s.command()
	case c == ':':
		s.colon()
	case c == ';':
		s.semicolon()
	default:
		s.st.symbol(c)
	}
}

func isIdentStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// lineComment ends before the line's end, which is \n or \r for psql.
func (s *dumpScan) lineComment() {
	text := []byte{'-'}
	for c := s.peek(0); c != '\n' && c != '\r'; c = s.peek(0) {
		if _, ok := s.next(); !ok {
			break
		}
		if len(text) < 2*maxWord {
			text = append(text, c)
		}
	}
	s.findings.comment(string(text))
}

// comment notes what pg_dump says of the dump in its comments.
func (f *dumpFindings) comment(text string) {
	switch {
	case strings.HasPrefix(text, "-- PostgreSQL database dump complete"), strings.HasPrefix(text, "-- PostgreSQL database cluster dump complete"):
		f.complete = true
	case strings.HasPrefix(text, "-- Dumped from database version ") && f.from == "":
		f.from = clean.Line(strings.TrimPrefix(text, "-- Dumped from database version "), maxWord)
	case strings.HasPrefix(text, "-- Dumped by ") && f.by == "":
		f.by = clean.Line(strings.TrimPrefix(text, "-- Dumped by "), maxWord)
	}
}

// blockComment ends with the last of its nested ones.
func (s *dumpScan) blockComment() {
	s.next()
	s.st.afterEscaped = false
	for depth, at := 1, s.line; depth > 0; {
		c, ok := s.next()
		switch {
		case !ok:
			s.findings.damage = fmt.Sprintf("it ends in the middle of the comment of line %d", at)
			return
		case c == '/' && s.peek(0) == '*':
			s.next()
			depth++
		case c == '*' && s.peek(0) == '/':
			s.next()
			depth--
		}
	}
}

// quoted reads a string; in one that began with E a backslash escapes.
func (s *dumpScan) quoted(escapes bool) {
	at := s.line
	if s.st.afterEscaped && s.st.newline {
		s.hit(at, "a string that goes on in another line")
	}
	var text []byte
	for {
		c, ok := s.next()
		switch {
		case !ok:
			s.findings.damage = fmt.Sprintf("it ends in the middle of the text of line %d", at)
			return
		case c == '\\' && escapes:
			s.next()
		case c == '\'' && s.peek(0) == '\'':
			s.next()
		case c == '\'':
			s.st.literal(string(text))
			s.st.afterEscaped, s.st.newline = escapes, false
			return
		case len(text) < maxWord:
			text = append(text, c)
		}
	}
}

// identifier reads a name in double quotes.
func (s *dumpScan) identifier() {
	at := s.line
	var text []byte
	for {
		c, ok := s.next()
		switch {
		case !ok:
			s.findings.damage = fmt.Sprintf("it ends in the middle of the name of line %d", at)
			return
		case c == '"' && s.peek(0) == '"':
			s.next()
		case c == '"':
			s.st.name(string(text))
			return
		case len(text) < maxWord:
			text = append(text, c)
		}
	}
}

// dollar reads a dollar-quoted text, or the number of a parameter.
func (s *dumpScan) dollar() {
	for isDigit(s.peek(0)) {
		for isDigit(s.peek(0)) {
			s.next()
		}
		s.st.symbol('$')
		return
	}
	tag := []byte{'$'}
	for n := 0; ; n++ {
		c := s.peek(n)
		if c == '$' {
			break
		}
		if !isIdentStart(c) && (n == 0 || !isDigit(c)) {
			s.st.symbol('$') // an operator, or nothing
			return
		}
		if tag = append(tag, c); n > maxTag {
			s.hit(s.line, "a quote with a tag of more than %d letters", maxTag)
			return
		}
	}
	tag = append(tag, '$')
	for range tag[1:] {
		s.next()
	}
	s.dollarBody(tag)
}

func (s *dumpScan) dollarBody(tag []byte) {
	for at := s.line; ; {
		c, ok := s.next()
		if !ok {
			s.findings.damage = fmt.Sprintf("it ends in the middle of the text of line %d", at)
			return
		}
		if c != '$' {
			continue
		}
		if rest, _ := s.src.Peek(len(tag) - 1); !bytes.Equal(rest, tag[1:]) {
			continue
		}
		for range tag[1:] {
			s.next()
		}
		s.st.literal("")
		return
	}
}

// word reads a keyword or a name; E before a quote makes a string of its own kind.
func (s *dumpScan) word(first byte) {
	text := []byte{first}
	for c := s.peek(0); isIdentStart(c) || isDigit(c) || c == '$'; c = s.peek(0) {
		s.next()
		if len(text) <= maxWord {
			text = append(text, c)
		}
	}
	if len(text) == 1 && (first == 'e' || first == 'E') && s.peek(0) == '\'' {
		s.next()
		s.quoted(true)
		return
	}
	s.st.word(string(text))
}

// number: where a number ends and a word begins is not the same in all
// versions of psql, and pg_dump never writes one against the other.
func (s *dumpScan) number() {
	for isDigit(s.peek(0)) || s.peek(0) == '.' {
		s.next()
	}
	if c := s.peek(0); c == 'e' || c == 'E' {
		n := 1
		if sign := s.peek(1); sign == '+' || sign == '-' {
			n = 2
		}
		if isDigit(s.peek(n)) {
			for range n {
				s.next()
			}
			for isDigit(s.peek(0)) {
				s.next()
			}
		}
	}
	if isIdentStart(s.peek(0)) {
		s.hit(s.line, "a number that runs into a word")
	}
	s.st.symbol('0')
}

// colon finds psql's variables; :: is a cast, a[1:n] a slice.
func (s *dumpScan) colon() {
	c := s.peek(0)
	switch {
	case c == ':':
		s.next()
	case c == '\'' || c == '"' || c == '{' || c >= 'A' && c <= 'Z':
		s.hit(s.line, "a psql variable")
	}
	s.st.symbol(':')
}

// command finds psql's own commands. Only the pair with which pg_dump forbids
// them is expected, and is not passed on: we say it ourselves.
func (s *dumpScan) command() {
	line, before := s.line, len(s.pending)-1
	rest := []byte{'\\'}
	for c := s.peek(0); c != '\n' && c != 0; c = s.peek(0) {
		s.next()
		if len(rest) < 4*maxWord {
			rest = append(rest, c)
		}
	}
	text := strings.TrimRight(string(rest), "\r")
	name, token, _ := strings.Cut(text, " ")
	switch {
	case !s.st.empty() || !isRestrictToken(token):
		s.hit(line, "a psql command: %s", clean.Line(text, 40))
	case name == `\restrict` && s.restrict == "":
		s.restrict = token
	case name == `\unrestrict` && s.restrict == token:
		s.restrict = ""
	default:
		s.hit(line, "a psql command: %s", clean.Line(text, 40))
	}
	if s.to != nil && before >= 0 {
		s.pending = s.pending[:before]
	}
}

func isRestrictToken(token string) bool {
	for _, c := range []byte(token) {
		if !isDigit(c) && (c >= 0x80 || c == '_' || !isIdentStart(c)) {
			return false
		}
	}
	return token != ""
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
	case st.unwanted():
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
