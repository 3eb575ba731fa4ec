// Package report tells what came of a run: to a person as Markdown or as one
// HTML page that prints well, to a program as JSON, and what is different
// between two runs.
//
// It reads runs and nothing else; what it shows was cleaned and redacted when
// it was recorded. Text of a run stays text: it forms no link, no markup and no
// table of its own. Read report.go first.
package report
