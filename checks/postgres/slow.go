package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Slow finds statements of this database that are slow on average, in the last
// minutes where the check has run before: figures since the last reset keep an
// old incident for ever. pg_stat_statements knows no percentiles, so the
// standard deviation stands beside each mean.
//
// Counters are read without their texts, which the server keeps in a file that
// every reader has to load; texts only for the few rows that are shown.
var Slow = module(checks.Module{
	Name: "pg.slow",
	Doc:  "Finds statements whose mean time is above a limit, from pg_stat_statements, over the last minutes or since the reset",
	Params: []checks.Param{
		{Name: "mean", Type: checks.DurationParam, Default: "100ms", Doc: "a statement is slow when its mean is above this (the guide: 100 ms)"},
		{Name: "min_calls", Type: checks.NumberParam, Default: 20.0, Doc: "statements called less often in the interval are left out"},
		limitParam("limit", 20, "how many statements to list, by total time (the guide: 20)", 100),
		{Name: "window", Type: checks.DurationParam, Default: "10m", Doc: "how far back to compare: at least this once the check has run so long, and at most twice", Check: upTo(24 * time.Hour)},
	},
	Facts: []fact.Spec{
		{Name: "slow", Type: fact.Count, Unit: "statements", Doc: "statements called often enough whose mean is above the limit", Worse: fact.Higher},
		{Name: "heavy", Type: fact.Count, Unit: "statements", Doc: "those of them with a mean above 1 s that took more than 10 % of all statement time", Worse: fact.Higher},
		{Name: "worst_mean", Type: fact.Duration, Doc: "highest mean of a statement called often enough; 0 if none was", Worse: fact.Higher},
		{Name: "worst_share", Type: fact.Percent, Doc: "highest share of all statement time of a slow statement; 0 if none is slow", Worse: fact.Higher},
		{Name: "statements", Type: fact.Count, Doc: "statements called in the interval"},
		{Name: "measured", Type: fact.Duration, Doc: "the interval: since the earlier snapshot, else since the statistics were reset", Optional: true},
		{Name: "delta", Type: fact.Bool, Doc: "an earlier snapshot was there to compare with"},
	},
	Warn: "slow > 0", Fail: "heavy > 0", Source: "guide (mean > 100 ms); fail proposed",
	Window: 10 * time.Minute, SinceReset: true,
	Timeout: 8 * time.Second, Every: time.Minute,
	Example: "use: pg.slow\nwith: {mean: 100ms, min_calls: 20}",
	Run:     slow,
})

// What makes a slow statement heavy (proposed): a mean above 1 s and a
// share of all statement time above 10 %.
const (
	heavyMean  = time.Second
	heavyShare = 10
)

// extension is pg_stat_statements as this database has it.
type extension struct {
	Version, Schema string
}

const extensionSQL = `
SELECT e.extversion, quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'`

// number is 110 for version 1.10.
func (e extension) number() int {
	majorText, minorText, _ := strings.Cut(e.Version, ".")
	major, err := strconv.Atoi(majorText)
	if err != nil {
		return 0
	}
	minor, err := strconv.Atoi(minorText)
	if err != nil {
		return 0
	}
	return 100*major + minor
}

// Columns follow the extension's version, not the server's: an upgraded server
// keeps the old one until somebody runs ALTER EXTENSION.
var (
	statementColumns = byVersion{
		{109, "userid, queryid, toplevel, calls::float8, total_exec_time, mean_exec_time, stddev_exec_time, rows::float8"},
		{108, "userid, queryid, true, calls::float8, total_exec_time, mean_exec_time, stddev_exec_time, rows::float8"},
		{0, "userid, queryid, true, calls::float8, total_time, mean_time, stddev_time, rows::float8"},
	}
	statementReset = byVersion{
		{109, "SELECT stats_reset, dealloc::float8, clock_timestamp() FROM %s.pg_stat_statements_info"},
		{0, "SELECT NULL::timestamptz, 0::float8, clock_timestamp()"},
	}
)

// statement is one entry's counters. Times are milliseconds.
type statement struct {
	User                             uint32
	ID                               int64
	Top                              bool
	Calls, Total, Mean, Stddev, Rows float64
}

type statementKey struct {
	user uint32
	id   int64
	top  bool
}

func (x statement) key() statementKey { return statementKey{x.User, x.ID, x.Top} }

type resetInfo struct {
	Reset   *time.Time
	Dealloc float64
	At      time.Time
}

// snapshot is one look at all statements of the database.
type snapshot struct {
	resetInfo
	statements map[statementKey]statement
}

