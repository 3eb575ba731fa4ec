package postgres

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

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
	if isDigit(s.peek(0)) {
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
