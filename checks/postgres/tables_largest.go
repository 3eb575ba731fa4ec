package postgres

import "context"

// A relation is a table, or the root of partitions, by what the catalogue says.
type relation struct {
	OID                        uint32
	Name                       string
	Leaves                     []uint32
	Heap, Indexes, Toast, Rows float64 // bytes, and rows
	Unseen                     bool    // some of its rows were never analysed
	Guessed                    float64 // bytes of the heap that are not in the catalogue
}

func (r relation) total() float64 { return r.Heap + r.Indexes + r.Toast }

// catalogued is what it adds to the catalogue's sums.
func (r relation) catalogued() float64 { return r.total() - r.Guessed }

// catalogueSums are over all relations that are not the system's own: those
// have OIDs below 16384.
type catalogueSums struct {
	Size   float64 // bytes, indexes and TOAST included
	Tables int
}

const catalogueSumsSQL = `
SELECT coalesce(sum(relpages), 0)::float8 * current_setting('block_size')::float8,
       (count(*) FILTER (WHERE relkind IN ('r', 'm') AND NOT relispartition OR relkind = 'p' AND NOT relispartition AND relhassubclass))::int
FROM pg_class
WHERE oid >= 16384 AND relkind IN ('r', 'm', 'p', 'i', 't') AND relpersistence <> 't'`

// largestSQL ranks tables by the catalogue's pages. It walks pg_class once for
// the largest relations of any kind and adds up the parts of the tables these
// belong to: joining all 20,000 tables with all their indexes would take a
// second. A table with very many small parts can so miss the end of the list,
// partitions cannot: those are summed by their root.
//
// A table that was never analysed has no pages in the catalogue. Its live rows
// of the activity statistics stand in, at 100 bytes a row, so that it is at
// least looked at.
//
// $1 is how many tables, $2 how many relations.
const largestSQL = `
WITH RECURSIVE tree(root, oid) AS (
  SELECT p.partrelid, p.partrelid FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid WHERE NOT c.relispartition
  UNION ALL SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
), leaf AS MATERIALIZED (
  SELECT t.root, c.oid, c.relpages FROM tree t JOIN pg_class c ON c.oid = t.oid WHERE c.relkind = 'r'
), large AS MATERIALIZED (
  SELECT oid, relkind FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'm', 'i', 't') AND relpersistence <> 't' AND relpages > 0
  ORDER BY relpages DESC LIMIT $2
), unseen AS MATERIALIZED (
  SELECT oid FROM (
    SELECT oid, pg_stat_get_live_tuples(oid) AS live FROM pg_class
    WHERE oid >= 16384 AND relkind IN ('r', 'm') AND relpersistence <> 't' AND relpages = 0 OFFSET 0) u
  WHERE live > 0 ORDER BY live DESC LIMIT $1
), part AS MATERIALIZED ( -- of an index, its table; of a TOAST table or its index, the table it belongs to
  SELECT CASE l.relkind WHEN 'i' THEN i.indrelid ELSE l.oid END AS oid FROM large l LEFT JOIN pg_index i ON i.indexrelid = l.oid AND l.relkind = 'i'
), owner AS (
  SELECT coalesce(d.refobjid, p.oid) AS oid FROM part p
  LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = p.oid AND d.objsubid = 0 AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
  UNION SELECT oid FROM unseen
), found AS (
  SELECT coalesce(l.root, o.oid) AS root FROM owner o LEFT JOIN leaf l ON l.oid = o.oid
  UNION (SELECT root FROM leaf GROUP BY root ORDER BY sum(relpages) DESC LIMIT $1)
), member AS (
  SELECT f.root, c.oid FROM found f JOIN pg_class c ON c.oid = f.root AND c.relkind IN ('r', 'm')
  UNION ALL SELECT f.root, l.oid FROM found f JOIN leaf l ON l.root = f.root
), summed AS (
  SELECT m.root, array_agg(m.oid) AS leaves, coalesce(sum(x.pages), 0) AS indexes, coalesce(sum(t.relpages), 0) + coalesce(sum(tx.pages), 0) AS toast,
         sum(c.relpages) AS pages, sum(CASE WHEN s.unseen THEN s.live * 100 / b.size ELSE 0 END) AS guess, sum(greatest(c.reltuples, s.live, 0)) AS rows,
         bool_or(s.unseen AND s.live > 0) AS unseen, b.size
  FROM member m JOIN pg_class c ON c.oid = m.oid CROSS JOIN (SELECT current_setting('block_size')::float8 AS size) b
  CROSS JOIN LATERAL (SELECT c.relpages = 0 AS unseen, coalesce(pg_stat_get_live_tuples(c.oid), 0)::float8 AS live) s
  LEFT JOIN LATERAL (SELECT sum(ic.relpages)::float8 AS pages FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid) x ON true
  LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
  LEFT JOIN LATERAL (SELECT sum(ic.relpages)::float8 AS pages FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = t.oid) tx ON true
  GROUP BY m.root, b.size
)
SELECT s.root, format('%I.%I', n.nspname, c.relname), s.leaves, (s.pages + s.guess) * s.size, s.indexes * s.size, s.toast * s.size, s.rows, s.unseen, s.guess * s.size
FROM summed s JOIN pg_class c ON c.oid = s.root JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY s.pages + s.guess + s.indexes + s.toast DESC, 2
LIMIT $1`

// largest are so many of the largest tables, by estimate, and the sums over all.
func (s *Server) largest(ctx context.Context, limit int) (found []relation, sums catalogueSums, err error) {
	err = s.readOnly(ctx, "pg.tables", func(ctx context.Context, r *reading) (err error) {
		if sums, err = row[catalogueSums](ctx, r, catalogueSumsSQL); err != nil {
			return err
		}
		found, err = rows[relation](ctx, r, largestSQL, limit, 4*limit+100)
		return err
	})
	return found, sums, err
}