// baselines are the snapshots that a check keeps: base to compare with, next
// to become it. The interval so is between one and two windows long.
type baselines struct{ base, next snapshot }

func slow(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	ext, now, err := s.statements(ctx)
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	kept, known := checks.Remembered[baselines](env.Memory, "baselines")
	interval := since(now, kept.base, known)
	checks.Remember(env.Memory, "baselines", kept.rotated(now, known, args.Duration("window")))

	found := pick(interval, args)
	texts, why, err := s.texts(ctx, ext, found.shown)
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := found.findings(texts)
	var missing partial
	missing.miss("texts of the statements", why)
	f.Target, f.Detail = s.Target(), missing
	f.Detail = append(f.Detail, interval.origin)
	switch {
	case interval.delta:
		f.Over = interval.took
	case interval.reset.IsZero():
		f.Note += ", since the statistics were last reset"
	default:
		f.Since = interval.reset
	}
	if known && now.Dealloc > kept.base.Dealloc {
		f.Detail = append(f.Detail, "pg_stat_statements.max is too small: the server forgot statements meanwhile")
	}
	return f, nil
}

// rotated keeps now if it is time to.
func (b baselines) rotated(now snapshot, known bool, window time.Duration) baselines {
	switch {
	case !known || !sameReset(now, b.base):
		return baselines{now, now}
	case now.At.Sub(b.next.At) >= window:
		return baselines{b.next, now}
	}
	return b
}

func sameReset(a, b snapshot) bool {
	if a.Reset == nil || b.Reset == nil {
		return a.Reset == b.Reset
	}
	return a.Reset.Equal(*b.Reset)
}

// statements takes a snapshot. Entries of others without a queryid are what a
// role without pg_read_all_stats sees: too little to judge.
func (s *Server) statements(ctx context.Context) (extension, snapshot, error) {
	var ext extension
	now := snapshot{statements: map[statementKey]statement{}}
	err := s.readOnly(ctx, "pg.slow", func(ctx context.Context, r *reading) error {
		if err := s.needOthers(); err != nil {
			return err
		}
		var err error
		if ext, err = findExtension(ctx, r); err != nil {
			return err
		}
		reset := statementReset.at(ext.number())
		if strings.Contains(reset, "%s") {
			reset = fmt.Sprintf(reset, ext.Schema)
		}
		if now.resetInfo, err = row[resetInfo](ctx, r, reset); err != nil {
			return err
		}
		found, err := rows[statement](ctx, r, "SELECT "+statementColumns.at(ext.number())+
			" FROM "+ext.Schema+".pg_stat_statements(false) WHERE queryid IS NOT NULL"+
			" AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())")
		for _, x := range found {
			now.statements[x.key()] = x
		}
		return err
	})
	if hasCode(err, objectNotInState) {
		err = checks.Failed(checks.Missing, "pg_stat_statements is installed but not loaded: "+
			"add it to shared_preload_libraries and restart the server: %w", err)
	}
	return ext, now, err
}

func findExtension(ctx context.Context, r *reading) (extension, error) {
	found, err := rows[extension](ctx, r, extensionSQL)
	if err != nil {
		return extension{}, err
	}
	if len(found) == 0 {
		return extension{}, checks.Failed(checks.Missing, "pg_stat_statements is not installed in this database: "+
			"add it to shared_preload_libraries, restart the server, then CREATE EXTENSION pg_stat_statements")
	}
	return found[0], nil
}

// texts reads the texts of the statements that are shown. One text of another
// database that cannot be converted to this one's encoding makes the server
// refuse them all, whatever is asked for; why says so.
func (s *Server) texts(ctx context.Context, ext extension, of []statement) (texts map[statementKey]string, why string, err error) {
	texts = map[statementKey]string{}
	if len(of) == 0 {
		return texts, "", nil
	}
	ids := make([]int64, len(of))
	for i, x := range of {
		ids[i] = x.ID
	}
	type text struct {
		User uint32
		ID   int64
		Text []byte
	}
	sql := "SELECT userid, queryid, coalesce(substr(textsend(query), 1, 1000), '') FROM " + ext.Schema + ".pg_stat_statements(true) WHERE queryid = ANY($1::bigint[])" +
		" AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
	found, why, err := part[text](ctx, s, "pg.slow texts", sql, pgx.QueryExecModeExec, ids)
	for _, x := range of {
		texts[x.key()] = "?"
	}
	for _, x := range found {
		for _, top := range []bool{true, false} {
			texts[statementKey{x.User, x.ID, top}] = shown(x.Text)
		}
	}
	return texts, why, err
}
