package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Indexes finds indexes that cost writes and serve nobody, and tables that are
// read from end to end for want of one. It gives the exact statement and drops
// nothing itself.
//
// "Never scanned" is said only when the server has counted for long enough, and
// never of an index that a constraint needs.
var Indexes = module(checks.Module{
	Name: "pg.indexes",
	Doc:  "Finds invalid, duplicate and unused indexes and tables that lack one, with the statement to set it right",
	Params: []checks.Param{
		{Name: "min_size", Type: checks.BytesParam, Default: "10MiB", Doc: "unused indexes smaller than this are left out"},
		{Name: "counted", Type: checks.DurationParam, Default: "30d", Doc: "how long scans must have been counted before an index is called unused"},
		{Name: "min_rows", Type: checks.NumberParam, Default: 10000.0, Doc: "tables with fewer rows lack no index"},
		limitParam("limit", 50, "how many of each problem to list, the largest first", 200),
	},
	Facts: []fact.Spec{
		{Name: "invalid", Type: fact.Count, Unit: "indexes", Worse: fact.Higher, Optional: true, Doc: "indexes that no query uses and every write pays for, those being built left out"},
		{Name: "invalid_unique", Type: fact.Count, Unit: "indexes", Worse: fact.Higher, Optional: true, Doc: "those of them that were to hold a column unique, and do not for the rows there are"},
		{Name: "building", Type: fact.Count, Unit: "indexes", Optional: true, Doc: "indexes that a session builds now, or may: a role without pg_monitor cannot see who builds"},
		{Name: "duplicate", Type: fact.Count, Unit: "indexes", Worse: fact.Higher, Optional: true, Doc: "indexes whose columns another one of the same table begins with"},
		{Name: "unused", Type: fact.Count, Unit: "indexes", Worse: fact.Higher, Optional: true, Doc: "indexes that were never scanned; absent while scans have not been counted for long enough"},
		{Name: "missing", Type: fact.Count, Unit: "tables", Worse: fact.Higher, Optional: true, Doc: "tables that more than a twentieth of their scans read from end to end"},
		{Name: "wasted", Type: fact.Bytes, Worse: fact.Higher, Doc: "size of the invalid, duplicate and unused indexes, by the catalogue"},
		{Name: "counted", Type: fact.Duration, Doc: "for how long scans have been counted at least: since the statistics were reset, or since the server was started"},
	},
	Warn: "invalid > 0 or duplicate > 0 or unused > 0", Fail: "invalid_unique > 0", Source: "proposed (check_pgactivity: any invalid; PgHero: duplicate, unused)",
	Timeout: 20 * time.Second, Every: 5 * time.Minute,
	Example: "use: pg.indexes\nwith: {min_size: 10MiB, counted: 30d}",
	Run:     indexProblems,
})

// An indexProblem is a row of the table: an index, or a table without one.
type indexProblem struct {
	Problem, Index, Table string
	Size, Scans           float64
	Unique                bool
	Advice                string
}

// A problemQuery finds the rows of one kind. All give the columns of an
// indexProblem.
type problemQuery struct {
	what string
	sql  string
	args []any
}

func indexProblems(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.Target()}
	since, err := one[countedSince](ctx, s, "pg.indexes", countedSinceSQL)
	if err != nil {
		return f, err
	}
	limit := args.Int("limit")
	queries := []problemQuery{
		{"invalid", invalidIndexesSQL, []any{limit}},
		{"duplicate", duplicateIndexesSQL, []any{limit}},
	}
	var missing partial
	settings, _ := s.Settings()
	switch long := args.Duration("counted"); {
	case !settings.TrackCounts:
		missing.miss("which indexes are unused or missing is", "track_counts is off")
	case since.age() < long:
		missing.miss("which indexes are unused or missing is", fmt.Sprintf("scans have been counted for %s only, %s are needed", fact.FormatDuration(since.age()), fact.FormatDuration(long)))
	default:
		queries = append(queries, problemQuery{"unused", unusedIndexesSQL, []any{args.Number("min_size"), limit}}, problemQuery{"missing", missingIndexesSQL, []any{args.Number("min_rows"), limit}})
	}
	var all []indexProblem
	for _, q := range queries {
		found, why, err := part[indexProblem](ctx, s, q.what+" indexes", q.sql, q.args...)
		if err != nil {
			return f, err
		}
		missing.miss("which indexes are "+q.what+" is", why)
		if why == "" {
			f.Facts = append(f.Facts, countProblems(q.what, found)...)
		}
		all = append(all, found...)
	}
	if len(f.Facts) == 0 {
		return f, checks.Failed(checks.NoData, "nothing about the indexes of %s could be found out: %s", s.Target(), missing[0])
	}
	reportIndexes(&f, all, since)
	f.Detail = append(f.Detail, missing...)
	return f, nil
}

