package record

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Run looks for a run of another section: the riskiest task of a window has a
// runbook of its own, and its line in this one is green only when that was
// walked to its end.
var Run = module(checks.Module{
	Name:  "run.record",
	Doc:   "How the newest run of another section ended, and whether it was rehearsed",
	Reach: checks.Local,
	Params: []checks.Param{
		{Name: "section", Type: checks.TextParam, Required: true, Doc: "the section that has to have been walked", Example: "major-upgrade"},
		{Name: "max_age", Type: checks.DurationParam, Default: "12h", Doc: "how long ago it may have been opened"},
	},
	Facts: []fact.Spec{
		{Name: "completed", Type: fact.Bool, Worse: fact.Lower, Doc: "the newest run that is no rehearsal was walked to its end"},
		{Name: "recent", Type: fact.Bool, Worse: fact.Lower, Doc: "it was opened within max_age"},
		{Name: "failed", Type: fact.Count, Unit: "items", Worse: fact.Higher, Doc: "its items that failed or could not be found out"},
		{Name: "age", Type: fact.Duration, Worse: fact.Higher, Doc: "since it was opened"},
		{Name: "rehearsed", Type: fact.Bool, Worse: fact.Lower, Doc: "a rehearsal of it was completed before"},
		{Name: "run", Type: fact.Text, Doc: "its id"},
	},
	Warn: "rehearsed == false", Fail: "completed == false or recent == false or failed > 0", Source: "proposed",
	Example: "use: run.record\nwith: {section: major-upgrade, max_age: 12h}",
	Run:     run,
})

func run(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	section := args.Text("section")
	if env.Runs == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "there is no record to look into")
	}
	all, err := env.Runs(section)
	if err != nil {
		return checks.Findings{}, checks.Failed(checks.Parse, "reading the record: %w", err)
	}
	var newest *checks.RunSummary
	rehearsed := false
	for i, r := range all {
		switch {
		case r.Rehearsal:
			rehearsed = rehearsed || completed(r)
		case newest == nil || r.Opened.After(newest.Opened):
			newest = &all[i]
		}
	}
	if newest == nil {
		return checks.Findings{}, checks.NotHere{What: fmt.Sprintf("no run of %q is recorded: none is planned", section)}
	}
	age := env.Now().Sub(newest.Opened)
	return checks.Findings{
		Target: newest.ID,
		Note:   fmt.Sprintf("%s %s, %s ago", newest.ID, newest.State, fact.FormatDuration(age.Round(time.Minute))),
		Facts: []fact.Fact{
			fact.Flag("completed", completed(*newest)), fact.Flag("recent", age <= args.Duration("max_age")),
			fact.Number("failed", newest.Failed), fact.Dur("age", age), fact.Flag("rehearsed", rehearsed), fact.Word("run", newest.ID),
		},
	}, nil
}

func completed(r checks.RunSummary) bool {
	return r.State == "completed" || r.State == "completed_with_exceptions"
}
