package npm

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Audit counts known vulnerabilities, and for how long they have been known.
var Audit = module(checks.Module{
	Name: "npm.audit",
	Doc:  "Known vulnerabilities in the dependencies of each project, by severity, with the time since each was first seen here; a registry that does not answer is unknown",
	Params: []checks.Param{
		projectParam(false),
		{Name: "dev", Type: checks.BoolParam, Default: false, Doc: "dependencies of development too"},
		{Name: "cvss", Type: checks.NumberParam, Default: 7.0, Doc: "score from which an advisory counts as severe, whatever word stands beside it; 7.0 itself does"},
	},
	Facts: []fact.Spec{
		{Name: "critical", Type: fact.Count, Label: "project", Unit: "advisories", Worse: fact.Higher, Doc: "open advisories of severity critical; waived ones do not count"},
		{Name: "high", Type: fact.Count, Label: "project", Unit: "advisories", Worse: fact.Higher, Doc: "of severity high"},
		{Name: "moderate", Type: fact.Count, Label: "project", Unit: "advisories", Worse: fact.Higher, Doc: "of severity moderate"},
		{Name: "low", Type: fact.Count, Label: "project", Unit: "advisories", Worse: fact.Higher, Doc: "of severity low or info"},
		{Name: "severe", Type: fact.Count, Label: "project", Unit: "advisories", Worse: fact.Higher, Doc: "with a score of cvss or more"},
		{Name: "waived", Type: fact.Count, Label: "project", Unit: "advisories", Doc: "waived in the site file until a day that has not come"},
		{Name: "dependencies", Type: fact.Count, Growth: true, Label: "project", Doc: "dependencies that were looked at"},
		{Name: "oldest_critical", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "time since the oldest open one was first seen here; absent if there is none"},
		{Name: "oldest_high", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "the same of severity high"},
		{Name: "oldest_moderate", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "the same of severity moderate"},
		{Name: "rank", Type: fact.Count, Label: "advisory", Growth: true, Optional: true, Doc: "1 low to 4 critical, for each open advisory; its history is what first seen is read from"},
	},
	Warn: "moderate > 0", Fail: "critical > 0 or high > 0", Source: "guide",
	Timeout: 2 * time.Minute, Every: 6 * time.Hour,
	Example: "use: npm.audit\nwith: {project: backend}",
	Run:     audit,
})

var ranks = map[string]float64{"info": 1, "low": 1, "moderate": 2, "high": 3, "critical": 4}

func audit(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	projects, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{}
	oldest := map[string]time.Duration{}
	table := checks.Table{Name: "advisories", Columns: []checks.Column{
		{Name: "project", Type: fact.Text}, {Name: "package", Type: fact.Text}, {Name: "severity", Type: fact.Text}, {Name: "known", Type: fact.Duration},
		{Name: "fix", Type: fact.Bool}, {Name: "advisory", Type: fact.Text}, {Name: "title", Type: fact.Text},
	}}
	open := 0
	for _, p := range projects {
		command := []string{"audit", "--json"}
		if !args.Bool("dev") {
			command = append(command, "--omit=dev")
		}
		out, err := run(ctx, env, p, command...)
		if err != nil {
			return f, err
		}
		all, dependencies, err := parseAudit(out.Stdout)
		if err != nil {
			return f, checks.Failed(checks.NoData, "project %s: npm audit found nothing out: %w", p.Name, err)
		}
		count := map[string]int{}
		severe, waived := 0, 0
		for _, a := range all {
			if waivedNow(p, a, env.Now()) {
				waived++
				continue
			}
			label := p.Name + " " + a.pkg + " " + a.id
			known := checks.Finding{Check: env.Check, Fact: "rank", Label: label, Look: "dependencies", On: p.Name}.OpenFor(env.History, env.Now())
			f.Facts = append(f.Facts, fact.Number("rank", ranks[a.severity]).On(label))
			table.Rows = append(table.Rows, []fact.Value{
				fact.WordValue(p.Name), fact.WordValue(a.pkg), fact.WordValue(a.severity), fact.DurValue(known),
				fact.FlagValue(a.fix), fact.WordValue(a.id), fact.WordValue(a.title),
			})
			open++
			count[a.severity]++
			if a.score >= args.Number("cvss") || a.score == 0 && ranks[a.severity] >= 3 {
				severe++
			}
			if before, ok := oldest[a.severity]; !ok || known > before {
				oldest[a.severity] = known
			}
		}
		f.Facts = append(f.Facts,
			fact.Number("critical", count["critical"]).On(p.Name), fact.Number("high", count["high"]).On(p.Name), fact.Number("moderate", count["moderate"]).On(p.Name),
			fact.Number("low", count["low"]+count["info"]).On(p.Name), fact.Number("severe", severe).On(p.Name), fact.Number("waived", waived).On(p.Name),
			fact.Number("dependencies", dependencies).On(p.Name))
	}
	for _, s := range []string{"critical", "high", "moderate"} {
		if age, ok := oldest[s]; ok {
			f.Facts = append(f.Facts, fact.Dur("oldest_"+s, age))
		}
	}
	f.Note = fmt.Sprintf("%d open advisories in %d projects", open, len(projects))
	f.Tables = []checks.Table{table}
	return f, nil
}

func waivedNow(p checks.Project, a advisory, now time.Time) bool {
	for _, w := range p.Waive {
		if w.ID == a.id && now.Before(w.Until.AddDate(0, 0, 1)) {
			return true
		}
	}
	return false
}