// countProblems: a build in flight is found among the invalid ones.
func countProblems(what string, found []indexProblem) []fact.Fact {
	if what != "invalid" {
		return []fact.Fact{fact.Number(what, len(found))}
	}
	invalid, unique := 0, 0
	for _, p := range found {
		if p.Problem == "invalid" {
			invalid++
			unique += boolean(p.Unique)
		}
	}
	return []fact.Fact{fact.Number("invalid", invalid), fact.Number("invalid_unique", unique), fact.Number("building", len(found)-invalid)}
}

func reportIndexes(f *checks.Findings, all []indexProblem, since countedSince) {
	wasted := 0.0
	seen := map[string]bool{}
	counts := map[string]int{}
	for i, p := range all {
		counts[p.Problem]++
		if p.Problem == "invalid" {
			all[i].Advice = invalidAdvice(p)
		}
		if p.Index != "" && p.Problem != "building" && !seen[p.Index] {
			seen[p.Index] = true
			wasted += p.Size
		}
		if p.Problem == "invalid" || p.Problem == "building" {
			f.Detail = append(f.Detail, fmt.Sprintf("%s is %s: %s", word(p.Index).Text, p.Problem, word(all[i].Advice).Text))
		}
	}
	if since.Standbys {
		f.Detail = append(f.Detail, "a standby counts its own scans: look there before an index is dropped as unused")
	}
	f.Note = fmt.Sprintf("%d invalid, %d duplicate, %d unused, %s", counts["invalid"], counts["duplicate"], counts["unused"], fact.FormatBytes(wasted))
	f.Facts = append(f.Facts, fact.Size("wasted", wasted), fact.Dur("counted", since.age()))
	f.Tables = []checks.Table{indexesTable(all, since)}
}

// invalidAdvice says what became of an index that is not valid: a copy of REINDEX
// CONCURRENTLY is known by its name, anything else is a CREATE INDEX
// CONCURRENTLY that failed.
func invalidAdvice(p indexProblem) string {
	kind := leftoverName.FindStringSubmatch(unquoted(p.Index))
	switch {
	case kind == nil:
		return fmt.Sprintf("REINDEX INDEX CONCURRENTLY %s; -- or DROP INDEX CONCURRENTLY it: its CREATE INDEX CONCURRENTLY failed", p.Index)
	case kind[1] == "old":
		return fmt.Sprintf("DROP INDEX CONCURRENTLY %s; -- %s", p.Index, whyOld)
	default:
		return fmt.Sprintf("DROP INDEX CONCURRENTLY %s; -- %s", p.Index, whyNew)
	}
}

func indexesTable(all []indexProblem, since countedSince) checks.Table {
	t := checks.Table{Name: "indexes", Columns: []checks.Column{
		{Name: "problem", Type: fact.Text}, {Name: "index", Type: fact.Text}, {Name: "table", Type: fact.Text}, {Name: "size", Type: fact.Bytes},
		{Name: "scans", Type: fact.Count}, {Name: "since", Type: fact.Duration}, {Name: "advice", Type: fact.Text},
	}}
	for _, p := range all {
		scans := p.Scans
		if !since.Counting {
			scans = math.NaN()
		}
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(p.Problem), word(p.Index), word(p.Table), fact.SizeValue(p.Size),
			fact.NumberValue(scans), fact.DurValue(since.age()), word(p.Advice),
		})
	}
	return t
}
