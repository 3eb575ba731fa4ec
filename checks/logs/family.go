package logs

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	modules = append(modules, &m)
	return &m
}

// Family is the modules that read logs.
func Family() checks.Family {
	return checks.Family{
		Name:    "logs",
		Doc:     "Log files with their rotated siblings, and container logs: counts in a window, shipped patterns, silence.",
		Modules: modules,
	}
}

// Facts that every module of a window reports about what it read.
var (
	linesFact    = fact.Spec{Name: "lines", Type: fact.Count, Unit: "lines", Doc: "lines in the window, with those that could not be dated"}
	parsedFact   = fact.Spec{Name: "parsed", Type: fact.Count, Unit: "lines", Doc: "lines in the window with a time stamp"}
	unparsedFact = fact.Spec{Name: "unparsed", Type: fact.Percent, Worse: fact.Higher, Doc: "share of lines that have no time stamp and continue no other line"}
	gapsFact     = fact.Spec{Name: "gaps", Type: fact.Count, Unit: "files", Worse: fact.Higher, Doc: "files of the window that could not be read to their end"}
	futureFact   = fact.Spec{Name: "future", Type: fact.Count, Unit: "lines", Doc: "lines with a stamp ahead of now, which are in no window"}
)

// sourceParam names a log source of the site file.
func sourceParam() checks.Param {
	return checks.Param{Name: "source", Type: checks.TextParam, Required: true, Names: "logs", Doc: "log source of the site file", Example: "app"}
}

func windowParam(by string) checks.Param {
	return checks.Param{Name: "window", Type: checks.DurationParam, Default: by, Doc: "how far back from now, by the lines' own time stamps"}
}

// understood turns a scan whose lines could not be dated into an error, so
// that it is never taken for silence.
func (t *tally) understood(src checks.LogSource) error {
	switch {
	case t.empty:
		return checks.Failed(checks.NoData, "log source %s: nothing was ever written to it", src.Name)
	case t.parsed == 0 && (t.unparsed > 0 || len(t.undated) > 0):
		sample := ""
		if len(t.samples) > 0 {
			sample = fmt.Sprintf(", first %.60q", t.samples[0])
		}
		return checks.Failed(checks.Parse, "log source %s: parsed 0 of %d lines%s", src.Name, t.lines, sample)
	}
	return nil
}

// facts are those that every module of a window reports.
func (t *tally) facts() []fact.Fact {
	return []fact.Fact{
		fact.Number("lines", t.lines), fact.Number("parsed", t.parsed), fact.Pct("unparsed", t.unparsedShare()),
		fact.Number("gaps", len(t.gaps)), fact.Number("future", t.future),
	}
}

// detail is what a reader of the evidence needs to trust the numbers.
func (t *tally) detail(from, to time.Time) []string {
	lines := []string{fmt.Sprintf("window %s to %s, %d files, %d lines: %d dated, %d continued, %d not understood",
		from.Format(time.RFC3339), to.Format(time.RFC3339), t.files, t.lines, t.parsed, t.continued, t.unparsed)}
	if t.cut > 0 {
		lines = append(lines, fmt.Sprintf("%d lines longer than %d KiB were cut", t.cut, lineLimit>>10))
	}
	for _, s := range t.samples {
		lines = append(lines, "not understood: "+s)
	}
	for _, g := range t.gaps {
		lines = append(lines, "gap: "+g)
	}
	return lines
}

func perHour(n int64, window time.Duration) float64 {
	if window <= 0 {
		return 0
	}
	return float64(n) / window.Hours()
}

// clock is the check's time; modules compute their window from it once.
func clock(env checks.Env) time.Time {
	if env.Now == nil {
		return time.Now()
	}
	return env.Now()
}
