package journal

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

const (
	// sampleEvery is the densest a series is kept: what "usual" and "growth"
	// compare is minutes, not seconds.
	sampleEvery = time.Minute

	// maxPending bounds memory if the file cannot be written for a long time.
	maxPending = 10_000
)

// History keeps numeric facts over time in history.db. It implements
// checks.History and checks.Recorder. Recording only appends to memory; Flush
// writes. The file may be deleted at any time: nothing in it is evidence.
type History struct {
	file historyFile

	mu      sync.Mutex
	pending []pendingSample
	latest  map[string]time.Time
}

type pendingSample struct {
	series string
	sample checks.Sample
}

// OpenHistory opens or makes history.db in the state directory and drops
// samples older than keep. A file that cannot be opened is not an error here:
// Err says why, samples wait in memory, and every Flush tries again. A state
// directory that is not there is one.
func OpenHistory(ctx context.Context, dir string, keep time.Duration) (*History, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, cmp.Or(err, fmt.Errorf("opening the metric history: %s is not a directory", dir))
	}
	h := &History{file: historyFile{dir: dir, keep: keep}, latest: map[string]time.Time{}}
	h.file.use(ctx) //nolint:errcheck // Err says it, and Flush tries again
	return h, nil
}

// Err is why the file cannot be used now; nil while it can.
func (h *History) Err() error { return h.file.err() }

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
	db := h.file.opened()
	if db == nil {
		return nil
	}
	key := seriesKey(check, factName, label)
	rows, err := db.QueryContext(ctx, "SELECT at, value FROM samples WHERE series = ? AND at >= ? ORDER BY at", key, since.UnixMilli())
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
	db := h.file.opened()
	if db == nil {
		return nil
	}
	prefix := seriesKey(check, factName, "")
	found := map[string]bool{}
	for after := prefix; ; {
		var key string
		var newest int64
		err := db.QueryRowContext(ctx, `SELECT series, (SELECT max(at) FROM samples WHERE series = s.series) FROM samples s
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

// Flush writes what was recorded. On failure the samples stay pending, and the
// file is opened again with the next Flush.
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
	db, err := h.file.use(ctx)
	if err != nil {
		return err
	}
	if err := insertSamples(ctx, db, batch); err != nil {
		h.file.fail(err)
		return err
	}
	return nil
}

func insertSamples(ctx context.Context, db *sql.DB, batch []pendingSample) error {
	tx, err := db.BeginTx(ctx, nil)
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
func (h *History) Close() error { return h.file.close() }
