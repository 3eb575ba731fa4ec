package markdown

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Bounds on a document, checked before any parser sees it: both parsers take
// quadratic time or worse on hostile input. A guide of a thousand lines is far
// inside all of them.
const (
	maxSize    = 1 << 20 // bytes
	maxLine    = 8 << 10 // bytes of one line
	maxQuotes  = 16      // '>' that open one line
	maxIndent  = 64      // columns before a line's text
	maxMarkers = 8       // list markers that open one line
	maxLinks   = 5000    // "](" in a document
	maxOpeners = 20000   // '[' in a document
	maxRun     = 2000    // '*', '_' or '`' in one paragraph's line
	maxItems   = 2000

	maxBlockSize  = 64 << 10 // bytes of one YAML block
	maxBlockLines = 400
	maxFlow       = 12  // nested [ and { on the way to a value
	maxBrackets   = 400 // [ and { in one block
)

// bounds reports the first bound a document breaks; ok means none.
func bounds(source []byte, r *report) (ok bool) {
	switch {
	case len(source) > maxSize:
		r.err(top, "too-large", "split it", "the document has %d bytes, more than %d", len(source), maxSize)
		return false
	case !utf8.Valid(source) || bytes.IndexByte(source, 0) >= 0:
		r.err(textFault(source), "not-text", "", "the document is not UTF-8 text")
		return false
	}
	if n := bytes.Count(source, []byte("](")); n > maxLinks {
		r.err(top, "too-many", "", "the document has %d links, more than %d", n, maxLinks)
		return false
	}
	if n := bytes.Count(source, []byte("[")); n > maxOpeners {
		r.err(top, "too-many", "", "the document has %d opening brackets, more than %d", n, maxOpeners)
		return false
	}
	line := 0
	for text := range bytes.Lines(source) {
		line++
		if why := lineFault(text); why != "" {
			r.err(place{line, 1}, "too-deep", "", "%s", why)
			return false
		}
	}
	return true
}

// textFault is where the first byte is that is not text.
func textFault(source []byte) place {
	at := place{1, 1}
	for i := 0; i < len(source); {
		c, n := utf8.DecodeRune(source[i:])
		if c == 0 || c == utf8.RuneError && n == 1 {
			break
		}
		at.col += n
		if c == '\n' {
			at = place{at.line + 1, 1}
		}
		i += n
	}
	return at
}

// lineFault says which bound a line breaks, "" if none.
func lineFault(text []byte) string {
	if len(text) > maxLine {
		return fmt.Sprintf("the line has %d bytes, more than %d", len(text), maxLine)
	}
	indent, quotes, markers := 0, 0, 0
opening:
	for _, c := range text {
		switch {
		case c == ' ':
			indent++
		case c == '\t':
			indent += 4
		case c == '>':
			quotes++
		case c == '-' || c == '*' || c == '+' || c == '?':
			markers++
		default:
			break opening
		}
	}
	switch {
	case quotes > maxQuotes:
		return fmt.Sprintf("%d levels of quotation, more than %d", quotes, maxQuotes)
	case indent > maxIndent+markers:
		return fmt.Sprintf("an indentation of %d columns, more than %d", indent, maxIndent)
	case markers > maxMarkers && indent >= markers/2:
		return fmt.Sprintf("%d list markers on one line, more than %d", markers, maxMarkers)
	}
	for _, c := range []byte("*_`") {
		if n := bytes.Count(text, []byte{c}); n > maxRun {
			return fmt.Sprintf("%d times %q on one line, more than %d", n, c, maxRun)
		}
	}
	return ""
}

// blockFault says which bound a YAML block breaks, "" if none.
func blockFault(body string) string {
	if len(body) > maxBlockSize {
		return fmt.Sprintf("the block has %d bytes, more than %d", len(body), maxBlockSize)
	}
	lines, depth, brackets := 1, 0, 0
	for _, c := range []byte(body) {
		switch c {
		case '\n':
			lines++
		case '[', '{':
			depth++
			brackets++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxFlow || brackets > maxBrackets {
			return fmt.Sprintf("the block nests or repeats brackets more than a block may (%d deep, %d in all)", maxFlow, maxBrackets)
		}
	}
	if lines > maxBlockLines {
		return fmt.Sprintf("the block has %d lines, more than %d", lines, maxBlockLines)
	}
	return ""
}
