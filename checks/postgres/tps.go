package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

const (
	// fewTransactions: below these a share of rollbacks says nothing.
	fewTransactions = 20
	// tpsLeast and tpsWindow bound the interval of the rates.
	tpsLeast, tpsWindow = 4 * time.Second, 5 * time.Minute
	// fewReads: below these a hit ratio says nothing (postgres.md: 1000).
	fewReads = 1000
)

// TPS rates the transactions of the connection's database between two looks,
// its own left out. Counters since the server's start would latch: one bad
// night stays visible for months.
var TPS = module(checks.Module{
	Name: "pg.tps",
	Doc:  "Rates the database's transactions, rollbacks, deadlocks and cache hits between two samples",
	Params: []checks.Param{
		{Name: "sample", Type: checks.DurationParam, Default: "2s", Doc: "how long the first run waits between its two samples; later runs use the time since the last", Example: "5s", Check: upTo(20 * time.Second)},
	},
	Facts: []fact.Spec{
		{Name: "tps", Type: fact.Count, Unit: "/s", Doc: "transactions a second, committed and rolled back", Usual: true},
		{Name: "commits", Type: fact.Count, Unit: "/s", Doc: "commits a second"},
		{Name: "rollbacks", Type: fact.Count, Unit: "/s", Doc: "rollbacks a second", Worse: fact.Higher},
		{Name: "rollbacks_share", Type: fact.Percent, Doc: "rollbacks as a share of the transactions; absent below 20 transactions", Worse: fact.Higher, Optional: true},
		{Name: "cache_hit", Type: fact.Percent, Doc: "blocks found in shared buffers; absent below 1000 reads", Worse: fact.Lower, Optional: true},
		{Name: "deadlocks", Type: fact.Count, Worse: fact.Higher,
			Doc: "deadlocks since the last look, since the statistics were reset where there was none"},
		{Name: "temp", Type: fact.Bytes, Unit: "/s", Doc: "temporary files written a second", Worse: fact.Higher},
		{Name: "measured", Type: fact.Duration, Doc: "the interval"},
	},
	Warn: "rollbacks_share > 5% or deadlocks > 0", Fail: "rollbacks_share > 30% or deadlocks > 5", Source: "proposed",
	Least: tpsLeast, Window: tpsWindow, SinceReset: true,
	Timeout: 28 * time.Second,
	Example: "use: pg.tps\nwith: {sample: 2s}",
	Run:     tps,
})

// counters is one look at pg_stat_database.
type counters struct {
	Commit, Rollback, Hit, Read, Deadlocks, Temp float64
	Reset                                        time.Time
	At                                           time.Time // the server's clock
}

type tpsSample struct {
	counters
	ownCommits, ownRollbacks int64
}

const countersSQL = `
SELECT xact_commit::float8, xact_rollback::float8, blks_hit::float8, blks_read::float8, deadlocks::float8, temp_bytes::float8,
       coalesce(stats_reset, 'epoch'), clock_timestamp()
FROM pg_stat_database WHERE datname = current_database()`

func tps(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	now, err := s.sampleCounters(ctx)
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	newest, sampled := checks.Remembered[tpsSample](env.Memory, "newest")
	var detail []string
	if sampled && !now.follows(newest) {
		detail = append(detail, "the server's statistics were reset, or it restarted, since the last sample: a new pair was taken")
	}
	last, known := baseline(env.Memory, "samples", now, tpsLeast, tpsWindow)
	if !known {
		if last, now, err = s.samplePair(ctx, now, args.Duration("sample")); err != nil {
			return checks.Findings{Target: s.Target()}, err
		}
		checks.Keep(env.Memory, "samples", checks.Reading[tpsSample]{At: now.At, Values: now})
	}
	checks.Remember(env.Memory, "newest", now)
	f := rates(last, now)
	f.Target, f.Detail = s.Target(), detail
	now.deadlocks(env, &f)
	return f, nil
}

// baseline is the sample of the check to compare with.
func baseline(memory *checks.Memory, key string, now tpsSample, least, window time.Duration) (tpsSample, bool) {
	base, known := checks.Baseline(memory, key, checks.Reading[tpsSample]{At: now.At, Values: now}, least, window,
		func(older, newer tpsSample) bool { return newer.follows(older) })
	return base.Values, known
}

