package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// containerLogs is a connection to a container engine that can give the logs
// of a compose service: of all its containers, standard output and error, one
// line each, every line preceded by the engine's own time stamp (RFC 3339) and
// a blank, at most maxBytes of them. checks/docker opens one.
type containerLogs interface {
	checks.Handle
	Logs(ctx context.Context, service string, since time.Time, maxBytes int64) (io.ReadCloser, error)
}

// Compose counts what the containers of one service said.
var Compose = module(checks.Module{
	Name: "log.compose",
	Doc:  "Counts the known troubles in the last day of one compose service's log",
	Params: []checks.Param{
		{Name: "service", Type: checks.TextParam, Required: true, Doc: "service of the compose project, or a log source of that name where there is no container engine", Example: "backend"},
		windowParam("24h"),
		{Name: "sets", Type: checks.TextsParam, Default: []string{"error", "db_conn", "redis_timeout", "auth_fail", "unhandled", "api_conn"}, Doc: "shipped pattern sets to count", Check: areSets},
		{Name: "max_bytes", Type: checks.BytesParam, Default: "64MiB", Doc: "most that is read"},
	},
	Facts: []fact.Spec{
		{Name: "lines", Type: fact.Count, Unit: "lines", Doc: "lines in the window"},
		{Name: "errors", Type: fact.Count, Unit: "records", Worse: fact.Higher, Doc: "records of the level error or worse"},
		{Name: "matches", Type: fact.Count, Unit: "records", Worse: fact.Higher, Label: "set", Doc: "records that match a pattern set"},
		{Name: "bytes", Type: fact.Bytes, Doc: "how much was read"},
		{Name: "truncated", Type: fact.Bool, Worse: fact.Higher, Doc: "the log is longer than max_bytes, so that its newest part was not read"},
		unparsedFact, gapsFact,
	},
	Warn:    "truncated == true or unparsed > 1% or gaps > 0",
	Source:  "proposed",
	Reach:   checks.Network,
	Timeout: time.Minute,
	Every:   5 * time.Minute,
	Example: "use: log.compose\nwith: {service: backend, window: 24h}",
	Run:     runCompose,
})

func areSets(value any) error {
	names, _ := value.([]string)
	sets, err := patternSets()
	if err != nil {
		return err
	}
	for _, name := range names {
		if sets[name] == nil {
			return fmt.Errorf("%q is not a pattern set, %s", name, checks.Nearest(name, SetNames()))
		}
	}
	return nil
}

// A census counts the records of several sets at once.
type census struct {
	names   []string
	matcher *matcher
	counts  []int64
	records []int64 // the last record counted for each set
	errors  int64
	copies  *copies
}

func newCensus(names []string) (*census, error) {
	sets, err := patternSets()
	if err != nil {
		return nil, err
	}
	wanted := make([]*patternSet, len(names))
	for i, name := range names {
		wanted[i] = sets[name]
	}
	m, err := newMatcher(wanted...)
	c := &census{names: names, matcher: m, counts: make([]int64, len(names)), records: make([]int64, len(names)), copies: newCopies()}
	return c, err
}

func (c *census) visit(l *line) {
	found := c.matcher.match(l)
	isError := l.level() >= errorLevel
	l.scan.tally.noteLevel(l)
	if found == 0 && !isError || c.copies.isCopy(l) {
		return
	}
	if isError {
		c.errors++
	}
	for at := range c.matcher.patterns {
		set := c.matcher.sets[at]
		if found&(1<<at) != 0 && c.records[set] != l.record {
			c.records[set] = l.record
			c.counts[set]++
		}
	}
}

func runCompose(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	service, now, window := args.Text("service"), clock(env), args.Duration("window")
	c, err := newCensus(args.Texts("sets"))
	if err != nil {
		return checks.Findings{}, checks.Failed(checks.Internal, "log.compose: %w", err)
	}
	limit := int64(args.Number("max_bytes"))
	t, truncated, from, err := c.read(ctx, env, service, now.Add(-window), now, limit)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{
		Target: service,
		Note:   fmt.Sprintf("%d lines, %d errors in %s", t.lines, c.errors, fact.FormatDuration(window)),
		Facts: []fact.Fact{
			fact.Number("lines", t.lines), fact.Number("errors", c.errors), fact.Size("bytes", t.bytes),
			fact.Flag("truncated", truncated), fact.Pct("unparsed", t.unparsedShare()), fact.Number("gaps", len(t.gaps)),
		},
		Detail: append([]string{"read from " + from}, t.detail(now.Add(-window), now)...), NotUnderstood: t.notUnderstood(),
	}
	for i, name := range c.names {
		f.Facts = append(f.Facts, fact.Number("matches", c.counts[i]).On(name))
	}
	return f, nil
}

// read takes the service's log from the container engine, or from the site's
// log source of that name where the site has no engine.
func (c *census) read(ctx context.Context, env checks.Env, service string, since, now time.Time, limit int64) (t *tally, truncated bool, from string, err error) {
	engine, err := checks.Connected[containerLogs](env, "docker")
	var notHere checks.NotHere
	if errors.As(err, &notHere) {
		src, srcErr := sourceNamed(env, service)
		if srcErr != nil {
			return nil, false, "", checks.NotHere{What: fmt.Sprintf("no docker connection and no log source %q in the site file", service)}
		}
		t, err = newScan(src, since, now, now, c.visit).run(ctx)
		if err == nil {
			err = t.understood(src)
		}
		return t, false, "log source " + src.Name, err
	}
	if err != nil {
		return nil, false, "", err
	}
	t, truncated, err = c.stream(ctx, engine, service, since, now, limit)
	return t, truncated, "the container engine", err
}

// stream reads the engine's stream up to its limit.
func (c *census) stream(ctx context.Context, engine containerLogs, service string, since, now time.Time, limit int64) (t *tally, truncated bool, err error) {
	body, err := engine.Logs(ctx, service, since, limit)
	if err != nil {
		return nil, false, fmt.Errorf("logs of service %s: %w", service, err)
	}
	limited := &io.LimitedReader{R: body, N: limit}
	src := checks.LogSource{Name: service, Format: "iso", Zone: time.UTC}
	s := newScan(src, since, now.Add(futureMargin), now, c.visit)
	s.wrapped = true
	s.stamps = newStamper(src.Format, s.zones, s.win)
	s.reader.reset(checkedReader{ctx, limited})
	s.lines(0)
	s.tally.bytes = limit - limited.N
	err = s.reader.err
	if err == io.EOF {
		err = nil
	}
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, false, fmt.Errorf("logs of service %s: %w", service, err)
	}
	return &s.tally, limited.N <= 0, nil
}
