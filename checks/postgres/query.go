package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Query runs one of the site's own statements: active users, enrolments,
// whatever the business counts. Its SQL comes from the site file alone.
//
// Three things keep it to reading: the statement begins with a word of a short
// list, the extended protocol takes one statement at a time, and the
// transaction is read-only and rolled back.
var Query = module(checks.Module{
	Name: "pg.query",
	Doc:  "Runs a named read-only statement of the site file and reports the number, or the rows, that it gives",
	Params: []checks.Param{
		{Name: "query", Type: checks.TextParam, Required: true, Names: "queries", Shipped: shippedNames, Doc: "the name under queries in the site file, or a shipped query for the guide's own schema", Example: "active_users"},
		{Name: "args", Type: checks.TextsParam, Doc: "values for $1, $2 ... instead of those of the site file; the statement gives them their types", Example: "[24h]"},
		{Name: "result", Type: checks.TextParam, Default: "auto", OneOf: []string{"auto", "value", "rows"}, Doc: "value: exactly one number is expected, anything else is unknown; rows: the rows are counted; auto: a value if there is one row of one number"},
		limitParam("limit", 50, "how many rows to keep as evidence", 500),
		{Name: "business_hours", Type: checks.TextParam, Default: "Mon-Fri 08:00-18:00", Doc: "when business_hours is true, in the site's time zone", Example: "Mon-Sat 07:30-20:00", Check: checkHours},
	},
	Facts: []fact.Spec{
		{Name: "value", Type: fact.Count, Doc: "the number that the statement gives, or else how many rows", Usual: true},
		{Name: "rows", Type: fact.Count, Unit: "rows", Doc: "rows that the statement gives"},
		{Name: "business_hours", Type: fact.Bool, Doc: "the check ran within the business hours"},
		{Name: "zero_for", Type: fact.Duration, Doc: "how long the value is known to have been 0, at least; 0 if it is not 0, and at the first sight of a 0", Worse: fact.Higher},
		{Name: "took", Type: fact.Duration, Doc: "how long the statement took", Worse: fact.Higher},
		{Name: "unexpected", Type: fact.Count, Unit: "rows", Optional: true, Worse: fact.Higher, Doc: "rows whose first column is not in the query's expect list; absent without one"},
		{Name: "missing", Type: fact.Count, Optional: true, Worse: fact.Higher, Doc: "entries of the expect list that no row has"},
	},
	Timeout: 20 * time.Second, Every: time.Minute,
	Example: "use: pg.query\nwith: {query: active_users}\nwarn: value_ratio < 30%\nfail: business_hours == true and zero_for >= 30m",
	Run:     query,
})

// Bounds of an answer. Beyond them nothing is known, not even how many rows.
const (
	maxRows  = 10_000
	maxBytes = 4 << 20
)

// readers are the words a statement may begin with.
var readers = []string{"select", "with", "values", "table", "show"}

func query(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Now == nil {
		env.Now = time.Now
	}
	q, isShipped, err := queryNamed(env, args.Text("query"))
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Connection == "" {
		env.Connection = q.Connection
	}
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	if args.Has("args") {
		q.Args = args.Texts("args")
	}
	f := checks.Findings{Target: q.Name}
	if word := firstKeyword(q.SQL); !slices.Contains(readers, word) {
		return f, checks.Failed(checks.Denied, "query %s begins with %q; only %s may be run", q.Name, word, strings.Join(readers, ", "))
	}
	got, err := s.ask(ctx, q)
	if isShipped {
		err = foreignSchema(q, err)
	}
	if err != nil {
		return f, fmt.Errorf("query %s: %w", q.Name, err)
	}
	value, err := got.value(args.Text("result"))
	if err != nil {
		return f, fmt.Errorf("query %s: %w", q.Name, err)
	}
	now := env.Now()
	f = checks.Findings{
		Target: q.Name,
		Note:   strings.TrimSpace(q.Name + " " + fact.FormatNumber(value) + " " + q.Unit),
		Facts: []fact.Fact{
			fact.Number("value", value), fact.Number("rows", got.count),
			fact.Flag("business_hours", within(args.Text("business_hours"), now, env.Site.Zone)),
			fact.Dur("zero_for", zeroFor(env, value, now)), fact.Dur("took", got.took),
		},
		Detail: got.notes(args.Int("limit")),
		Tables: []checks.Table{got.table(args.Int("limit"))},
	}
	return f, got.against(q.Expect, &f)
}

// zeroGap is how far apart two samples of 0 may be to count as one stretch:
// what happened between them nobody saw.
const zeroGap = 10 * time.Minute

// zeroFor is how long the value is known to be 0: since the first of an
// unbroken row of zeros in this process's memory or in the kept history.
func zeroFor(env checks.Env, value float64, now time.Time) time.Duration {
	if value != 0 {
		checks.Remember(env.Memory, "zeros", zeros{})
		return 0
	}
	seen, _ := checks.Remembered[zeros](env.Memory, "zeros")
	if seen.first.IsZero() || now.Sub(seen.last) > zeroGap {
		seen.first = now
	}
	seen.last = now
	if env.History != nil {
		if first, ok := zerosBefore(env.History.Series(env.Check, "value", "", now.Add(-48*time.Hour)), now); ok && first.Before(seen.first) {
			seen.first = first
		}
	}
	checks.Remember(env.Memory, "zeros", seen)
	return now.Sub(seen.first)
}

// zeros is an unbroken stretch of samples of 0.
type zeros struct{ first, last time.Time }

// zerosBefore is the start of the stretch of zeros that reaches up to now.
func zerosBefore(samples []checks.Sample, now time.Time) (time.Time, bool) {
	start := now
	for _, s := range slices.Backward(samples) {
		if s.Value != 0 || start.Sub(s.At) > zeroGap {
			break
		}
		start = s.At
	}
	return start, start.Before(now)
}
