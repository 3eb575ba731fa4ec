package markdown

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says whether a runbook with this diagnostic can be run.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the runbook is not usable
	Warning Severity = "warning" // it is, but its author should look
)

// A Diagnostic is one thing wrong with a document, at its place.
type Diagnostic struct {
	File     string   `json:"file"`
	Line     int      `json:"line"` // 1-based
	Col      int      `json:"col"`  // 1-based, in bytes
	Severity Severity `json:"severity"`
	Code     string   `json:"code"` // "unknown-key"; the list is in the package's tests
	Msg      string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// String is the diagnostic in one line: file:line:col severity CODE message (hint).
func (d Diagnostic) String() string {
	text := fmt.Sprintf("%s:%d:%d %s %s %s", d.File, d.Line, d.Col, d.Severity, d.Code, d.Msg)
	if d.Hint != "" {
		text += " (" + d.Hint + ")"
	}
	return text
}

// HasErrors reports whether any diagnostic is an error.
func HasErrors(list []Diagnostic) bool {
	return slices.ContainsFunc(list, func(d Diagnostic) bool { return d.Severity == Error })
}

// place is a position in the document.
type place struct{ line, col int }

// at is the first position of the document.
var top = place{1, 1}

// report collects diagnostics.
type report struct {
	file string
	list []Diagnostic
}

func (r *report) add(severity Severity, at place, code, hint, format string, a ...any) {
	r.list = append(r.list, Diagnostic{r.file, at.line, at.col, severity, code, fmt.Sprintf(format, a...), hint})
}

func (r *report) err(at place, code, hint, format string, a ...any) {
	r.add(Error, at, code, hint, format, a...)
}

func (r *report) warn(at place, code, hint, format string, a ...any) {
	r.add(Warning, at, code, hint, format, a...)
}

// sorted is every diagnostic in the order of the document, once.
func (r *report) sorted() []Diagnostic {
	slices.SortStableFunc(r.list, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Msg, b.Msg))
	})
	return slices.Compact(r.list)
}
