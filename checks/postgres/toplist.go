package postgres

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Statements shows what the server spent its time on, over all databases, in
// the last minute or two: the difference of two of its own snapshots of
// pg_stat_statements. There are no percentiles, because that extension keeps
// none: the standard deviation stands beside the mean.
//
// Each look reads counters only. A text is read once, when its statement is
// first shown: the server has to load the whole file of texts for it.
var Statements = module(checks.Module{
	Name: "pg.statements",
	Doc:  "Shows what statements of all databases cost in the last minutes, from pg_stat_statements: time, rows, blocks, WAL",
	Params: []checks.Param{
		limitParam("limit", 50, "how many statements to list, by total time; those first by calls, blocks read, temporary files or WAL are added", 200),
		{Name: "window", Type: checks.DurationParam, Default: "1m", Doc: "how far back to compare: at least this once the check has run so long, and at most twice", Check: upTo(24 * time.Hour)},
	},
	Facts: []fact.Spec{
		{Name: "statements", Type: fact.Count, Doc: "different statements called in the interval"},
		{Name: "calls", Type: fact.Count, Doc: "calls in the interval, this tool's own among them"},
		{Name: "busy", Type: fact.Count, Unit: "sessions", Doc: "statement time a second of the interval: how many sessions were at work on average; absent when the interval is not known", Worse: fact.Higher, Optional: true},
		{Name: "interval", Type: fact.Duration, Doc: "the interval: since the earlier snapshot, else since the statistics were reset", Optional: true},
		{Name: "delta", Type: fact.Bool, Doc: "an earlier snapshot was there to compare with"},
		{Name: "reset", Type: fact.Bool, Doc: "the statistics were reset since the last look: this one compares with nothing"},
		{Name: "tracked", Type: fact.Count, Unit: "statements", Doc: "statements that the server keeps"},
		{Name: "max", Type: fact.Count, Unit: "statements", Doc: "pg_stat_statements.max: beyond it the least used are forgotten", Optional: true},
		{Name: "deallocations", Type: fact.Count, Doc: "times in the interval that statements were forgotten, since the start where there is no earlier look; absent before version 1.9 of the extension", Worse: fact.Higher, Optional: true},
	},
	Window: time.Minute, SinceReset: true,
	Timeout: 8 * time.Second, Every: 10 * time.Second,
	Example: "use: pg.statements\nwith: {limit: 20, window: 5m}",
	Run:     topStatements,
})

func topStatements(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	ext, now, err := s.spending(ctx)
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	base, before, known := s.spendings.compare(now, args.Duration("window"))
	i := spent(now, base, known)
	i.reset = before && !known
	shown := i.top(args.Int("limit"))
	missing, err := s.learnTexts(ctx, ext, shown)
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := i.findings(now)
	f.Target = s.Target()
	f.Detail = append(missing, f.Detail...)
	f.Tables = []checks.Table{i.table(shown, s.spendings.textOf)}
	return f, nil
}
