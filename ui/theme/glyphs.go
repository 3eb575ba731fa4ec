package theme

import "github.com/advanced-lms/opsdeck/checks"

// Glyphs are the characters the deck draws with, each one cell wide. Two sets
// exist and have the same fields, so whatever is drawn has an ASCII twin.
type Glyphs struct {
	Horizontal, Vertical    string // rules between regions
	Cross, DownTee, UpTee   string // where rules meet
	RightTee, LeftTee       string
	TopLeft, TopRight       string // corners of an overlay's frame
	BottomLeft, BottomRight string
	Ellipsis                string   // text was cut here
	Spark                   []string // levels of a sparkline, lowest first
	NoData                  string   // a point of a sparkline without a value
	Full, Empty             string   // a gauge
	Up, Down                string   // there is more above, below
	Pointer                 string   // the cursor
	Done, Todo              string   // an item of a list
	Dot                     string   // between two short texts on one line
}

var asciiGlyphs = Glyphs{
	Horizontal: "-", Vertical: "|", Cross: "+", DownTee: "+", UpTee: "+", RightTee: "+", LeftTee: "+",
	TopLeft: "+", TopRight: "+", BottomLeft: "+", BottomRight: "+",
	Ellipsis: "~", Spark: []string{" ", ".", ":", "-", "=", "#"}, NoData: "?",
	Full: "=", Empty: "-", Up: "^", Down: "v", Pointer: ">", Done: "x", Todo: " ", Dot: "|",
}

var unicodeGlyphs = Glyphs{
	Horizontal: "─", Vertical: "│", Cross: "┼", DownTee: "┬", UpTee: "┴", RightTee: "├", LeftTee: "┤",
	TopLeft: "┌", TopRight: "┐", BottomLeft: "└", BottomRight: "┘",
	Ellipsis: "…", Spark: []string{"▁", "▂", "▃", "▅", "▆", "█"}, NoData: "?",
	Full: "█", Empty: "░", Up: "▲", Down: "▼", Pointer: ">", Done: "x", Todo: " ", Dot: "│",
}

// MarkWidth is the width of every mark.
const MarkWidth = 2

// Mark is the level as two characters, the same in every terminal: "!!" crit,
// "! " warn, "? " unknown or stuck, blank ok, "- " skipped.
func Mark(l checks.Level) string {
	switch l {
	case checks.Crit:
		return "!!"
	case checks.Warn:
		return "! "
	case checks.OK:
		return "  "
	case checks.Skipped:
		return "- "
	default:
		return "? "
	}
}

// Word is the level in four letters or less, for counts: CRIT, WARN, UNK, ok, skip.
func Word(l checks.Level) string {
	switch l {
	case checks.Crit:
		return "CRIT"
	case checks.Warn:
		return "WARN"
	case checks.OK:
		return "ok"
	case checks.Skipped:
		return "skip"
	default:
		return "UNK"
	}
}
