package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var nagiosNames = map[checks.Level]string{
	checks.OK: "OK", checks.Skipped: "OK", checks.Warn: "WARNING", checks.Crit: "CRITICAL", checks.Unknown: "UNKNOWN",
}

// printNagios writes results in the format of the monitoring plugins: one
// line with the worst first, perfdata behind the bar, details below.
// The process exit code carries the level, as plugins do.
func printNagios(w io.Writer, results []checks.Result) {
	worst := checks.Skipped
	for _, r := range results {
		worst = checks.Worst(worst, r.Level)
	}
	head := fmt.Sprintf("OPSDECK %s", nagiosNames[worst])
	if len(results) > 0 {
		head += " - " + results[0].ID + ": " + summary(results[0])
	}
	if len(results) > 1 {
		head += fmt.Sprintf(" (%d checks)", len(results))
	}
	fmt.Fprintf(w, "%s|%s\n", nagiosText(head), strings.Join(perfdata(results), " "))
	for _, r := range results {
		if len(results) > 1 {
			fmt.Fprintf(w, "%s %s: %s\n", nagiosNames[r.Level], nagiosText(r.ID), nagiosText(summary(r)))
		}
	}
}

// nagiosText keeps the bar out of the text: it separates perfdata.
func nagiosText(s string) string { return strings.ReplaceAll(s, "|", "/") }

func perfdata(results []checks.Result) []string {
	var all []string
	for _, r := range results {
		for _, f := range r.Facts {
			if !f.Type.Numeric() {
				continue
			}
			name := f.Name
			if f.Label != "" {
				name += "_" + f.Label
			}
			if len(results) > 1 {
				name = r.ID + "_" + name
			}
			all = append(all, fmt.Sprintf("'%s'=%s%s;;;;", perfName(name), strconv.FormatFloat(f.Num, 'f', -1, 64), perfUnit(f.Type)))
		}
	}
	return all
}

func perfName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '\'' || r == '=' || r == '|' {
			return '_'
		}
		return r
	}, name)
}

func perfUnit(t fact.Type) string { return t.UnitName() }
