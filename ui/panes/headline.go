package panes

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// headlines are the facts that say how a service is, by what it is; the first
// that a result has is shown.
var headlines = []string{"total", "latency", "p95", "connect", "took", "left", "age", "used_share", "matches", "count", "value", "cpu", "size", "lines"}

// headline is the number that matters now: the one that broke a rule, what is
// reached of what was expected, or how long it took.
func headline(s source) string {
	if s.blank() {
		return missing(s)
	}
	for _, b := range s.facts.Why {
		if b.Value.Type != fact.Bool && b.Value.Type != fact.Text && !math.IsNaN(b.Value.Num) {
			return measure(s, b.Fact, b.Value)
		}
	}
	for _, name := range []string{"ok", "found", "reachable"} {
		if f, ok := s.facts.Fact(name, ""); ok && !f.Bool() {
			return down(s, name)
		}
	}
	if running, ok := s.num("running", ""); ok {
		if expected, ok := s.num("expected", ""); ok {
			return short(running) + "/" + short(expected) + " up"
		}
	}
	for _, name := range headlines {
		if f, ok := telling(s, name); ok {
			return measure(s, name, f.Value)
		}
	}
	if f, ok := s.facts.Fact("ok", ""); ok && f.Bool() {
		return "ok"
	}
	return ""
}

// down is the word for what is not there.
func down(s source, name string) string {
	if n, ok := s.num("status", ""); ok && n > 0 {
		return short(n)
	}
	if name == "found" {
		return "none"
	}
	if name == "ok" && strings.Contains(s.facts.Module, "integrity") {
		return "broken"
	}
	return "down"
}

// measure is a value as short as it can be said.
func measure(s source, name string, v fact.Value) string {
	switch v.Type {
	case fact.Duration:
		if v.Dur() >= 48*time.Hour {
			return ago(v.Dur())
		}
		return v.String()
	case fact.Percent:
		return percent(v.Num)
	case fact.Count:
		unit := ""
		if s.Check.Module != nil {
			if spec, ok := s.Check.Module.FactSpec(name); ok {
				unit = spec.Unit
			}
		}
		if strings.HasPrefix(unit, "/") {
			return short(v.Num) + " " + unit
		}
		return short(v.Num)
	}
	return v.String()
}

// telling is the fact, of several labels the one that is worst off: what is
// left of the certificate that ends first, the busiest container.
func telling(s source, name string) (fact.Fact, bool) {
	higher := false
	if s.Check.Module != nil {
		spec, _ := s.Check.Module.FactSpec(name)
		higher = spec.Worse == fact.Higher
	}
	var worst fact.Fact
	found := false
	for _, f := range s.facts.Facts {
		if f.Name == name && f.Type.Numeric() && !math.IsNaN(f.Num) && (!found || (f.Num < worst.Num) != higher) {
			worst, found = f, true
		}
	}
	return worst, found
}

// latencies are the facts whose history gives p50 and p95.
var latencies = []string{"total", "latency", "connect", "took"}

// Samples that a median and a 95th percentile need to mean anything.
const (
	leastP50 = 5
	leastP95 = 20
)

// quantiles are p50 and p95 as the check measured them, else of the samples
// the monitor keeps: "-" where there are too few, "" where nothing is timed.
func quantiles(s source) (p50, p95 string) {
	if _, ok := s.num("p50", ""); ok {
		return s.say("p50", ""), s.say("p95", "")
	}
	for _, name := range latencies {
		trend := sorted(s.trend(name, ""))
		if len(trend) == 0 {
			continue
		}
		return quantile(trend, 50, leastP50), quantile(trend, 95, leastP95)
	}
	return "", ""
}

// sorted is the samples that are numbers, in order.
func sorted(samples []float64) []float64 {
	list := slices.DeleteFunc(slices.Clone(samples), math.IsNaN)
	slices.Sort(list)
	return list
}

// quantile is by the nearest rank, in milliseconds.
func quantile(sorted []float64, percent, least int) string {
	if len(sorted) < least {
		return "-"
	}
	rank := (len(sorted)*percent + 99) / 100
	v := fact.Value{Type: fact.Duration, Num: sorted[rank-1]}
	return v.String()
}