// deadlocks counts those since the last look. They are rare: a first look tells
// all that the server has counted.
func (c tpsSample) deadlocks(env checks.Env, f *checks.Findings) {
	type look struct{ before, now *tpsSample }
	last, _ := checks.Remembered[look](env.Memory, "deadlocks")
	base := last.now
	if env.Again {
		base = last.before
	}
	checks.Remember(env.Memory, "deadlocks", look{base, &c})
	if base != nil && c.follows(*base) {
		f.Facts = append(f.Facts, fact.Number("deadlocks", c.Deadlocks-base.Deadlocks))
		return
	}
	f.Facts = append(f.Facts, fact.Number("deadlocks", c.Deadlocks))
	since := "the database was made"
	if c.Reset.Unix() > 0 {
		since = "the statistics were reset " + fact.FormatDuration(c.At.Sub(c.Reset).Round(time.Second)) + " ago"
	}
	f.Note += fmt.Sprintf(", %s deadlocks since %s", fact.FormatNumber(c.Deadlocks), since)
}

func (s *Server) sampleCounters(ctx context.Context) (tpsSample, error) {
	c, err := one[counters](ctx, s, "pg.tps", countersSQL)
	return tpsSample{c, s.commits.Load(), s.rollbacks.Load()}, err
}

// samplePair waits outside the session, so that others can use it meanwhile.
func (s *Server) samplePair(ctx context.Context, first tpsSample, apart time.Duration) (_, second tpsSample, err error) {
	timer := time.NewTimer(apart)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return first, first, checks.Failed(checks.Timeout, "no time for a second sample %s after the first: %w", apart, ctx.Err())
	}
	if second, err = s.sampleCounters(ctx); err != nil {
		return first, second, err
	}
	if !second.follows(first) {
		return first, second, checks.Failed(checks.NoData, "the server's statistics were reset between two samples")
	}
	return first, second, nil
}

// follows reports whether the counters went on from those of the last sample.
func (c tpsSample) follows(last tpsSample) bool {
	return c.Reset.Equal(last.Reset) && c.At.After(last.At) &&
		c.Commit >= last.Commit && c.Rollback >= last.Rollback && c.Hit >= last.Hit && c.Read >= last.Read &&
		c.Deadlocks >= last.Deadlocks && c.Temp >= last.Temp
}

// rates leaves the session's own transactions out. The server counts them up
// to a second late, so a difference below zero is none.
func rates(last, now tpsSample) checks.Findings {
	took := now.At.Sub(last.At)
	commits := max(0, now.Commit-last.Commit-float64(now.ownCommits-last.ownCommits))
	rollbacks := max(0, now.Rollback-last.Rollback-float64(now.ownRollbacks-last.ownRollbacks))
	reads := now.Hit - last.Hit + now.Read - last.Read
	per := took.Seconds()
	facts := []fact.Fact{
		fact.Number("tps", (commits+rollbacks)/per), fact.Number("commits", commits/per), fact.Number("rollbacks", rollbacks/per),
		fact.Size("temp", (now.Temp-last.Temp)/per), fact.Dur("measured", took),
	}
	note := fmt.Sprintf("%s transactions/s", fact.FormatNumber((commits+rollbacks)/per))
	if commits+rollbacks >= fewTransactions {
		share := 100 * rollbacks / (commits + rollbacks)
		facts = append(facts, fact.Pct("rollbacks_share", share))
		note += ", " + fact.PctValue(share).String() + " rolled back"
	}
	if reads >= fewReads {
		hit := 100 * (now.Hit - last.Hit) / reads
		facts = append(facts, fact.Pct("cache_hit", hit))
		note += ", cache hit " + fact.PctValue(hit).String()
	}
	note += " over " + fact.FormatDuration(took.Round(100*time.Millisecond))
	return checks.Findings{Facts: facts, Note: note, Over: took}
}

// upTo bounds a duration parameter.
func upTo(limit time.Duration) func(any) error {
	return func(value any) error {
		if d, ok := value.(time.Duration); ok && (d <= 0 || d > limit) {
			return fmt.Errorf("%s is not between 0 and %s", d, fact.FormatDuration(limit))
		}
		return nil
	}
}
