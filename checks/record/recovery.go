package record

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Recovery reads how long a recovery took from the run that tried it.
var Recovery = module(checks.Module{
	Name: "run.recovery",
	Doc:  "Reads from the newest run of a section how long its restore took until everything was seen to work, and how old the newest restored row was",
	Params: []checks.Param{
		{Name: "section", Type: checks.TextParam, Required: true, Doc: "the section with the restore in it", Example: "disaster-recovery"},
		{Name: "rto", Type: checks.DurationParam, Default: "4h", Doc: "how long a recovery may take"},
		{Name: "rpo", Type: checks.DurationParam, Default: "26h", Doc: "how much may be lost: the age of the newest restored row"},
	},
	Facts: []fact.Spec{
		{Name: "rto", Type: fact.Duration, Worse: fact.Higher, Doc: "from the start of the restore to the last item that was done after it"},
		{Name: "restore", Type: fact.Duration, Worse: fact.Higher, Doc: "the restore with its checks alone"},
		{Name: "rpo", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "age of the newest restored row; absent where the restore does not look"},
		{Name: "used", Type: fact.Percent, Worse: fact.Higher, Doc: "rto, of what it may be"},
		{Name: "lost", Type: fact.Percent, Worse: fact.Higher, Optional: true, Doc: "rpo, of what it may be"},
	},
	Warn: "used > 80% or lost > 80%", Fail: "used > 100% or lost > 100%", Source: "proposed",
	Example: "use: run.recovery\nwith: {section: disaster-recovery, rto: 2h}",
	Run:     recovery,
})

func recovery(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	all, err := runsOf(env, args.Text("section"))
	if err != nil {
		return checks.Findings{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		restore, ok := restored(all[i])
		if !ok {
			continue
		}
		end := restore.Ended
		for _, it := range all[i].Items {
			if it.State == "passed" && it.Started.After(restore.Started) && it.Ended.After(end) {
				end = it.Ended
			}
		}
		return recoveryOf(all[i], restore, end.Sub(restore.Started), args), nil
	}
	return checks.Findings{}, checks.Failed(checks.NoData, "no run of %q has a restore that came to its end", args.Text("section"))
}

func restored(r checks.RunSummary) (checks.ItemSummary, bool) {
	for _, it := range r.Items {
		if it.Module == "pg.restore_test" && !it.Ended.IsZero() {
			return it, true
		}
	}
	return checks.ItemSummary{}, false
}

func recoveryOf(r checks.RunSummary, restore checks.ItemSummary, rto time.Duration, args checks.Args) checks.Findings {
	f := checks.Findings{
		Target: r.ID, Note: fmt.Sprintf("%s: recovered in %s", r.ID, fact.FormatDuration(rto.Round(time.Second))),
		Facts: []fact.Fact{
			fact.Dur("rto", rto), fact.Dur("restore", restore.Ended.Sub(restore.Started)), fact.Pct("used", 100*float64(rto)/float64(args.Duration("rto"))),
		},
	}
	for _, m := range restore.Measures {
		if m.Name == "newest_row_age" {
			f.Facts = append(f.Facts, fact.Dur("rpo", m.Dur()), fact.Pct("lost", 100*float64(m.Dur())/float64(args.Duration("rpo"))))
			f.Note += ", newest row " + fact.FormatDuration(m.Dur().Round(time.Second)) + " old"
		}
	}
	return f
}
