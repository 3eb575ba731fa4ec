package documents

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Review says how long a document was not touched. That somebody read it is a
// person's word, beside it.
var Review = module(checks.Module{
	Name:   "doc.review",
	Doc:    "Tells how long a document of the site file was not changed; whether it is right a person has to say",
	Params: []checks.Param{nameParam()},
	Facts: []fact.Spec{
		{Name: "present", Type: fact.Bool, Worse: fact.Lower, Doc: "the file is there"},
		{Name: "age", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "time since it was changed"},
		{Name: "overdue", Type: fact.Bool, Worse: fact.Higher, Optional: true, Doc: "longer ago than its review: in the site file allows, 90 days if it names none"},
	},
	Warn: "overdue == true", Fail: "present == false", Source: "guide: quarterly", Every: time.Hour,
	Example: "use: doc.review\nwith: {document: contacts}",
	Run:     review,
})

// quarter is how often the guide has documents reviewed.
const quarter = 90 * 24 * time.Hour

func review(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	d, err := named(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if d.URL != "" {
		return checks.Findings{Target: d.URL}, checks.Failed(checks.NoData, "when %s was changed cannot be seen by its address", d.Name)
	}
	info, err := stat(env, d)
	if err != nil {
		if missing(err) {
			return checks.Findings{Target: d.Path, Note: "there is no " + d.Path, Facts: []fact.Fact{fact.Flag("present", false)}}, nil
		}
		return checks.Findings{Target: d.Path}, err
	}
	every := d.Review
	if every == 0 {
		every = quarter
	}
	age := env.Now().Sub(info.ModTime())
	return checks.Findings{
		Target: d.Path, Note: fmt.Sprintf("changed %s ago, to be reviewed every %s", fact.FormatDuration(age.Round(time.Hour)), fact.FormatDuration(every)),
		Facts: []fact.Fact{fact.Flag("present", true), fact.Dur("age", age), fact.Flag("overdue", age > every)},
	}, nil
}
