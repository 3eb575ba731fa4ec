package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func history(t *testing.T, dir string) *History {
	t.Helper()
	h, err := OpenHistory(t.Context(), dir, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func record(h *History, label string, value float64) {
	h.Record("pg.dbsize", "size", label, checks.Sample{At: time.Now().Truncate(time.Second), Value: value})
}

func kept(h *History, label string) []float64 {
	return values(h.Series("pg.dbsize", "size", label, time.Now().Add(-time.Hour)))
}

// TestADamagedHistoryIsPutAsideAndTheNextSamplesAreKept: nothing in it is
// evidence, and a file that cannot be read must not keep it from going on.
func TestADamagedHistoryIsPutAsideAndTheNextSamplesAreKept(t *testing.T) {
	for name, content := range map[string]string{
		"not a database": strings.Repeat("not a database ", 1000),
		"a torn one":     "SQLite format 3\x00" + strings.Repeat("\xff", 8000),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, filepath.Join(dir, "history.db"), content)
			h := history(t, dir)
			if err := h.Err(); err != nil {
				t.Fatal(err)
			}
			record(h, "lms", 1)
			if err := h.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			equal(t, kept(history(t, dir), "lms"), []float64{1})
			aside, err := filepath.Glob(filepath.Join(dir, "history.db.damaged-*Z"))
			if err != nil || len(aside) != 1 {
				t.Fatalf("put aside are %v, %v", aside, err)
			}
			if raw, err := os.ReadFile(aside[0]); err != nil || string(raw) != content {
				t.Errorf("what was put aside is not what was there: %v", err)
			}
		})
	}
}

// TestAHistoryThatCouldNotBeOpenedIsTriedAgain: on a full disk samples wait in
// memory, and with room again the same process writes them.
func TestAHistoryThatCouldNotBeOpenedIsTriedAgain(t *testing.T) {
	dir := smallDisk(t)
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	h := history(t, dir)
	if h.Err() == nil {
		t.Error("it is not said that it cannot be opened")
	}
	record(h, "lms", 1)
	if err := h.Flush(t.Context()); err == nil {
		t.Error("a full disk took it")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := h.Flush(t.Context()); err != nil || h.Err() != nil {
		t.Fatalf("with room again: %v, %v", err, h.Err())
	}
	equal(t, kept(history(t, dir), "lms"), []float64{1})
}

// TestAHistoryThatFailedWhileItWasWrittenIsOpenedAgain: the disk became full
// under the open database.
func TestAHistoryThatFailedWhileItWasWrittenIsOpenedAgain(t *testing.T) {
	dir := smallDisk(t)
	h := history(t, dir)
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	for i := range 2000 { // more than the room that SQLite has beside its file
		record(h, strings.Repeat("x", 500)+time.Duration(i).String(), 1)
	}
	if err := h.Flush(t.Context()); err == nil || h.Err() == nil {
		t.Fatalf("a full disk took it: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h.pending = h.pending[:10] // what fits
	if err := h.Flush(t.Context()); err != nil || h.Err() != nil {
		t.Fatalf("with room again: %v, %v", err, h.Err())
	}
}
