package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// DeadTuples compares each table's dead rows with the number at which
// autovacuum would clean that very table: threshold + scale factor x rows, with
// the table's own settings and, from 18 on, the ceiling.
var DeadTuples = module(checks.Module{
	Name: "pg.deadtuples",
	Doc:  "Finds tables with many dead rows, against their share of the table and against the table's own autovacuum trigger",
	Params: []checks.Param{
		{Name: "min_dead", Type: checks.NumberParam, Default: 1000.0, Doc: "tables with this many dead rows or fewer are left out (the guide: 1000)"},
		limitParam("limit", 10, "how many tables to list (the guide: 10)", 100),
	},
	Facts: []fact.Spec{
		{Name: "tables", Type: fact.Count, Doc: "tables with more dead rows than min_dead", Worse: fact.Higher},
		{Name: "dead", Type: fact.Count, Unit: "rows", Doc: "dead rows in these tables", Worse: fact.Higher},
		{Name: "ratio", Type: fact.Percent, Doc: "the highest share of dead rows among these tables; 0 if there are none", Worse: fact.Higher},
		{Name: "times_trigger", Type: fact.Count, Doc: "the highest multiple of its own autovacuum trigger among these tables; 0 if there are none", Worse: fact.Higher},
		{Name: "autovacuum_off", Type: fact.Count, Doc: "those of these tables that autovacuum does not clean", Worse: fact.Higher},
		{Name: "worst", Type: fact.Text, Doc: "the table with the highest share", Optional: true},
		{Name: "worst_vacuum_age", Type: fact.Duration, Doc: "time since that table was last vacuumed; absent if it never was", Worse: fact.Higher, Optional: true},
	},
	Warn: "ratio > 10% or times_trigger > 2", Fail: "ratio > 20% or times_trigger > 5", Source: "proposed",
	Timeout: 6 * time.Second, Every: time.Minute,
	Example: "use: pg.deadtuples\nwith: {min_dead: 1000, limit: 10}",
	Run:     deadtuples,
})

type deadTable struct {
	Name                       string
	Dead, Live, Ratio, Trigger float64
	Autovacuum                 bool
	VacuumAge                  *float64 // seconds; nil: never
	AllDead, WorstTimes        float64
	All, AllOff                int
	Reset                      time.Time
}

// deadTablesSQL reads the settings of each table (reloptions) over the
// server's. Parents of partitions have no rows of their own and are no 'r'.
const deadTablesSQL = `
WITH setting AS (
  SELECT current_setting('autovacuum_vacuum_threshold')::float8 AS threshold, current_setting('autovacuum_vacuum_scale_factor')::float8 AS scale,
         coalesce(current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8 AS ceiling, current_setting('autovacuum') = 'on' AS enabled
), counted AS MATERIALIZED ( -- pg_stat_user_tables would add up the indexes of each of 20,000 tables
  SELECT * FROM (SELECT oid, relname, relnamespace, reltuples, reloptions, pg_stat_get_dead_tuples(oid) AS dead FROM pg_class WHERE relkind IN ('r', 'm') OFFSET 0) c
  WHERE c.dead > $1::float8
), stat AS (
  SELECT format('%I.%I', n.nspname, c.relname) AS name, c.dead::float8 AS dead, pg_stat_get_live_tuples(c.oid)::float8 AS live, c.reltuples, c.oid,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
         coalesce(o.threshold, s.threshold) AS threshold, coalesce(o.scale, s.scale) AS scale, coalesce(o.ceiling, s.ceiling) AS ceiling,
         s.enabled AND coalesce(o.enabled, true) AS enabled
  FROM counted c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
  CROSS JOIN setting s
  LEFT JOIN LATERAL (
    SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float8 AS threshold,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold')::float8 AS ceiling,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled')::bool AS enabled
    FROM pg_options_to_table(c.reloptions)) o ON true
), judged AS (
  SELECT name, dead, live, 100 * dead / greatest(dead + live, 1) AS ratio,
         CASE WHEN ceiling >= 0 THEN least(ceiling, threshold + scale * greatest(reltuples, 0)) ELSE threshold + scale * greatest(reltuples, 0) END AS trigger,
         enabled, vacuumed
  FROM stat
)
SELECT name, dead, live, ratio, trigger, enabled, extract(epoch FROM clock_timestamp() - vacuumed)::float8,
       sum(dead) OVER (), max(dead / greatest(trigger, 1)) OVER (), (count(*) OVER ())::int, (count(*) FILTER (WHERE NOT enabled) OVER ())::int,
       (SELECT coalesce(stats_reset, 'epoch') FROM pg_stat_database WHERE datname = current_database())
FROM judged ORDER BY ratio DESC, dead DESC, name
LIMIT $2`

