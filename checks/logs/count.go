package logs

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Count counts the errors of a window, by the lines' own levels and stamps,
// over the live files and their rotated siblings.
var Count = module(checks.Module{
	Name: "log.count",
	Doc:  "Counts errors, or lines that match, in a log's last hour by the lines' own time stamps",
	Params: []checks.Param{
		sourceParam(),
		windowParam("1h"),
		{Name: "level", Type: checks.TextParam, Default: "error", OneOf: []string{"debug", "info", "warn", "error", "fatal"},
			Doc: "count records of this level or worse; unused with a pattern"},
		{Name: "pattern", Type: checks.TextParam, Doc: "count records that match this regular expression instead",
			Example: `payment \w+ declined`, Check: isRegexp},
	},
	Facts: []fact.Spec{
		{Name: "count", Type: fact.Count, Unit: "records", Worse: fact.Higher, Usual: true, Doc: "records that count; one with its stack trace is one"},
		{Name: "per_hour", Type: fact.Count, Unit: "/h", Worse: fact.Higher, Doc: "the same an hour"},
		{Name: "signatures", Type: fact.Count, Worse: fact.Higher, Doc: "different records, numbers and texts folded"},
		linesFact, parsedFact, unparsedFact, gapsFact, futureFact,
	},
	Warn:    "count > 10 or count_ratio > 300% or unparsed > 1% or gaps > 0",
	Fail:    "count > 50",
	Source:  "proposed",
	Timeout: 30 * time.Second,
	Every:   time.Minute,
	Example: "use: log.count\nwith: {source: app, window: 1h}",
	Run:     runCount,
})

func isRegexp(value any) error {
	text, _ := value.(string)
	_, err := regexp.Compile(text)
	return err
}

// A counter decides which records count and groups them.
type counter struct {
	level  severity
	expr   *regexp.Regexp
	count  int64
	record int64
	copies *copies
	groups *groups
	buf    []byte
}

func runCount(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	src, err := sourceNamed(env, args.Text("source"))
	if err != nil {
		return checks.Findings{}, err
	}
	now, window := clock(env), args.Duration("window")
	c := &counter{level: severityOf(args.Text("level")), groups: newGroups(), copies: newCopies()}
	what := c.level.String()
	if text := args.Text("pattern"); text != "" {
		if c.expr, err = regexp.Compile(text); err != nil {
			return checks.Findings{}, fmt.Errorf("log.count pattern: %w", err)
		}
		what = "matching"
	}
	s := newScan(src, now.Add(-window), now, now, c.visit)
	if c.expr == nil {
		s.floor = c.level
	}
	t, err := s.run(ctx)
	if err != nil {
		return checks.Findings{}, err
	}
	if err := t.understood(src); err != nil {
		return checks.Findings{}, err
	}
	if c.expr == nil && t.parsed > 0 && !t.levelled {
		return checks.Findings{}, checks.Failed(checks.Parse, "log source %s: none of %d records names a level; give a pattern", src.Name, t.parsed)
	}
	return c.findings(t, src, window, now, what), nil
}

func (c *counter) visit(l *line) {
	if c.expr != nil {
		if (l.record != c.record || c.count == 0) && c.expr.Match(l.text) {
			c.hit(l)
		}
		return
	}
	c.hit(l)
}

func (c *counter) hit(l *line) {
	c.record = l.record
	if c.copies.isCopy(l) {
		return
	}
	c.count++
	c.buf = signature(c.buf[:0], l.message())
	c.groups.add(c.buf, l.at(), func() string { return sampleOf(l.text) })
}

// sampleBytes is how much of a line is kept as evidence.
const sampleBytes = 300

func sampleOf(text []byte) string { return string(text[:min(len(text), sampleBytes)]) }

func (c *counter) findings(t *tally, src checks.LogSource, window time.Duration, now time.Time, what string) checks.Findings {
	f := checks.Findings{
		Target: src.Name,
		Note:   fmt.Sprintf("%d %s in %s", c.count, what, fact.FormatDuration(window)),
		Facts: append([]fact.Fact{
			fact.Number("count", c.count), fact.Number("per_hour", perHour(c.count, window)),
			fact.Number("signatures", len(c.groups.byKey)),
		}, t.facts()...),
		Detail: t.detail(now.Add(-window), now), NotUnderstood: t.notUnderstood(),
		Tables: []checks.Table{c.groups.table("signatures", nil)},
	}
	if c.groups.rest > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d records of rare signatures are in no row", c.groups.rest))
	}
	if c.copies.full {
		f.Detail = append(f.Detail, fmt.Sprintf("more than %d different records: one that stands in two files may count twice", maxCopies))
	}
	return f
}
