package postgres

import (
	"context"
	"time"
)

// A tableBloat is what the statistics say about the room a table takes.
type tableBloat struct {
	OID      uint32
	Name     string
	Size     float64    // bytes of its pages when it was last looked at
	Needed   *float64   // bytes its rows would take; nil: not known
	Unread   bool       // its statistics may not be read
	Analyzed *time.Time // the newest ANALYZE or autoanalyze
}

// wasted is the room that no row needs, in bytes.
func (b tableBloat) wasted() float64 { return max(0, b.Size-*b.Needed) }

// share is the wasted share, in percent.
func (b tableBloat) share() float64 { return 100 * b.wasted() / max(1, b.Size) }

func (b tableBloat) known() bool { return b.Needed != nil }

// tableBloatSQL lays the rows out anew: so many rows of so much data, by the
// averages of the last ANALYZE, on pages filled to the table's fillfactor. A
// page has a header of 24 bytes, a row one of 23 and a pointer of 4; header and
// data are padded to 8 bytes each. A table that was never analysed has no size
// worth the name (relpages) and is listed if rows were ever counted in it.
//
// $1 is the least size in bytes; $2 names tables instead, whatever their size.
const tableBloatSQL = `
WITH block AS (SELECT current_setting('block_size')::float8 AS size),
candidate AS (
  SELECT c.oid, n.nspname, c.relname, c.relpages * b.size AS bytes, c.reltuples::float8 AS tuples, b.size AS block, c.reltuples < 0 OR c.relpages = 0 AS unseen,
         coalesce((SELECT option_value::float8 FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 100) / 100 AS fill
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN block b
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
    AND CASE WHEN $2::oid[] IS NOT NULL THEN c.oid = ANY ($2)
             ELSE c.relpages * b.size >= $1::float8 OR (c.reltuples < 0 OR c.relpages = 0) AND pg_stat_get_live_tuples(c.oid) + pg_stat_get_dead_tuples(c.oid) > 0 END
), width AS (
  SELECT c.oid, w.* FROM candidate c CROSS JOIN LATERAL ( -- table by table: the catalogue of all columns is large, the candidates are few
    SELECT count(*) = count(s.attname) AS complete, sum((1 - s.null_frac) * s.avg_width) AS data,
           8 * ceil((23 + CASE WHEN bool_or(s.null_frac > 0) THEN (count(*) + 7) / 8 ELSE 0 END) / 8.0) AS header,
           bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')) AS readable
    FROM pg_attribute a
    LEFT JOIN pg_stats s ON s.schemaname = c.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped HAVING count(*) > 0) w
)
SELECT c.oid, format('%I.%I', c.nspname, c.relname), c.bytes,
       CASE WHEN w.complete AND NOT c.unseen THEN c.block * ceil(c.tuples / greatest(1, floor((c.block - 24) * c.fill / (4 + w.header + 8 * ceil(w.data / 8))))) END,
       NOT coalesce(w.readable, true),
       greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))
FROM candidate c LEFT JOIN width w USING (oid)
ORDER BY c.bytes DESC, 2`

func (r *reading) tableBloat(ctx context.Context, minSize float64) ([]tableBloat, error) {
	return rows[tableBloat](ctx, r, tableBloatSQL, minSize, nil)
}

// indexBloatSQL does the same for B-trees: an entry has a header of 8 bytes, 16
// with NULLs, and a pointer of 4; a page a header of 24 and an end of 16. Equal
// keys share one entry since version 13, which the averages do not tell: such
// an index looks better than it is, never worse.
const indexBloatSQL = `
WITH block AS (SELECT current_setting('block_size')::float8 AS size),
width AS (
  SELECT i.indexrelid, count(*) = count(s.attname) AS complete, sum((1 - s.null_frac) * s.avg_width) AS data, bool_or(s.null_frac > 0) AS nulls
  FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_attribute e ON e.attrelid = i.indexrelid
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[e.attnum - 1] AND a.attnum > 0
  LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND NOT s.inherited
    AND s.tablename = CASE WHEN a.attnum IS NULL THEN x.relname ELSE t.relname END AND s.attname = coalesce(a.attname, e.attname)
  WHERE i.indrelid = ANY ($1) GROUP BY i.indexrelid
)
SELECT x.oid, CASE WHEN w.complete AND x.reltuples >= 0 AND x.relpages > 0 AND m.amname = 'btree' THEN
         b.size * (1 + ceil(x.reltuples / greatest(1, floor((b.size - 40) * f.fill / (4 + CASE WHEN w.nulls THEN 16 ELSE 8 END + 8 * ceil(w.data / 8)))))) END
FROM width w JOIN pg_class x ON x.oid = w.indexrelid JOIN pg_am m ON m.oid = x.relam CROSS JOIN block b
CROSS JOIN LATERAL (SELECT coalesce((SELECT option_value::float8 FROM pg_options_to_table(x.reloptions) WHERE option_name = 'fillfactor'), 90) / 100 AS fill) f`

// indexNeeds is how many bytes the entries of the tables' indexes would take,
// by the index's OID; an index whose need is not known is not there.
func (r *reading) indexNeeds(ctx context.Context, tables []uint32) (map[uint32]float64, error) {
	type need struct {
		OID    uint32
		Needed *float64
	}
	found, err := rows[need](ctx, r, indexBloatSQL, tables)
	needs := map[uint32]float64{}
	for _, n := range found {
		if n.Needed != nil {
			needs[n.OID] = *n.Needed
		}
	}
	return needs, err
}