func deadtuples(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	var found []deadTable
	err = s.readOnly(ctx, "pg.deadtuples", func(ctx context.Context, r *reading) (err error) {
		if settings, _ := s.Settings(); !settings.TrackCounts {
			return checks.Failed(checks.Missing, "track_counts is off: the server counts no dead rows, and autovacuum does not run")
		}
		found, err = rows[deadTable](ctx, r, deadTablesSQL, args.Number("min_dead"), args.Int("limit"))
		return err
	})
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := deadFindings(found, args.Number("min_dead"))
	f.Target = s.Target()
	return f, nil
}

func deadFindings(found []deadTable, minDead float64) checks.Findings {
	f := checks.Findings{Note: "no table with more than " + fact.FormatNumber(minDead) + " dead rows", Tables: []checks.Table{deadTablesTable(found)}}
	var worst deadTable // the first: they come worst first
	if len(found) > 0 {
		worst = found[0]
		f.Note = fmt.Sprintf("%s %s dead, %s x its trigger", word(worst.Name).Text, fact.PctValue(worst.Ratio), fact.FormatNumber(worst.Dead/max(1, worst.Trigger)))
		f.Facts = append(f.Facts, fact.Of("worst", word(worst.Name)))
		if worst.VacuumAge != nil {
			f.Facts = append(f.Facts, fact.Dur("worst_vacuum_age", seconds(*worst.VacuumAge)))
		}
		if worst.Reset.Unix() > 0 {
			f.Detail = append(f.Detail, "counted since the statistics were reset at "+worst.Reset.UTC().Format(time.RFC3339))
		}
	}
	f.Facts = append(f.Facts,
		fact.Number("tables", worst.All), fact.Number("dead", worst.AllDead), fact.Pct("ratio", worst.Ratio),
		fact.Number("times_trigger", worst.WorstTimes), fact.Number("autovacuum_off", worst.AllOff))
	for _, t := range found {
		if !t.Autovacuum {
			f.Detail = append(f.Detail, "autovacuum does not clean "+word(t.Name).Text+": it is switched off")
		}
	}
	return f
}

func deadTablesTable(found []deadTable) checks.Table {
	t := checks.Table{Name: "tables", Columns: []checks.Column{
		{Name: "table", Type: fact.Text}, {Name: "dead", Type: fact.Count}, {Name: "live", Type: fact.Count}, {Name: "ratio", Type: fact.Percent},
		{Name: "trigger", Type: fact.Count}, {Name: "times", Type: fact.Count}, {Name: "autovacuum", Type: fact.Bool}, {Name: "vacuumed", Type: fact.Text},
	}}
	for _, x := range found {
		vacuumed := "never"
		if x.VacuumAge != nil {
			vacuumed = fact.FormatDuration(seconds(*x.VacuumAge)) + " ago"
		}
		t.Rows = append(t.Rows, []fact.Value{
			word(x.Name), fact.NumberValue(x.Dead), fact.NumberValue(x.Live), fact.PctValue(x.Ratio),
			fact.NumberValue(x.Trigger), fact.NumberValue(x.Dead / max(1, x.Trigger)), fact.FlagValue(x.Autovacuum), fact.WordValue(vacuumed),
		})
	}
	return t
}
