// Package panes holds the three panes that show what the monitor knows: the
// system, the services, and the database.
//
// A pane here is a function of a snapshot: it names the checks it reads by
// their id and says of every number what it is, what it is compared with, and
// how much it is to be believed. What is not known is "?" with the reason;
// what was known is shown faint, with its age. The package knows checks and
// the kit of ui/pane, and neither a database driver nor /proc.
//
// Read source.go and lines.go first, then system.go, services.go, and of the
// database database.go, database_views.go and database_grid.go.
package panes

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/watch"
)

// memory is the newest result with facts of every check: what a pane shows,
// faint, after the check has failed.
type memory map[string]checks.Result

// keep makes the memory of a snapshot, with what is still remembered.
func (m memory) keep(s watch.Snapshot) memory {
	next := make(memory, len(s.States))
	for _, st := range s.States {
		id := st.Check.ID
		switch r, known := m[id]; {
		case st.Result.Err == "" && len(st.Result.Facts) > 0:
			next[id] = st.Result
		case known:
			next[id] = r
		}
	}
	return next
}

// A source is one check as a pane reads it at a moment: the state, and the
// result its numbers come from.
type source struct {
	watch.State
	facts   checks.Result // newest, or the last one that had facts
	old     bool          // the facts are not to be trusted any more
	trouble string        // why the newest facts are missing or old; "" if nothing is wrong
	now     time.Time
}

// source reads the check of that id.
func (m memory) source(s watch.Snapshot, id string, now time.Time) (source, bool) {
	st, ok := s.State(id)
	src := source{State: st, facts: st.Result, now: now, trouble: trouble(st, now)}
	if ok && st.Result.Err != "" && len(st.Result.Facts) == 0 {
		if last, known := m[id]; known {
			src.facts = last
			src.trouble += " (values " + ago(now.Sub(last.At)) + " old)"
		}
	}
	src.old = st.Stuck || st.Stale(now) || st.Result.Err != "" && !st.Result.Collecting
	return src, ok
}

// trouble says why a check's newest facts are missing or old.
func trouble(st watch.State, now time.Time) string {
	switch {
	case st.Stuck:
		return "no answer for " + ago(now.Sub(st.Running).Truncate(5*time.Second))
	case !st.Known():
		return "not run yet"
	case st.Result.Collecting: // its values hold, there is only no level yet
		return ""
	case st.Result.Err != "":
		return strings.TrimPrefix(string(st.Result.Class)+": ", ": ") + st.Result.Err
	case st.Stale(now):
		return ago(st.Age(now)) + " old"
	case st.Level == checks.Unknown && len(st.Result.Undecided) > 0:
		return "not found out: " + strings.Join(st.Result.Undecided, ", ")
	}
	return ""
}

// shown is the level a list shows: what is stuck or old is not known.
func shown(st watch.State, now time.Time) checks.Level {
	if st.Stuck || st.Stale(now) {
		return checks.Unknown
	}
	return st.Level
}

// blank reports whether there is nothing to show but the trouble.
func (s source) blank() bool { return len(s.facts.Facts) == 0 }

// num is a numeric fact; false if it is absent or not a number.
func (s source) num(name, label string) (float64, bool) {
	f, ok := s.facts.Fact(name, label)
	if !ok || math.IsNaN(f.Num) || math.IsInf(f.Num, 0) {
		return 0, false
	}
	return f.Num, true
}

// say is a fact as text, "?" if it is absent.
func (s source) say(name, label string) string {
	f, ok := s.facts.Fact(name, label)
	switch {
	case !ok:
		return "?"
	case f.Type == fact.Text || f.Type == fact.Bool || f.Type == fact.Time:
		return f.String()
	case math.IsNaN(f.Num) || math.IsInf(f.Num, 0):
		return "?"
	case f.Type == fact.Percent:
		return percent(f.Num)
	case f.Type == fact.Count:
		return short(f.Num)
	}
	return f.String()
}

// is reports whether a fact is there and true.
func (s source) is(name, label string) bool {
	f, ok := s.facts.Fact(name, label)
	return ok && f.Bool()
}

