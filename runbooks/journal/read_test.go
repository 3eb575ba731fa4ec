package journal_test

import (
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/journal/journaltest"
)

// long is a journal of n events, and one that writes it with one more.
func long(t *testing.T, n int) *journal.Journal {
	t.Helper()
	dir := t.TempDir()
	if err := journaltest.Fill(dir, "site", 1, n-1); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(dir, journal.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	note(t, j)
	return j
}

// numbers are those of the events behind one.
func numbers(t *testing.T, j *journal.Journal, seq uint64) []uint64 {
	t.Helper()
	var found []uint64
	for e, err := range j.After(seq) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, e.Seq)
	}
	return found
}

// TestTheJournalIsReadFromAnyEventOn by the process that writes it, a chunk at
// a time, and by one that reads a copy.
func TestTheJournalIsReadFromAnyEventOn(t *testing.T) {
	const n = 1520
	writer := long(t, n)
	reader, err := journal.Open(writer.Dir(), journal.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	for name, j := range map[string]*journal.Journal{"writer": writer, "reader": reader} {
		for _, after := range []uint64{0, 1, 499, 500, 501, 1000, n - 1, n} {
			got := numbers(t, j, after)
			if len(got) != n-int(after) || len(got) > 0 && (got[0] != after+1 || got[len(got)-1] != n) {
				t.Errorf("the %s reads %d events after %d", name, len(got), after)
			}
		}
	}
	if err := writer.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestWhoReadsMayAppend: what is appended meanwhile is not read, and a walk
// that is left early holds nothing.
func TestWhoReadsMayAppend(t *testing.T) {
	const n = 1100
	j := long(t, n)
	read := 0
	for _, err := range j.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if read++; read%200 == 1 {
			note(t, j)
		}
	}
	if read != n {
		t.Errorf("read %d events, %d were there when the walk began", read, n)
	}
	for range j.Events() {
		break
	}
	if err := j.Release(); err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, j, 0); len(got) != n+6 {
		t.Errorf("%d events at the end", len(got))
	}
}

func note(t *testing.T, j *journal.Journal) {
	t.Helper()
	e, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "ada"}, "long-00000", "", 0, runbooks.Noted{Text: "still here"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(e); err != nil {
		t.Fatal(err)
	}
}
