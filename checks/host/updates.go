package host

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Updates counts what waits, and for how long it has been seen to wait.
var Updates = module(checks.Module{
	Name: "pkg.updates",
	Doc:  "Updates of Debian packages that wait, those for security apart, with the time since each was first seen here; lists that were not fetched for a week are unknown, because what was fixed since is not in them",
	Params: []checks.Param{
		{Name: "packages", Type: checks.TextsParam, Doc: "beginnings of package names to look at; without it all", Example: "postgresql, redis"},
	},
	Facts: []fact.Spec{
		{Name: "security", Type: fact.Count, Unit: "packages", Worse: fact.Higher, Doc: "packages with a security update that is not installed"},
		{Name: "waiting", Type: fact.Count, Growth: true, Unit: "packages", Worse: fact.Higher, Doc: "packages with any update that is not installed"},
		{Name: "oldest_security", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "time since the oldest waiting security update was first seen here; absent if there is none"},
		{Name: "reboot_required", Type: fact.Bool, Worse: fact.Higher, Doc: "an update that is installed waits for a restart of the host"},
		{Name: "lists_age", Type: fact.Duration, Worse: fact.Higher, Doc: "time since the package lists were fetched"},
		{Name: "pending", Type: fact.Count, Label: "package", Growth: true, Optional: true, Doc: "1 for each waiting security update; its history is what first seen is read from"},
	},
	Warn: "security > 0 or reboot_required == true", Fail: "oldest_security > 7d", Source: "guide",
	Timeout: time.Minute, Every: 6 * time.Hour,
	Example: "use: pkg.updates\nwith: {packages: [postgresql, redis]}\nfail: security > 0",
	Run:     updates,
})

func updates(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	f := checks.Findings{}
	if err := equipped(env); err != nil {
		return f, err
	}
	waiting, err := simulate(ctx, env, "dist-upgrade")
	if err != nil {
		return f, err
	}
	required, err := rebootRequired(env)
	if err != nil {
		return f, err
	}
	age, known, err := listsAge(env)
	switch {
	case err != nil:
		return f, err
	case !known:
		return f, checks.Failed(checks.NoData, "the package lists were never fetched: run apt-get update")
	case age > staleLists:
		return f, checks.Failed(checks.NoData, "the package lists are %s old, and what was fixed since is not in them: run apt-get update", fact.FormatDuration(age))
	}
	table := checks.Table{Name: "updates", Columns: []checks.Column{
		{Name: "package", Type: fact.Text}, {Name: "from", Type: fact.Text}, {Name: "to", Type: fact.Text}, {Name: "security", Type: fact.Bool}, {Name: "known", Type: fact.Duration},
	}}
	security, all := 0, 0
	var oldest time.Duration
	for _, c := range waiting {
		if c.to == "" || c.from == "" && !c.security || !begins(c.pkg, args.Texts("packages")) {
			continue
		}
		all++
		var since time.Duration
		if c.security {
			security++
			since = checks.Finding{Check: env.Check, Fact: "pending", Label: c.pkg, Look: "waiting"}.OpenFor(env.History, now(env))
			oldest = max(oldest, since)
			f.Facts = append(f.Facts, fact.Number("pending", 1).On(c.pkg))
		}
		table.Rows = append(table.Rows, []fact.Value{fact.WordValue(c.pkg), fact.WordValue(c.from), fact.WordValue(c.to), fact.FlagValue(c.security), fact.DurValue(since)})
	}
	f.Facts = append(f.Facts, fact.Number("security", security), fact.Number("waiting", all), fact.Flag("reboot_required", required), fact.Dur("lists_age", age))
	if security > 0 {
		f.Facts = append(f.Facts, fact.Dur("oldest_security", oldest))
	}
	f.Note = fmt.Sprintf("%d updates wait, %d for security", all, security)
	f.Tables = []checks.Table{table}
	return f, nil
}

func begins(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return len(prefixes) == 0
}
