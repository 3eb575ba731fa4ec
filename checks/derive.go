package checks

import (
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// usualDays is how many different days must have a sample at this hour before
// a "usual" exists. Two could be a weekend; three is the least that can
// outvote one odd day in a median.
const usualDays = 3

// derive adds NAME_usual, NAME_ratio and NAME_growth where the module asks for
// them and history is long enough. Too little history adds nothing: the facts
// are optional, and rules leave them out and say so.
func derive(specs map[string]fact.Spec, h History, check string, facts []fact.Fact, now time.Time) []fact.Fact {
	if h == nil || len(specs) == 0 {
		return facts
	}
	var added []fact.Fact
	for _, f := range facts {
		spec, ok := specs[f.Name]
		if !ok || !f.Type.Numeric() {
			continue
		}
		if spec.Usual {
			added = append(added, usual(h, check, f, now)...)
		}
		if spec.Growth {
			added = append(added, growth(h, check, f, now)...)
		}
	}
	return append(facts, added...)
}

// remembered are the module's facts whose history is kept; most modules have
// none, and then nothing is looked up.
func (m *Module) remembered() map[string]fact.Spec {
	var specs map[string]fact.Spec
	for _, s := range m.Facts {
		if !s.Usual && !s.Growth {
			continue
		}
		if specs == nil {
			specs = map[string]fact.Spec{}
		}
		specs[s.Name] = s
	}
	return specs
}

// usual compares with the median of the daily medians at this hour of the day.
func usual(h History, check string, f fact.Fact, now time.Time) []fact.Fact {
	var daily []float64
	samples := h.Series(check, f.Name, f.Label, now.Add(-8*24*time.Hour))
	for day := 1; day <= 7; day++ {
		at := now.AddDate(0, 0, -day)
		if values := between(samples, at.Add(-30*time.Minute), at.Add(30*time.Minute)); len(values) > 0 {
			daily = append(daily, median(values))
		}
	}
	if len(daily) < usualDays {
		return nil
	}
	m := median(daily)
	derived := []fact.Fact{fact.Of(f.Name+"_usual", fact.Value{Type: f.Type, Num: m}).On(f.Label)}
	if m > 0 {
		derived = append(derived, fact.Pct(f.Name+"_ratio", 100*f.Num/m).On(f.Label))
	}
	return derived
}

// growth compares with the median of the samples of a week ago, give or take
// half a day.
func growth(h History, check string, f fact.Fact, now time.Time) []fact.Fact {
	week := now.AddDate(0, 0, -7)
	samples := h.Series(check, f.Name, f.Label, week.Add(-12*time.Hour))
	then := between(samples, week.Add(-12*time.Hour), week.Add(12*time.Hour))
	if len(then) == 0 {
		return nil
	}
	before := median(then)
	if before <= 0 {
		return nil
	}
	return []fact.Fact{fact.Pct(f.Name+"_growth", 100*(f.Num-before)/before).On(f.Label)}
}

func between(samples []Sample, from, to time.Time) []float64 {
	var values []float64
	for _, s := range samples {
		if !s.At.Before(from) && s.At.Before(to) {
			values = append(values, s.Value)
		}
	}
	return values
}

// median of a non-empty slice, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
