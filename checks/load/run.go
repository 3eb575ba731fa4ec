package load

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Run puts one target under load.
var Run = module(checks.Module{
	Name: "load.run",
	Doc: "Sends GET requests to a staging target of the site file at a constant rate and measures its answers; whatever is not 2xx is a failure and its time does not count. " +
		"It ends by itself when too many of the last hundred fail, and is compared with the last four at the same item",
	Effect: checks.Destructive, Danger: 3, Repeatable: true,
	Crash:  "the requests stop with the process; a report that was not finished is never read",
	Params: []checks.Param{{Name: "load", Type: checks.TextParam, Names: "loads", Required: true, Doc: "load of the site file", Example: "api"}},
	Facts: []fact.Spec{
		{Name: "requests", Type: fact.Count, Unit: "requests", Optional: true, Doc: "that were sent and answered, or waited for in vain"},
		{Name: "errors", Type: fact.Percent, Worse: fact.Higher, Optional: true, Growth: true, Doc: "share of them that was not answered with 2xx in time"},
		{Name: "p50", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "half of the right answers came within; absent if there was none"},
		{Name: "p95", Type: fact.Duration, Worse: fact.Higher, Optional: true, Growth: true, Doc: "95 % of them did"},
		{Name: "p99", Type: fact.Duration, Worse: fact.Higher, Optional: true, Doc: "99 % of them did"},
		{Name: "pace", Type: fact.Percent, Worse: fact.Lower, Optional: true, Doc: "of the rate that was asked for; below 100 all allowed requests were under way and the rest had to wait, so that the times are too good"},
		{Name: "aborted", Type: fact.Bool, Worse: fact.Higher, Optional: true, Doc: "too many failed, and it ended before its end"},
		{Name: "runs", Type: fact.Count, Optional: true, Doc: "loads before it that it was compared with, 4 at most"},
		{Name: "p95_before", Type: fact.Duration, Optional: true, Doc: "median of their p95"},
		{Name: "p95_change", Type: fact.Percent, Signed: true, Worse: fact.Higher, Optional: true, Doc: "of p95 against that"},
		{Name: "errors_before", Type: fact.Percent, Optional: true, Doc: "median of their errors"},
		{Name: "report", Type: fact.Text, Optional: true, Doc: "file of the report"},
		checks.DoneFact,
	},
	Fail: "aborted == true or errors > 5%", Warn: "errors > 1% or p95_change > 20% or pace < 90%",
	Source:  "guide: compared with the quarters before; numbers proposed",
	Timeout: 30 * time.Minute,
	Example: "use: load.run\nwith: {load: api}",
	Preview: preview, Run: run, Probe: probe,
})

func preview(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	l, host, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if info, err := os.Stat(l.Reports); err != nil || !info.IsDir() {
		return checks.Findings{}, checks.Failed(checks.Missing, "load %s: %s is not a directory to keep reports in", l.Name, l.Reports)
	}
	lasts := time.Duration(l.Total()/l.Rate) * time.Second
	f := checks.Findings{
		Target: host, Locks: []string{"load:" + host},
		Note:        fmt.Sprintf("%d requests to %s in %s", l.Total(), l.URL, fact.FormatDuration(lasts)),
		Fingerprint: fmt.Sprintf("%s %d %d %v %s", l.URL, l.Total(), l.Rate, !l.Token.IsZero(), l.Reference),
		Detail: []string{
			fmt.Sprintf("%d requests to %s, %d a second, at most %d under way, %s for each", l.Total(), l.URL, l.Rate, l.Users, fact.FormatDuration(l.Wait)),
			fmt.Sprintf("allowed by %s until %s", l.Reference, l.Until.Format(time.DateOnly)),
			fmt.Sprintf("one request first; ends when more than %g %% of the last %d are not answered with 2xx", l.Abort, lastAnswers),
		},
	}
	if !l.Token.IsZero() {
		f.Detail = append(f.Detail, "with the token of the site file, which is shown nowhere")
	}
	before := earlier(env, "p95")
	f.Detail = append(f.Detail, fmt.Sprintf("compared with %d loads before it at this item", len(before)),
		"careful: everybody who uses "+host+" meanwhile waits longer; its metrics and logs are of the load, and its alerts may go off")
	return f, nil
}

func run(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	l, host, err := chosen(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: host}
	if env.Dialer == nil || env.Token == "" {
		return f, checks.Failed(checks.Internal, "a load needs a confirmed preview and something to dial with")
	}
	if err := hostfs.RemoveFile(reportFile(env, l)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("removing what an earlier attempt left: %w", err)
	}
	a, err := newAttack(env, l)
	if err != nil {
		return f, err
	}
	m, err := a.run(ctx)
	if err != nil {
		return f, err
	}
	f.Facts, f.Detail = m.facts(l), m.detail()
	f.Facts = append(f.Facts, compare(env, m)...)
	f.Note = m.String()
	file, err := keep(env, l, m)
	if err != nil {
		return f, err
	}
	f.Facts = append(f.Facts, fact.Word("report", file))
	return f, nil
}
