package postgres

import (
	"strings"
	"time"
)

// countedSince is since when scans are counted, at least: the server keeps the
// moment of a reset, and without one the counters are older than its start.
type countedSince struct {
	Seconds  float64
	Standbys bool
	Counting bool
}

func (c countedSince) age() time.Duration { return seconds(c.Seconds) }

const countedSinceSQL = `
SELECT extract(epoch FROM clock_timestamp() - coalesce(stats_reset, pg_postmaster_start_time()))::float8, EXISTS (SELECT FROM pg_stat_replication),
       current_setting('track_counts') = 'on'
FROM pg_stat_database WHERE datname = current_database()`

// invalidIndexesSQL: a build in flight is an index that is not valid yet. Who
// may not see others' progress sees the lock on the table. An index of a
// partitioned table is invalid until all partitions have theirs, and costs
// nothing: only real indexes are looked at, those of TOAST tables too.
//
// $1 is how many.
const invalidIndexesSQL = `
SELECT CASE WHEN b.building THEN 'building' ELSE 'invalid' END, format('%I.%I', n.nspname, x.relname), format('%I.%I', tn.nspname, c.relname),
       x.relpages * current_setting('block_size')::float8, pg_stat_get_numscans(x.oid)::float8, i.indisunique,
       CASE WHEN b.building THEN 'wait: a session builds it' ELSE '' END
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN pg_namespace n ON n.oid = x.relnamespace
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace JOIN pg_database d ON d.datname = current_database()
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.datid = d.oid AND (p.index_relid = x.oid OR p.relid = i.indrelid OR p.relid IS NULL AND p.index_relid IS NULL))
  OR EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'relation' AND l.database = d.oid AND l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock') AS building) b
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relpersistence <> 't'
ORDER BY 1 DESC, 4 DESC, 2 LIMIT $1`

// duplicateIndexesSQL compares the columns as the catalogue keeps them, which
// locks nobody's table: pg_get_indexdef would. Of two that are alike the one
// stays that a constraint, the replica identity or a CLUSTER needs, then the
// older. An index is also spare when another one begins with its columns.
//
// $1 is how many.
const duplicateIndexesSQL = `
WITH several AS (
  SELECT indrelid FROM pg_index WHERE indrelid >= 16384 GROUP BY 1 HAVING count(*) > 1
), one AS MATERIALIZED (
  SELECT i.indexrelid AS oid, i.indrelid AS rel, x.relam AS am, x.relpages, format('%I.%I', n.nspname, x.relname) AS name, i.indisunique AS uniq,
         i.indkey::text AS keys, i.indclass::text AS classes, i.indcollation::text AS collations, i.indoption::text AS options,
         coalesce(regexp_replace(i.indexprs::text, ':location -?\d+', '', 'g'), '') AS exprs, coalesce(regexp_replace(i.indpred::text, ':location -?\d+', '', 'g'), '') AS pred,
         i.indnatts = i.indnkeyatts AS plain, a.amname = 'btree' AS btree,
         i.indisprimary::int * 8 + EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x', 'f'))::int * 4 + i.indisunique::int * 2
           + (i.indisreplident OR i.indisclustered)::int AS needed
  FROM pg_index i JOIN several USING (indrelid) JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_am a ON a.oid = x.relam
  WHERE i.indisvalid AND NOT i.indisexclusion AND n.nspname <> 'pg_toast'
)
SELECT DISTINCT ON (s.relpages, s.name) 'duplicate', s.name, s.rel::regclass::text, s.relpages * current_setting('block_size')::float8, pg_stat_get_numscans(s.oid)::float8, s.uniq,
       'DROP INDEX CONCURRENTLY ' || s.name || '; -- ' || k.name || CASE WHEN k.keys = s.keys THEN ' has the same columns' ELSE ' begins with its columns' END
FROM one s JOIN one k ON k.rel = s.rel AND k.oid <> s.oid AND k.am = s.am
  AND (k.keys = s.keys AND k.classes = s.classes AND k.collations = s.collations AND k.options = s.options AND k.exprs = s.exprs AND k.pred = s.pred AND k.plain = s.plain
         AND (k.needed, -k.oid::int8) > (s.needed, -s.oid::int8) AND s.needed < 4 AND (NOT s.uniq OR k.uniq)
    OR s.btree AND NOT s.uniq AND s.needed = 0 AND s.exprs || s.pred || k.exprs || k.pred = '' AND s.plain AND k.keys LIKE s.keys || ' %'
         AND k.classes || ' ' LIKE s.classes || ' %' AND k.collations || ' ' LIKE s.collations || ' %' AND k.options || ' ' LIKE s.options || ' %')
ORDER BY s.relpages DESC, s.name, k.keys = s.keys DESC, k.name LIMIT $1`

// unusedIndexesSQL leaves out what a constraint needs whether it is scanned or
// not, and what a foreign key's other side may need once a year: an index that
// begins with the columns of a foreign key.
//
// $1 is the least size in bytes, $2 how many.
const unusedIndexesSQL = `
SELECT 'unused', format('%I.%I', n.nspname, x.relname), format('%I.%I', tn.nspname, c.relname), x.relpages * current_setting('block_size')::float8, 0::float8, false,
       'DROP INDEX CONCURRENTLY ' || format('%I.%I', n.nspname, x.relname) || '; -- never scanned: ask first who made it'
FROM pg_class x JOIN pg_index i ON i.indexrelid = x.oid JOIN pg_namespace n ON n.oid = x.relnamespace
JOIN pg_class c ON c.oid = i.indrelid AND c.relkind IN ('r', 'm') JOIN pg_namespace tn ON tn.oid = c.relnamespace
WHERE x.relkind = 'i' AND x.oid >= 16384 AND x.relpersistence <> 't' AND n.nspname <> 'pg_toast' AND x.relpages * current_setting('block_size')::float8 >= $1::float8
  AND i.indisvalid AND NOT i.indisunique AND NOT i.indisexclusion AND NOT i.indisreplident AND NOT i.indisclustered AND pg_stat_get_numscans(x.oid) = 0
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = i.indrelid AND k.contype = 'f'
    AND (string_to_array(i.indkey::text, ' ')::int2[])[1:cardinality(k.conkey)] @> k.conkey)
ORDER BY 4 DESC, 2 LIMIT $2`

// missingIndexesSQL is PgHero's bound, and ten such scans at least.
//
// $1 is the least number of rows, $2 how many.
const missingIndexesSQL = `
SELECT 'missing', '', format('%I.%I', n.nspname, c.relname), c.relpages * current_setting('block_size')::float8, u.seq, false,
       round(100 * u.seq / (u.seq + u.idx)) || ' % of its scans read all ' || c.reltuples::int8 || ' rows: find the statement, then CREATE INDEX CONCURRENTLY'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_stat_get_numscans(c.oid)::float8 AS seq, coalesce((SELECT sum(pg_stat_get_numscans(i.indexrelid)) FROM pg_index i WHERE i.indrelid = c.oid), 0)::float8 AS idx) u
WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't' AND c.reltuples >= $1::float8 AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND u.seq >= 10 AND u.seq > 0.05 * (u.seq + u.idx)
ORDER BY u.seq * c.reltuples DESC, 3 LIMIT $2`

// Why a leftover of REINDEX CONCURRENTLY is to be dropped.
const (
	whyNew = "the copy of a rebuild that failed: drop it, then rebuild again"
	whyOld = "the old one of a rebuild that succeeded: drop it, nothing is to be rebuilt"
)

// unquoted is a name as it is matched, without its closing quote.
func unquoted(name string) string { return strings.TrimSuffix(name, `"`) }
