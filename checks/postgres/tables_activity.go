package postgres

import (
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A tableActivity is what the server counted since its statistics were reset;
// NaN where it did not count.
type tableActivity struct {
	OID               uint32
	Dead, Live        float64
	Trigger, Times    float64 // of the partition that is the most times over its own
	Vacuumed          float64 // seconds ago, manual or automatic: of the partition it is longest ago for
	Analyzed          float64
	Autovacuum        bool
	SeqScans, IdxScan float64
}

var unknownActivity = tableActivity{
	Dead: math.NaN(), Live: math.NaN(), Trigger: math.NaN(), Times: math.NaN(), Vacuumed: math.NaN(), Analyzed: math.NaN(), Autovacuum: true, SeqScans: math.NaN(), IdxScan: math.NaN(),
}

// seqShare is the share of scans that read the whole table, in percent; NaN
// where none was counted.
func (a tableActivity) seqShare() float64 { return 100 * a.SeqScans / (a.SeqScans + a.IdxScan) }

// tableActivitySQL reads the counters of some tables, summed by root. The
// trigger is the table's own: see deadTablesSQL. Partitions without a row are
// left out of the ages: nobody vacuums next year's partition.
const tableActivitySQL = `
WITH setting AS (
  SELECT current_setting('autovacuum_vacuum_threshold')::float8 AS threshold, current_setting('autovacuum_vacuum_scale_factor')::float8 AS scale,
         coalesce(current_setting('autovacuum_vacuum_max_threshold', true), '-1')::float8 AS ceiling, current_setting('autovacuum') = 'on' AS enabled
), stat AS (
  SELECT m.root, c.reltuples, pg_stat_get_dead_tuples(c.oid)::float8 AS dead, pg_stat_get_live_tuples(c.oid)::float8 AS live,
         greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS vacuumed,
         greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS analyzed,
         pg_stat_get_numscans(c.oid)::float8 AS seq, coalesce((SELECT sum(pg_stat_get_numscans(indexrelid)) FROM pg_index WHERE indrelid = c.oid), 0)::float8 AS idx,
         coalesce(o.threshold, s.threshold) AS threshold, coalesce(o.scale, s.scale) AS scale, coalesce(o.ceiling, s.ceiling) AS ceiling,
         s.enabled AND coalesce(o.enabled, true) AS enabled
  FROM unnest($1::oid[], $2::oid[]) m(root, leaf) JOIN pg_class c ON c.oid = m.leaf CROSS JOIN setting s
  LEFT JOIN LATERAL (
    SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float8 AS threshold,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold')::float8 AS ceiling,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled')::bool AS enabled
    FROM pg_options_to_table(c.reloptions)) o ON true
), judged AS (
  SELECT *, CASE WHEN ceiling >= 0 THEN least(ceiling, threshold + scale * greatest(reltuples, 0)) ELSE threshold + scale * greatest(reltuples, 0) END AS trigger
  FROM stat
)
SELECT root, sum(dead), sum(live), (array_agg(trigger ORDER BY dead / greatest(trigger, 1) DESC))[1], max(dead / greatest(trigger, 1)),
       coalesce(extract(epoch FROM clock_timestamp() - min(vacuumed) FILTER (WHERE dead + live > 0))::float8, 'NaN'),
       coalesce(extract(epoch FROM clock_timestamp() - min(analyzed) FILTER (WHERE dead + live > 0))::float8, 'NaN'),
       bool_and(enabled), sum(seq), sum(idx)
FROM judged GROUP BY root`

func addActivity(sizes []tableSize, found []tableActivity) {
	byRoot := map[uint32]tableActivity{}
	for _, a := range found {
		byRoot[a.OID] = a
	}
	for i := range sizes {
		if a, ok := byRoot[sizes[i].OID]; ok {
			sizes[i].activity = a
		}
	}
}

// A growth is a change against an older look, in percent, and how old that is;
// NaN before there is one.
type growth struct {
	By   float64
	Over time.Duration
}

func (g growth) over() fact.Value {
	if math.IsNaN(g.By) {
		return unknownAge
	}
	return fact.DurValue(g.Over)
}

// firstLooks are the sizes as this process first saw them, by table and badge:
// an estimate is no measure of growth for what was measured.
type firstLooks map[string]checks.Sample

// sinceLastWeek compares the sizes with those of a week ago, or with the oldest
// that is kept or was seen since.
func sinceLastWeek(env checks.Env, sizes []tableSize, now time.Time) {
	looks, _ := checks.Remembered[firstLooks](env.Memory, "tables first seen")
	if looks == nil {
		looks = firstLooks{}
		checks.Remember(env.Memory, "tables first seen", looks)
	}
	for i, t := range sizes {
		key := t.sizeBy() + " " + t.name
		then, seen := looks[key]
		if !seen {
			looks[key] = checks.Sample{At: now, Value: t.total()}
		}
		if env.History != nil && !t.estimated {
			if kept := env.History.Series(env.Check, "size", t.name, now.Add(-growthWindow)); len(kept) > 0 && (!seen || kept[0].At.Before(then.At)) {
				then, seen = kept[0], true
			}
		}
		sizes[i].grown = grownSince(then, seen, t.total(), now)
	}
}

// growthWindow is how far back a table's growth looks.
const growthWindow = 7 * 24 * time.Hour

func grownSince(then checks.Sample, seen bool, size float64, now time.Time) growth {
	if !seen || then.Value <= 0 || !now.After(then.At) {
		return growth{By: math.NaN()}
	}
	return growth{100 * (size - then.Value) / then.Value, now.Sub(then.At)}
}

// unknownAge is shown in words: see fact.Value.
var unknownAge = fact.Value{Type: fact.Duration, Num: math.NaN()}

// ago is an age that SQL gives as seconds; NaN is not known.
func ago(n float64) fact.Value {
	if math.IsNaN(n) {
		return unknownAge
	}
	return fact.DurValue(seconds(n))
}
