package record

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Health looks whether the runbooks themselves are in shape.
var Health = module(checks.Module{
	Name: "runbook.health",
	Doc:  "Looks whether the runbooks can be used, were reviewed in time, and have no item that fails or is overridden again and again",
	Params: []checks.Param{
		{Name: "window", Type: checks.DurationParam, Default: "90d", Doc: "how far back runs count"},
		{Name: "often", Type: checks.NumberParam, Default: 3.0, Doc: "how many failures or overrides of one item are again and again"},
	},
	Facts: []fact.Spec{
		{Name: "runbooks", Type: fact.Count, Doc: "runbooks on the shelf"},
		{Name: "errors", Type: fact.Count, Worse: fact.Higher, Doc: "errors of lint in them"},
		{Name: "warnings", Type: fact.Count, Worse: fact.Higher, Doc: "warnings of lint"},
		{Name: "overdue", Type: fact.Count, Unit: "runbooks", Worse: fact.Higher, Doc: "whose review_by has passed"},
		{Name: "chronic", Type: fact.Count, Unit: "items", Worse: fact.Higher, Doc: "items that failed or were overridden again and again: the threshold is wrong, or the fault is"},
	},
	Warn: "warnings > 0 or overdue > 0 or chronic > 0", Fail: "errors > 0", Source: "guide",
	Example: "use: runbook.health",
	Run:     health,
})

func health(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Runbooks == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "there is no shelf to look at")
	}
	shelf, err := env.Runbooks()
	if err != nil {
		return checks.Findings{}, checks.Failed(checks.Parse, "reading the runbooks: %w", err)
	}
	var f checks.Findings
	var errs, warnings, overdue int
	for _, b := range shelf {
		errs, warnings = errs+b.Errors, warnings+b.Warnings
		if b.Errors+b.Warnings > 0 {
			f.Detail = append(f.Detail, fmt.Sprintf("%s: %d errors, %d warnings", b.File, b.Errors, b.Warnings))
		}
		if !b.ReviewBy.IsZero() && env.Now().After(b.ReviewBy) {
			overdue++
			f.Detail = append(f.Detail, fmt.Sprintf("%s was to be reviewed by %s", b.File, b.ReviewBy.Format(time.DateOnly)))
		}
	}
	chronic, err := again(env, args)
	if err != nil {
		return f, err
	}
	f.Detail = append(f.Detail, chronic...)
	f.Note = fmt.Sprintf("%d runbooks, %d errors, %d overdue, %d items fail again and again", len(shelf), errs, overdue, len(chronic))
	f.Facts = []fact.Fact{
		fact.Number("runbooks", len(shelf)), fact.Number("errors", errs), fact.Number("warnings", warnings), fact.Number("overdue", overdue), fact.Number("chronic", len(chronic)),
	}
	return f, nil
}

// again are the items that failed or were overridden often, a line each.
func again(env checks.Env, args checks.Args) ([]string, error) {
	all, err := runsOf(env, "")
	if err != nil {
		return nil, err
	}
	since := env.Now().Add(-args.Duration("window"))
	count := map[string]int{}
	for _, r := range all {
		if r.Opened.Before(since) || r.Rehearsal {
			continue
		}
		for _, it := range r.Items {
			if it.State == "failed" || it.Overridden {
				count[r.Section+"/"+it.ID]++
			}
		}
	}
	var lines []string
	for item, n := range count {
		if n >= args.Int("often") {
			lines = append(lines, fmt.Sprintf("%s failed or was overridden %d times", item, n))
		}
	}
	slices.Sort(lines)
	return lines, nil
}
