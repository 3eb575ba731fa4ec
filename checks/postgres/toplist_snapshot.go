package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// Columns follow the extension's version. NaN is what it does not count.
var spendingColumns = byVersion{
	{111, `plans::float8, calls::float8, total_exec_time, mean_exec_time, stddev_exec_time, rows::float8, shared_blks_hit::float8, shared_blks_read::float8,
       shared_blks_written::float8, (temp_blks_read + temp_blks_written)::float8, wal_bytes::float8,
       shared_blk_read_time + shared_blk_write_time + local_blk_read_time + local_blk_write_time + temp_blk_read_time + temp_blk_write_time, toplevel`},
	{110, `plans::float8, calls::float8, total_exec_time, mean_exec_time, stddev_exec_time, rows::float8, shared_blks_hit::float8, shared_blks_read::float8,
       shared_blks_written::float8, (temp_blks_read + temp_blks_written)::float8, wal_bytes::float8,
       blk_read_time + blk_write_time + temp_blk_read_time + temp_blk_write_time, toplevel`},
	{109, `plans::float8, calls::float8, total_exec_time, mean_exec_time, stddev_exec_time, rows::float8, shared_blks_hit::float8, shared_blks_read::float8,
       shared_blks_written::float8, (temp_blks_read + temp_blks_written)::float8, wal_bytes::float8, blk_read_time + blk_write_time, toplevel`},
	{108, `plans::float8, calls::float8, total_exec_time, mean_exec_time, stddev_exec_time, rows::float8, shared_blks_hit::float8, shared_blks_read::float8,
       shared_blks_written::float8, (temp_blks_read + temp_blks_written)::float8, wal_bytes::float8, blk_read_time + blk_write_time, true`},
	{0, `'NaN'::float8, calls::float8, total_time, mean_time, stddev_time, rows::float8, shared_blks_hit::float8, shared_blks_read::float8,
       shared_blks_written::float8, (temp_blks_read + temp_blks_written)::float8, 'NaN'::float8, blk_read_time + blk_write_time, true`},
}

// spendingKey is what makes an entry of pg_stat_statements one.
type spendingKey struct {
	User, Database uint32
	ID             int64
	Top            bool
}

// counts are what one entry counted. Times are milliseconds, blocks are blocks.
type counts struct {
	Plans, Calls, Total, Mean, Stddev, Rows, Hit, Read, Written, Temp, WAL, IO float64
}

// spending is one look at all entries of the server.
type spending struct {
	resetInfo
	max       float64 // NaN: not known
	blockSize float64
	entries   map[spendingKey]counts
}

type spendingRow struct {
	User, Database uint32
	ID             int64
	counts
	Top bool
}

type spendingSettings struct{ Block, Max float64 }

const spendingSettingsSQL = `
SELECT current_setting('block_size')::float8, coalesce(nullif(current_setting('pg_stat_statements.max', true), ''), 'NaN')::float8`

// spending reads the counters without their texts. Entries without a number
// are what a role without pg_read_all_stats sees of others.
func (s *Server) spending(ctx context.Context) (ext extension, now spending, err error) {
	err = s.readOnly(ctx, "pg.statements", func(ctx context.Context, r *reading) error {
		if err := s.needOthers(); err != nil {
			return err
		}
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
		settings, err := row[spendingSettings](ctx, r, spendingSettingsSQL)
		if err != nil {
			return err
		}
		now.blockSize, now.max = settings.Block, settings.Max
		found, err := rows[spendingRow](ctx, r, "SELECT userid, dbid, queryid, "+spendingColumns.at(ext.number())+
			" FROM "+ext.Schema+".pg_stat_statements(false) WHERE queryid IS NOT NULL")
		now.entries = make(map[spendingKey]counts, len(found))
		for _, x := range found {
			now.entries[spendingKey{x.User, x.Database, x.ID, x.Top}] = x.counts
		}
		return err
	})
	if hasCode(err, objectNotInState) {
		err = checks.Failed(checks.Missing, "pg_stat_statements is installed but not loaded: "+
			"add it to shared_preload_libraries and restart the server: %w", err)
	}
	return ext, now, err
}

// spendings are a Server's snapshots, by window, and the texts it has read.
// The zero value is ready.
type spendings struct {
	mu    sync.Mutex
	kept  map[time.Duration]spendingPair
	texts map[spendingKey]statementText
}

// spendingPair is what is compared with, and what will be.
type spendingPair struct{ base, next spending }

// compare gives the snapshot to compare with and keeps now if it is time to.
// before: there was one; known: it can be compared with.
func (k *spendings) compare(now spending, window time.Duration) (base spending, before, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[time.Duration]spendingPair{}
	}
	pair, before := k.kept[window]
	known = before && now.follows(pair.next)
	switch {
	case !known:
		k.kept[window] = spendingPair{now, now}
	case now.At.Sub(pair.next.At) >= window:
		k.kept[window] = spendingPair{pair.next, now}
	}
	return pair.base, before, known
}

// follows reports whether the counters went on from those of an earlier
// snapshot. Before 1.9 the extension does not say when it was reset: then most
// of what was known has gone or counts less.
func (n spending) follows(last spending) bool {
	if !n.At.After(last.At) || (n.Reset == nil) != (last.Reset == nil) {
		return false
	}
	if n.Reset != nil {
		return n.Reset.Equal(*last.Reset)
	}
	lost := 0
	for key, then := range last.entries {
		if now, ok := n.entries[key]; !ok || now.Calls < then.Calls {
			lost++
		}
	}
	return 2*lost <= len(last.entries)
}
