package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver

	"github.com/advanced-lms/opsdeck/checks"
)

const (
	// sampleEvery is the densest a series is kept: what "usual" and "growth"
	// compare is minutes, not seconds.
	sampleEvery = time.Minute

	// maxPending bounds memory if the file cannot be written for a long time.
	maxPending = 10_000

	historySchema = `CREATE TABLE IF NOT EXISTS samples (
		series TEXT NOT NULL, at INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (series, at)) WITHOUT ROWID`
)

// History keeps numeric facts over time in history.db. It implements
// checks.History and checks.Recorder. Recording only appends to memory; Flush
// writes. The file may be deleted at any time: nothing in it is evidence.
type History struct {
	db *sql.DB

	mu      sync.Mutex
	pending []pendingSample
	latest  map[string]time.Time
}

type pendingSample struct {
	series string
	sample checks.Sample
}

// OpenHistory opens or makes history.db in the state directory and drops
// samples older than keep.
func OpenHistory(ctx context.Context, dir string, keep time.Duration) (*History, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "history.db")+
		"?_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return nil, fmt.Errorf("opening the metric history: %w", err)
	}
	db.SetMaxOpenConns(1)
	h := &History{db: db, latest: map[string]time.Time{}}
	if _, err := db.ExecContext(ctx, historySchema); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the metric history: %w", err), db.Close())
	}
	if _, err := db.ExecContext(ctx, "DELETE FROM samples WHERE at < ?", time.Now().Add(-keep).UnixMilli()); err != nil {
		return nil, errors.Join(fmt.Errorf("pruning the metric history: %w", err), db.Close())
	}
	return h, nil
}

func seriesKey(check, factName, label string) string {
	return check + "\x1f" + factName + "\x1f" + label
}

// Record takes a sample; more than one a minute of the same series is dropped.
func (h *History) Record(check, factName, label string, s checks.Sample) {
	key := seriesKey(check, factName, label)
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.At.Sub(h.latest[key]) < sampleEvery || len(h.pending) >= maxPending {
		return
	}
	h.latest[key] = s.At
	h.pending = append(h.pending, pendingSample{key, s})
}

// Series returns the samples of one series since the given time, oldest
// first. A history that cannot be read has none: whatever is derived from it
// is then "not yet", never a wrong number.
func (h *History) Series(check, factName, label string, since time.Time) []checks.Sample {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	key := seriesKey(check, factName, label)
	rows, err := h.db.QueryContext(ctx, "SELECT at, value FROM samples WHERE series = ? AND at >= ? ORDER BY at", key, since.UnixMilli())
	if err != nil {
		return nil
	}
	defer rows.Close()
	var samples []checks.Sample
	for rows.Next() {
		var at int64
		var s checks.Sample
		if rows.Scan(&at, &s.Value) != nil {
			return nil
		}
		s.At = time.UnixMilli(at)
		samples = append(samples, s)
	}
	if rows.Err() != nil {
		return nil
	}
	return append(samples, h.unwritten(key, since)...)
}

// Labels returns the labels of a fact with a sample since the given time,
// sorted. It steps from label to label over the key and reads one sample of
// each, however many there are.
func (h *History) Labels(check, factName string, since time.Time) []string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	prefix := seriesKey(check, factName, "")
	found := map[string]bool{}
	for after := prefix; ; {
		var key string
		var newest int64
		err := h.db.QueryRowContext(ctx, `SELECT series, (SELECT max(at) FROM samples WHERE series = s.series) FROM samples s
			WHERE series >= ? AND series < ? ORDER BY series LIMIT 1`, after, prefix+"\U0010ffff").Scan(&key, &newest)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return nil
		}
		if newest >= since.UnixMilli() {
			found[strings.TrimPrefix(key, prefix)] = true
		}
		after = key + "\x00"
	}
	h.mu.Lock()
	for _, p := range h.pending {
		if label, ok := strings.CutPrefix(p.series, prefix); ok && !p.sample.At.Before(since) {
			found[label] = true
		}
	}
	h.mu.Unlock()
	return slices.Sorted(maps.Keys(found))
}

func (h *History) unwritten(key string, since time.Time) []checks.Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	var samples []checks.Sample
	for _, p := range h.pending {
		if p.series == key && !p.sample.At.Before(since) {
			samples = append(samples, p.sample)
		}
	}
	return samples
}

// Flush writes what was recorded. On failure the samples stay pending.
func (h *History) Flush(ctx context.Context) error {
	h.mu.Lock()
	batch := h.pending
	h.pending = nil
	h.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := h.write(ctx, batch); err != nil {
		h.mu.Lock()
		h.pending = append(batch, h.pending...)
		h.mu.Unlock()
		return fmt.Errorf("writing the metric history: %w", err)
	}
	return nil
}

func (h *History) write(ctx context.Context, batch []pendingSample) error {
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, p := range batch {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO samples VALUES (?, ?, ?)", p.series, p.sample.At.UnixMilli(), p.sample.Value); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// Keep flushes every half minute until ctx ends, and once more then.
func (h *History) Keep(ctx context.Context, complain func(error)) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := h.Flush(context.WithoutCancel(ctx)); err != nil {
				complain(err)
			}
			return
		case <-tick.C:
			if err := h.Flush(ctx); err != nil {
				complain(err)
			}
		}
	}
}

// Close flushes nothing and closes the file.
func (h *History) Close() error { return h.db.Close() }
