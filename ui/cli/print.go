package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// firstLineCells is the width that the first line of human output keeps to.
const firstLineCells = 80

// A painter colours levels for people, or leaves them plain.
type painter struct{ color bool }

// level is the level's name, five cells wide where it can be.
func (p painter) level(l checks.Level) string {
	text := fmt.Sprintf("%-7s", l)
	if !p.color {
		return text
	}
	codes := map[checks.Level]string{checks.OK: "32", checks.Warn: "33", checks.Crit: "1;31", checks.Unknown: "35", checks.Skipped: "2"}
	return "\x1b[" + codes[l] + "m" + text + "\x1b[0m"
}

// headline is the one line that says what a result is about: the verdict, the
// check, what was found.
func (p painter) headline(r checks.Result) string {
	line := fmt.Sprintf("%-15s %s", r.ID, summary(r))
	return p.level(r.Level) + " " + ansi.Truncate(line, firstLineCells-8, "...")
}

// verdict is the first line of a list: its worst level, what is at it, and how
// many of each. It keeps to the width; the tally is worth more than a long name.
func (p painter) verdict(l checks.Level, worst, tally string) string {
	room := firstLineCells - 8 - ansi.StringWidth(tally) - 2
	return p.level(l) + " " + ansi.Truncate(clean.Line(worst, 0), max(8, room), "...") + ": " + tally
}

// counted says how many there are of each kind, in that order; kinds of which
// there is none are left out.
func counted[K comparable](counts map[K]int, kinds []K, names ...string) string {
	var parts []string
	for i, k := range kinds {
		if counts[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[k], names[i]))
		}
	}
	return strings.Join(parts, ", ")
}

// summary is the note, or what kept the check from finding out.
func summary(r checks.Result) string {
	if r.Err != "" {
		if r.Class != "" {
			return string(r.Class) + ": " + r.Err
		}
		return r.Err
	}
	return r.Note
}

// result prints one result for a person: verdict first, then why, then facts.
func (p painter) result(w io.Writer, r checks.Result) {
	fmt.Fprintln(w, p.headline(r))
	if r.Target != "" {
		fmt.Fprintf(w, "  target %s\n", r.Target)
	}
	for _, b := range r.Why {
		fmt.Fprintf(w, "  %-5s %s\n", b.Level, breachText(b))
	}
	if r.Err != "" {
		fmt.Fprintf(w, "  %-5s %s\n", "error", r.Err)
	}
	for _, f := range r.Facts {
		fmt.Fprintf(w, "  %-18s %14s  %s\n", f.Name, f.Value, f.Label)
	}
	for _, t := range r.Tables {
		printTable(w, t)
	}
	for _, line := range r.Detail {
		fmt.Fprintf(w, "  | %s\n", line)
	}
	for _, ph := range r.Phases {
		fmt.Fprintf(w, "  phase %-12s %14s\n", ph.Name, fact.FormatDuration(ph.Took))
	}
	fmt.Fprintf(w, "  rules: warn %s, fail %s (%s)\n", orNone(r.Warn), orNone(r.Fail), orNone(r.RuleSource))
	if r.Over > 0 {
		fmt.Fprintf(w, "  measured over %s\n", fact.FormatDuration(r.Over.Round(100*time.Millisecond)))
	}
	if !r.Since.IsZero() {
		fmt.Fprintf(w, "  counted since the reset of %s\n", r.Since.Format("2006-01-02 15:04:05 MST"))
	}
	fmt.Fprintf(w, "  taken %s, took %s\n", r.At.Format("2006-01-02 15:04:05 MST"), fact.FormatDuration(r.Took))
}

func breachText(b checks.Breach) string {
	text := b.Fact + " is " + b.Value.String()
	if b.Label != "" {
		text += " for " + b.Label
	}
	return fmt.Sprintf("%s; rule %s (%s)", text, b.Rule, orNone(b.Source))
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func printTable(w io.Writer, t checks.Table) {
	widths := make([]int, len(t.Columns))
	rows := make([][]string, 0, len(t.Rows)+1)
	header := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		header[i] = c.Name
	}
	rows = append(rows, header)
	for _, r := range t.Rows {
		cells := make([]string, len(t.Columns))
		for i := range min(len(cells), len(r)) {
			cells[i] = r[i].String()
		}
		rows = append(rows, cells)
	}
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = min(60, max(widths[i], ansi.StringWidth(cell)))
		}
	}
	fmt.Fprintf(w, "  %s\n", t.Name)
	for _, r := range rows {
		fmt.Fprintf(w, "    %s\n", tableLine(r, widths))
	}
}

func tableLine(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		cell = ansi.Truncate(cell, widths[i], "...")
		b.WriteString(cell)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-ansi.StringWidth(cell)+2))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// printJSON writes one JSON document, indented when a person is likely to read it.
func printJSON(w io.Writer, v any, indent bool) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if indent {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
