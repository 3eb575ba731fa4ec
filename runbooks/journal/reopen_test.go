package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestEventsThatWereRolledBackAreMissedEachTime: the volume is put back to an
// older state, in which the database and its witness agree.
func TestEventsThatWereRolledBackAreMissedEachTime(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	appendNotes(t, j, 2)
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	appendNotes(t, j, 2)
	acknowledged, err := j.Head()
	if err != nil {
		t.Fatal(err)
	}
	latch(j)
	rollBack(t, dir, older)
	for attempt := 1; attempt <= 3; attempt++ {
		if err := j.Reopen(); err == nil || j.Err() == nil {
			t.Fatalf("attempt %d: two acknowledged events are missing, and it is recorded again", attempt)
		}
	}
	if _, err := j.Append(note("x")); err == nil {
		t.Error("an event was recorded behind the gap")
	}
	if j.head != acknowledged {
		t.Errorf("the head is %v, acknowledged was %v", j.head, acknowledged)
	}
}

// latch closes the database as its failure would, and keeps what is to be read.
func latch(j *Journal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = errors.New("input/output error")
	j.undrive() //nolint:errcheck // it is replaced
}

// rollBack replaces the record's files by older ones.
func rollBack(t *testing.T, dir, older string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "journal.db-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		os.Remove(name)
	}
	for _, name := range []string{"journal.db", "head"} {
		raw, err := os.ReadFile(filepath.Join(older, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
