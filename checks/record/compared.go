package record

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Diff compares the newest run of a section with those before it.
var Diff = module(checks.Module{
	Name: "report.diff",
	Doc:  "Compares the numbers of the newest run of a section with the median of the runs before it, and counts those that are worse",
	Params: []checks.Param{
		{Name: "section", Type: checks.TextParam, Required: true, Doc: "the section whose runs are compared", Example: "benchmark"},
		{Name: "runs", Type: checks.NumberParam, Default: 4.0, Doc: "how many runs before it count, at most"},
		{Name: "worse", Type: checks.PercentParam, Default: "20%", Doc: "by how much a number must be worse to count"},
	},
	Facts: []fact.Spec{
		{Name: "worse", Type: fact.Count, Unit: "numbers", Worse: fact.Higher, Doc: "numbers that are worse by more than that"},
		{Name: "compared", Type: fact.Count, Unit: "numbers", Doc: "numbers that both have and that can get worse"},
		{Name: "runs", Type: fact.Count, Doc: "runs before it that were compared with"},
		{Name: "worst", Type: fact.Percent, Signed: true, Worse: fact.Higher, Optional: true, Doc: "by how much the worst of them is worse"},
	},
	Warn: "worse > 0", Source: "guide: > 20 % worse than the quarters before",
	Example: "use: report.diff\nwith: {section: benchmark}",
	Run:     compare,
})

func compare(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	all, err := runsOf(env, args.Text("section"))
	if err != nil {
		return checks.Findings{}, err
	}
	all = slices.DeleteFunc(all, func(r checks.RunSummary) bool { return r.Rehearsal })
	if len(all) < 2 {
		return checks.Findings{}, checks.Failed(checks.NoData, "%d runs of %q are recorded, and two are needed to compare", len(all), args.Text("section"))
	}
	newest := all[len(all)-1]
	before := all[max(0, len(all)-1-args.Int("runs")) : len(all)-1]
	f := checks.Findings{Target: newest.ID}
	var worse, compared int
	worst := math.Inf(-1)
	for _, it := range newest.Items {
		for _, m := range it.Measures {
			then, ok := medianOf(before, it.ID, m)
			if m.Worse == fact.Neither || !ok || then == 0 {
				continue
			}
			compared++
			by := 100 * float64(m.Worse) * (m.Num - then) / math.Abs(then)
			worst = max(worst, by)
			if by > args.Number("worse") {
				worse++
				f.Detail = append(f.Detail, fmt.Sprintf("%s %s %s: %s, %s before, %.0f %% worse", it.ID, m.Name, m.Label, m.Value, fact.Value{Type: m.Type, Num: then}, by))
			}
		}
	}
	if compared == 0 {
		return f, checks.Failed(checks.NoData, "the newest run and those before it have no number in common")
	}
	f.Note = fmt.Sprintf("%d of %d numbers are worse than in the %d runs before", worse, compared, len(before))
	f.Facts = []fact.Fact{fact.Number("worse", worse), fact.Number("compared", compared), fact.Number("runs", len(before)), fact.Pct("worst", worst)}
	return f, nil
}

func medianOf(runs []checks.RunSummary, item string, m checks.Measure) (float64, bool) {
	var values []float64
	for _, r := range runs {
		for _, it := range r.Items {
			if it.ID != item {
				continue
			}
			for _, old := range it.Measures {
				if old.Name == m.Name && old.Label == m.Label && old.Type == m.Type {
					values = append(values, old.Num)
				}
			}
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	return values[len(values)/2], true
}

// runsOf are the recorded runs of a section, oldest first.
func runsOf(env checks.Env, section string) ([]checks.RunSummary, error) {
	if env.Runs == nil {
		return nil, checks.Failed(checks.Unconfigured, "there is no record to look into")
	}
	all, err := env.Runs(section)
	if err != nil {
		return nil, checks.Failed(checks.Parse, "reading the record: %w", err)
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b checks.RunSummary) int { return a.Opened.Compare(b.Opened) })
	return all, nil
}
