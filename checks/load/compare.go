package load

import (
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A load is compared with the last four at the same item, which is a year of
// quarters, and with none that is older.
const (
	comparedWith = 4
	comparedFor  = 500 * 24 * time.Hour
)

// earlier are the values of a fact at the loads before this one, oldest first.
func earlier(env checks.Env, name string) []float64 {
	if env.History == nil {
		return nil
	}
	samples := env.History.Series(env.Check, name, "", env.Now().Add(-comparedFor))
	samples = samples[max(0, len(samples)-comparedWith):]
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = s.Value
	}
	return values
}

// compare holds a load against those before it. A load that was broken off is
// not compared: what it measured is the beginning of a failure.
func compare(env checks.Env, m *measured) []fact.Fact {
	times, errors := earlier(env, "p95"), earlier(env, "errors")
	facts := []fact.Fact{fact.Number("runs", len(times))}
	if len(errors) > 0 {
		facts = append(facts, fact.Pct("errors_before", median(errors)))
	}
	if len(times) == 0 {
		return facts
	}
	then := median(times)
	facts = append(facts, fact.Of("p95_before", fact.Value{Type: fact.Duration, Num: then}))
	if p95, ok := m.quantile(95); ok && then > 0 && !m.aborted {
		facts = append(facts, fact.Pct("p95_change", 100*(fact.DurValue(p95).Num-then)/then))
	}
	return facts
}

// median of a list that is not empty.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