// part is "prefix value suffix" of a fact for the note of a line, "" if the
// fact is absent or stands in the note already because it broke a rule.
func (s source) part(prefix, name, label, suffix string) string {
	if _, broke := s.breach(label, name); broke {
		return ""
	}
	return s.bare(prefix, name, label, suffix)
}

// bare is part whether or not the fact broke a rule.
func (s source) bare(prefix, name, label, suffix string) string {
	if _, ok := s.facts.Fact(name, label); !ok {
		return ""
	}
	return strings.TrimSpace(prefix + " " + s.say(name, label) + suffix)
}

// labels lists the labels of a fact in the order of the result.
func (s source) labels(name string) []string {
	var list []string
	for _, f := range s.facts.Facts {
		if f.Name == name && !slices.Contains(list, f.Label) {
			list = append(list, f.Label)
		}
	}
	return list
}

// breach is the worst rule that one of the named facts broke.
func (s source) breach(label string, names ...string) (checks.Breach, bool) {
	var worst checks.Breach
	found := false
	for _, b := range s.facts.Why {
		if b.Label == label && slices.Contains(names, b.Fact) && (!found || b.Level.Worse(worst.Level)) {
			worst, found = b, true
		}
	}
	return worst, found
}

// level is what the named facts of a label count for. A level the monitor has
// not confirmed yet is not shown as if it were.
func (s source) level(label string, names ...string) checks.Level {
	if s.old {
		return checks.Unknown
	}
	if b, ok := s.breach(label, names...); ok {
		if s.Confirming() && b.Level.Worse(s.Level) {
			return s.Level
		}
		return b.Level
	}
	for _, name := range names {
		if slices.Contains(s.facts.Undecided, name) {
			return checks.Unknown
		}
	}
	return checks.OK
}

// limits are the comparisons that facts of a label broke: of the headline the
// limit alone, "> 90%", of others with name and value, "latency 140 ms > 50ms".
func (s source) limits(label, headline string, names ...string) string {
	var list []string
	for _, b := range s.facts.Why {
		if b.Label != label || b.Value.Type == fact.Bool || b.Fact != headline && !slices.Contains(names, b.Fact) {
			continue
		}
		text := strings.TrimSpace(strings.TrimPrefix(b.Rule, b.Fact))
		if b.Fact != headline {
			text = strings.ReplaceAll(b.Fact, "_", " ") + " " + s.say(b.Fact, label) + " " + text
		}
		if s.Confirming() && s.Need > 0 {
			text += " " + strconv.Itoa(s.Streak) + "/" + strconv.Itoa(s.Need)
		}
		list = append(list, text)
	}
	return join(list...)
}

// trend is the history of a fact.
func (s source) trend(name, label string) []float64 { return s.Trend[watch.TrendKey(name, label)] }

// percent is a share: whole from 10 on, one digit below.
func percent(p float64) string { return short(p) + " %" }

// short is a number for a list: whole from 10 on, one digit below and where it
// tells 99.9 from 100.
func short(n float64) string {
	switch size := math.Abs(n); {
	case size >= 1e13:
		return strings.Replace(strconv.FormatFloat(n, 'e', 1, 64), "e+", "e", 1)
	case size >= 1e9:
		return strings.TrimSuffix(strconv.FormatFloat(n/1e9, 'f', 1, 64), ".0") + "G"
	case size >= 1e6:
		return strings.TrimSuffix(strconv.FormatFloat(n/1e6, 'f', 1, 64), ".0") + "M"
	case size >= 1e5:
		return strconv.FormatFloat(n/1e3, 'f', 0, 64) + "k"
	case n == math.Trunc(n), size >= 10 && (size < 99 || size > 100):
		return strconv.FormatFloat(n, 'f', 0, 64)
	case size < 0.05:
		return "0"
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

// ago is a duration in one unit: "41 s", "6 m", "3 h", "12 d".
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " d"
}

// join puts the texts that are there side by side.
func join(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), "  ")
}
