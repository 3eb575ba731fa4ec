package site

import (
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks/core/owner"
)

// Severity says whether a problem keeps the site from being used.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// A Problem is one thing wrong with a site file, at its place.
type Problem struct {
	File     string
	Line     int // 1-based; 0 if the file as a whole is meant
	Col      int
	Severity Severity
	Code     string // stable: S101
	Msg      string // what was found and what was expected
	Hint     string // the nearest valid word, or what to do
	Excerpt  string // the line
}

// The codes of problems.
const (
	codeSyntax      = "S100" // not YAML, or YAML that is not accepted
	codeUnknownKey  = "S101"
	codeWrongType   = "S102"
	codeMissing     = "S103"
	codeUnknownWord = "S104" // a module, a kind, a service, a zone that does not exist
	codeDuplicate   = "S105"
	codeArgument    = "S106" // of a module
	codeRule        = "S107"
	codeVariable    = "S108"
	codeSecret      = "S109"
	codePlaceholder = "S110"
	codeCycle       = "S111"
	codeMode        = "S112" // somebody else could have written the file
)

// String is the problem on one line: file:line:col severity CODE message (hint).
func (p Problem) String() string {
	text := fmt.Sprintf("%s:%d:%d %s %s %s", p.File, p.Line, p.Col, p.Severity, p.Code, p.Msg)
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// Pointed is the problem with its line and a caret under the column.
func (p Problem) Pointed() string {
	if p.Excerpt == "" {
		return p.String()
	}
	line, col := around(p.Excerpt, max(0, p.Col-1))
	return fmt.Sprintf("%s\n    %s\n    %s^", p, line, strings.Repeat(" ", col))
}

// Refused is a refusal of the whole file as its one problem.
func Refused(r *owner.Refusal) Problem {
	return Problem{File: r.Path, Line: 1, Col: 1, Severity: Error, Code: codeMode, Msg: r.Cause(), Hint: r.Remedy}
}

// Problems are all that is wrong with a file, in its order.
type Problems []Problem

// Errors reports whether any of them keeps the site from being used.
func (ps Problems) Errors() bool {
	for _, p := range ps {
		if p.Severity == Error {
			return true
		}
	}
	return false
}

// Error lists them, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// excerptWidth is how much of a long line is shown around its problem.
const excerptWidth = 72

// around is the part of a line that has the place at col, and where it is there.
func around(line string, col int) (part string, at int) {
	runes := []rune(line)
	if len(runes) <= excerptWidth {
		return line, col
	}
	from := min(max(0, col-excerptWidth/2), len(runes)-excerptWidth)
	to := from + excerptWidth
	part, at = string(runes[from:to]), col-from
	if from > 0 {
		part, at = "..."+part, at+3
	}
	if to < len(runes) {
		part += "..."
	}
	return part, at
}
