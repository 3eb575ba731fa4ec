package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

type ioKey struct{ Backend, Object, Context string }

// ioCounters count operations of one kind of process; NaN is what it never
// does. Times are milliseconds, 0 while track_io_timing is off.
type ioCounters struct {
	Reads, Writes, Extends, Hits, Evictions, Fsyncs, ReadTime, WriteTime float64
}

type ioRow struct {
	ioKey
	ioCounters
}

// ioSQL: before 16 there is only what the background writer's view has of
// whom. Reads are in pg_stat_database then.
var ioSQL = byVersion{
	{160000, `SELECT backend_type, object, context, coalesce(reads::float8, 'NaN'), coalesce(writes::float8, 'NaN'), coalesce(extends::float8, 'NaN'), coalesce(hits::float8, 'NaN'),
       coalesce(evictions::float8, 'NaN'), coalesce(fsyncs::float8, 'NaN'), coalesce(read_time, 'NaN'), coalesce(write_time, 'NaN') FROM pg_stat_io`},
	{0, `SELECT 'checkpointer', 'relation', 'normal', 'NaN'::float8, buffers_checkpoint::float8, 'NaN'::float8, 'NaN'::float8, 'NaN'::float8, 'NaN'::float8, 'NaN'::float8, checkpoint_write_time FROM pg_stat_bgwriter
UNION ALL SELECT 'background writer', 'relation', 'normal', 'NaN', buffers_clean, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN' FROM pg_stat_bgwriter
UNION ALL SELECT 'other processes', 'relation', 'normal', 'NaN', buffers_backend, 'NaN', 'NaN', 'NaN', buffers_backend_fsync, 'NaN', 'NaN' FROM pg_stat_bgwriter
UNION ALL SELECT 'all processes', 'relation', 'normal', blks_read, 'NaN', 'NaN', blks_hit, 'NaN', 'NaN', blk_read_time, blk_write_time
          FROM (SELECT sum(blks_read)::float8 AS blks_read, sum(blks_hit)::float8 AS blks_hit, sum(blk_read_time) AS blk_read_time, sum(blk_write_time) AS blk_write_time FROM pg_stat_database) d`},
}

func (s *Server) ioCounters(ctx context.Context, missing *partial) (map[ioKey]ioCounters, error) {
	settings, _ := s.Settings()
	found, why, err := part[ioRow](ctx, s, "pg.checkpoints io", ioSQL.at(settings.Version))
	missing.miss("I/O by process", why)
	counted := map[ioKey]ioCounters{}
	for _, x := range found {
		counted[x.ioKey] = x.ioCounters
	}
	return counted, err
}

// less is what was done between two looks. A counter that went back was reset
// by itself (pg_stat_reset_shared('io')) and counts from then.
func (c ioCounters) less(then ioCounters) ioCounters {
	up := func(now, before float64) float64 {
		if math.IsNaN(before) || now < before {
			return now
		}
		return now - before
	}
	return ioCounters{
		up(c.Reads, then.Reads), up(c.Writes, then.Writes), up(c.Extends, then.Extends), up(c.Hits, then.Hits), up(c.Evictions, then.Evictions),
		up(c.Fsyncs, then.Fsyncs), up(c.ReadTime, then.ReadTime), up(c.WriteTime, then.WriteTime),
	}
}

// operations is all that was done, hits in shared buffers left out.
func (c ioCounters) operations() float64 {
	n := 0.0
	for _, x := range []float64{c.Reads, c.Writes, c.Extends, c.Evictions, c.Fsyncs} {
		if !math.IsNaN(x) {
			n += x
		}
	}
	return n
}

// ioTable lists who read and wrote since the base, those who did most first;
// who did nothing is left out.
func (w writeLook) ioTable(base writeLook, known bool) checks.Table {
	t := checks.Table{Name: "io", Columns: []checks.Column{{Name: "backend", Type: fact.Text}, {Name: "object", Type: fact.Text}, {Name: "context", Type: fact.Text}}}
	for _, name := range []string{"reads", "writes", "extends", "hits", "evictions", "fsyncs"} {
		t.Columns = append(t.Columns, checks.Column{Name: name, Type: fact.Count})
	}
	t.Columns = append(t.Columns, checks.Column{Name: "read_time", Type: fact.Duration}, checks.Column{Name: "write_time", Type: fact.Duration})
	var all []ioRow
	for key, c := range w.io {
		if known {
			c = c.less(base.io[key])
		}
		if c.operations() > 0 || c.Hits > 0 {
			all = append(all, ioRow{key, c})
		}
	}
	slices.SortFunc(all, func(a, b ioRow) int {
		return cmp.Or(cmp.Compare(b.operations(), a.operations()), cmp.Compare(a.Backend, b.Backend), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Context, b.Context))
	})
	for _, x := range all {
		cells := []fact.Value{word(x.Backend), word(x.Object), word(x.Context)}
		for _, n := range []float64{x.Reads, x.Writes, x.Extends, x.Hits, x.Evictions, x.Fsyncs} {
			cells = append(cells, fact.NumberValue(n))
		}
		t.Rows = append(t.Rows, append(cells, timeCell(x.ReadTime), timeCell(x.WriteTime)))
	}
	return t
}

// timeCell is a time in milliseconds; NaN is not known.
func timeCell(n float64) fact.Value { return fact.Value{Type: fact.Duration, Num: n} }
