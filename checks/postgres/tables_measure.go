package postgres

import (
	"context"
	"fmt"
	"math"
)

// maxLeaves is how many partitions of one table are measured exactly.
const maxLeaves = 200

// exactSQL is NULL where a table has just been dropped.
const exactSQL = `
SELECT coalesce(sum(pg_total_relation_size(o)), 0)::float8, coalesce(sum(pg_indexes_size(o)), 0)::float8,
       coalesce(sum((SELECT pg_total_relation_size(reltoastrelid) FROM pg_class WHERE oid = o AND reltoastrelid <> 0)), 0)::float8,
       (count(*) FILTER (WHERE pg_total_relation_size(o) IS NULL))::int
FROM unnest($1::oid[]) AS o`

type exactSize struct {
	Total, Indexes, Toast float64
	Dropped               int
}

// tableSize is a relation with what the other steps found out about it.
type tableSize struct {
	relation
	name      string
	estimated bool
	reason    string // why it is an estimate, where it should not be one
	grown     growth
	activity  tableActivity
	bloat     float64 // bytes; NaN: not known
}

// exclusiveSQL are those tables of $1 which somebody has locked against
// everybody, or waits to: a request that is queued makes us wait as one that is
// granted does. The indexes and TOAST tables of a table count as it, because
// measuring opens them too.
const exclusiveSQL = `
WITH locked AS (
  SELECT l.relation FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
), part AS (
  SELECT c.oid, c.reltoastrelid FROM unnest($1::oid[]) o JOIN pg_class c ON c.oid = o WHERE EXISTS (SELECT FROM locked)
)
SELECT p.oid FROM part p WHERE p.oid IN (SELECT relation FROM locked) OR p.reltoastrelid IN (SELECT relation FROM locked)
   OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid IN (p.oid, p.reltoastrelid) AND i.indexrelid IN (SELECT relation FROM locked))`

// exclusive are the tables that must not be opened now.
func (s *Server) exclusive(ctx context.Context, of []relation) (map[uint32]bool, string, error) {
	var leaves []uint32
	for _, r := range of {
		if len(r.Leaves) <= maxLeaves {
			leaves = append(leaves, r.Leaves...)
		}
	}
	type locked struct{ OID uint32 }
	found, why, err := part[locked](ctx, s, "locks on tables", exclusiveSQL, leaves)
	held := map[uint32]bool{}
	for _, l := range found {
		held[l.OID] = true
	}
	return held, why, err
}

// lockedBySomebody is what a table says that is not measured because of a lock.
const lockedBySomebody = "another session holds a lock on it, or waits for one, that nobody may share"

// measure is the exact size of a table, or its estimate with the reason. The
// error is one that ends the check: the server is gone, or time is up.
func (s *Server) measure(ctx context.Context, r relation, locked map[uint32]bool) (tableSize, error) {
	size := unmeasured(r)
	if len(r.Leaves) > maxLeaves {
		size.reason = fmt.Sprintf("it has %d partitions", len(r.Leaves))
		return size, nil
	}
	for _, leaf := range r.Leaves {
		if locked[leaf] {
			size.reason = lockedBySomebody
			return size, nil
		}
	}
	exact, err := one[exactSize](ctx, s, "pg.tables", exactSQL, r.Leaves)
	switch {
	case hasCode(err, lockNotAvailable), hasCode(err, queryCanceled):
		size.reason = err.Error()
	case err != nil:
		return size, err
	case exact.Dropped > 0:
		size.reason = "part of it was dropped meanwhile"
	default:
		size.Indexes, size.Toast = exact.Indexes, exact.Toast
		size.Heap = exact.Total - exact.Indexes - exact.Toast
		size.estimated = false
	}
	return size, nil
}

func unmeasured(r relation) tableSize {
	return tableSize{relation: r, name: word(r.Name).Text, estimated: true, activity: unknownActivity, bloat: math.NaN()}
}

// sizeBy is the badge of a size.
func (t tableSize) sizeBy() string {
	if t.estimated {
		return "estimate"
	}
	return "exact"
}

// bloatBy is the badge of a bloat: pg.tables never reads a table.
func (t tableSize) bloatBy() string {
	if math.IsNaN(t.bloat) {
		return "unknown"
	}
	return "estimate"
}

// addBloat gives each table the estimated room that no row of its needs. One
// leaf that cannot be estimated makes the whole unknown; an empty one needs
// nothing.
func addBloat(sizes []tableSize, found []tableBloat) {
	byLeaf := map[uint32]tableBloat{}
	for _, b := range found {
		byLeaf[b.OID] = b
	}
	for i := range sizes {
		wasted := 0.0
		for _, leaf := range sizes[i].Leaves {
			b, ok := byLeaf[leaf]
			switch {
			case ok && b.known():
				wasted += b.wasted()
			case !ok || b.Size > 0 || sizes[i].Unseen:
				wasted = math.NaN()
			}
		}
		sizes[i].bloat = wasted
	}
}

func leavesOf(sizes []tableSize) (roots, leaves []uint32) {
	for _, t := range sizes {
		for _, leaf := range t.Leaves {
			roots, leaves = append(roots, t.OID), append(leaves, leaf)
		}
	}
	return roots, leaves
}
