package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// SLA holds open findings against the time their class may stay open.
var SLA = module(checks.Module{
	Name: "policy.sla",
	Doc: "Open findings of npm.audit, pkg.updates, runtime.version and npm.outdated that have been open for longer than their class may, by the last look at each. " +
		"The clock runs from when opsdeck first saw a finding without a break. It runs no check itself: what nobody has looked at for as long as the parameter fresh says is unknown",
	Params: []checks.Param{
		{Name: "critical", Type: checks.DurationParam, Default: "24h", Doc: "how long a critical one may stay open (guide: immediately, which needs a number)"},
		{Name: "high", Type: checks.DurationParam, Default: "48h", Doc: "a high one, a runtime behind its line (guide)"},
		{Name: "medium", Type: checks.DurationParam, Default: "7d", Doc: "a moderate one, a security update of the system, a dependency behind by a minor release (guide)"},
		{Name: "low", Type: checks.DurationParam, Default: "31d", Doc: "a low one, a dependency behind by a patch or a major release (guide: monthly)"},
		{Name: "fresh", Type: checks.DurationParam, Default: "8d", Doc: "how old the last look may be"},
	},
	Facts: slices.Concat(classFacts(), []fact.Spec{
		{Name: "looked", Type: fact.Duration, Label: "source", Worse: fact.Higher, Doc: "time since the last look; of several projects the one that was looked at longest ago"},
	}),
	Warn: "overdue_medium > 0 or overdue_low > 0", Fail: "overdue_critical > 0 or overdue_high > 0", Source: "guide",
	Every:   time.Hour,
	Example: "use: policy.sla\nwith: {critical: 4h}",
	Run:     sla,
})

func classFacts() []fact.Spec {
	var all []fact.Spec
	for _, name := range classNames {
		all = append(all,
			fact.Spec{Name: "overdue_" + name, Type: fact.Count, Unit: "findings", Worse: fact.Higher, Doc: "class " + name + ", open for longer than it may"},
			fact.Spec{Name: "open_" + name, Type: fact.Count, Unit: "findings", Worse: fact.Higher, Doc: "class " + name + ", open"},
			fact.Spec{Name: "oldest_" + name, Type: fact.Duration, Optional: true, Worse: fact.Higher, Doc: "class " + name + ": how long the oldest has been open; absent if none is"},
		)
	}
	return all
}

func sla(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	h, ok := env.History.(past)
	if !ok {
		return checks.Findings{}, checks.Failed(checks.NoData, "no history is kept, and the age of a finding is in there")
	}
	now := env.Now()
	var all []finding
	var f checks.Findings
	for _, s := range sources {
		found, looked, any := s.read(h, now.Add(-args.Duration("fresh")), now)
		if !any {
			continue
		}
		all = append(all, found...)
		f.Facts = append(f.Facts, fact.Dur("looked", looked).On(s.check))
	}
	if len(f.Facts) == 0 {
		return f, checks.Failed(checks.NoData, "npm.audit, pkg.updates, runtime.version and npm.outdated have not been run without parameters for %s", fact.FormatDuration(args.Duration("fresh")))
	}
	overdue := 0
	table := checks.Table{Name: "findings", Columns: []checks.Column{
		{Name: "class", Type: fact.Text}, {Name: "open", Type: fact.Duration}, {Name: "due", Type: fact.Text}, {Name: "finding", Type: fact.Text}, {Name: "source", Type: fact.Text},
	}}
	for c, name := range classNames {
		may := args.Duration(name)
		mine := ofClass(all, class(c))
		late := 0
		for _, one := range mine {
			if one.open > may {
				late++
			}
			table.Rows = append(table.Rows, []fact.Value{
				fact.WordValue(name), fact.DurValue(one.open), fact.WordValue(due(may - one.open)), fact.WordValue(one.label), fact.WordValue(one.source),
			})
		}
		overdue += late
		f.Facts = append(f.Facts, fact.Number("overdue_"+name, late), fact.Number("open_"+name, len(mine)))
		if len(mine) > 0 {
			f.Facts = append(f.Facts, fact.Dur("oldest_"+name, mine[0].open))
		}
	}
	f.Note = fmt.Sprintf("%d open findings, %d overdue", len(all), overdue)
	f.Tables = []checks.Table{table}
	return f, nil
}

// ofClass are the findings of one class, the oldest first.
func ofClass(all []finding, c class) []finding {
	mine := slices.DeleteFunc(slices.Clone(all), func(one finding) bool { return one.class != c })
	slices.SortFunc(mine, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.open, a.open), strings.Compare(a.label, b.label))
	})
	return mine
}

func due(left time.Duration) string {
	if left < 0 {
		return fact.FormatDuration(-left) + " ago"
	}
	return "in " + fact.FormatDuration(left)
}
