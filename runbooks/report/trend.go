package report

import (
	"math"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// A Trend is a number of an item over the runs of its section, oldest first.
type Trend struct {
	Item   string    `json:"item"`
	Fact   string    `json:"fact"`
	Label  string    `json:"label,omitempty"`
	Type   string    `json:"type"`
	Points []Point   `json:"points"`
	latest fact.Fact // for a person's form
}

// A Point is the number in one run.
type Point struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// Bounds of trends: more are in the runs themselves.
const (
	mostTrends = 60
	mostPoints = 60
)

// trends are the numeric facts of the run that earlier runs have as well.
func trends(run runbooks.Run, earlier []runbooks.Run) []Trend {
	if len(earlier) > mostPoints-1 {
		earlier = earlier[len(earlier)-mostPoints+1:]
	}
	var all []Trend
	for _, it := range run.Items {
		r := it.Result()
		if r == nil {
			continue
		}
		for _, f := range r.Facts {
			if !f.Type.Numeric() || !finite(f.Num) || len(all) == mostTrends {
				continue
			}
			t := Trend{Item: it.ID, Fact: f.Name, Label: f.Label, Type: f.Type.String(), latest: f}
			for _, old := range earlier {
				if v, at, ok := valueIn(old, it.ID, f); ok {
					t.Points = append(t.Points, Point{at, v})
				}
			}
			if len(t.Points) > 0 {
				t.Points = append(t.Points, Point{r.At, f.Num})
				all = append(all, t)
			}
		}
	}
	return all
}

// valueIn is the same fact of the same item in another run.
func valueIn(run runbooks.Run, item string, f fact.Fact) (float64, time.Time, bool) {
	it, ok := run.Item(item)
	if !ok || it.Result() == nil {
		return 0, time.Time{}, false
	}
	old, ok := it.Result().Fact(f.Name, f.Label)
	if !ok || old.Type != f.Type || !finite(old.Num) {
		return 0, time.Time{}, false
	}
	return old.Num, it.Result().At, true
}

// finite reports whether a number is one: what JSON cannot hold comes back
// from the record as no number.
func finite(n float64) bool { return !math.IsNaN(n) && !math.IsInf(n, 0) }

// usual is how long each item took in earlier runs: the median of the attempts
// that went well. Rehearsals do not count.
func usual(earlier []runbooks.Run) map[string]time.Duration {
	took := map[string][]time.Duration{}
	for _, r := range earlier {
		if r.Opened.Rehearsal {
			continue
		}
		for _, it := range r.Items {
			for a := range it.Attempts.All() {
				if !a.Ended.IsZero() && (a.State == runbooks.Passed || a.State == runbooks.Warned) {
					took[it.ID] = append(took[it.ID], a.Took())
				}
			}
		}
	}
	median := map[string]time.Duration{}
	for id, list := range took {
		slices.Sort(list)
		median[id] = list[len(list)/2]
	}
	return median
}
