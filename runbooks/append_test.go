package runbooks_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/journal/journaltest"
)

// BenchmarkAppend records notes in a run of 1,000 events and in one of 50,000,
// each durable in a journal of its own, and reports what the second costs of
// the first: "ratio" is to stay below 1.5.
func BenchmarkAppend(b *testing.B) {
	few, many := goingOn(b, 1000), goingOn(b, 50_000)
	defer few.Close()  //nolint:errcheck // the benchmark is over
	defer many.Close() //nolint:errcheck // the benchmark is over
	var took [2]time.Duration
	n := 0
	for b.Loop() {
		for i, l := range []*runbooks.Local{few, many} { // in turns, so that both meet the same disk
			began := time.Now()
			if err := l.Note("", fmt.Sprint("note ", n)); err != nil {
				b.Fatal(err)
			}
			took[i] += time.Since(began)
		}
		n++
	}
	b.ReportMetric(float64(took[0].Microseconds())/float64(n), "µs/append-at-1000")
	b.ReportMetric(float64(took[1].Microseconds())/float64(n), "µs/append-at-50000")
	b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
}

// goingOn is a session of a run that has so many events.
func goingOn(b *testing.B, events int) *runbooks.Local {
	b.Helper()
	dir := b.TempDir()
	if err := journaltest.Fill(dir, "lms", 1, events); err != nil {
		b.Fatal(err)
	}
	j, err := journal.Open(dir, journal.Holder{User: "test"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { j.Release() })
	source := journaltest.Book()
	l, err := runbooks.Drive(b.Context(), runbooks.Options{
		Journal: j, Runner: &bench{}, Name: "lms", Section: journaltest.Section, Actor: ada, Version: "test",
		Runbook: runbooks.Runbook{
			ID: "long", Path: journaltest.Path, Source: source, Hash: sha256.Sum256(source),
			Sections: []runbooks.Section{{ID: journaltest.Section, Items: []runbooks.Item{{ID: "long/look", Kind: runbooks.Manual}}}},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Note("", "the first"); err != nil { // it resumes the run
		b.Fatal(err)
	}
	if l.Run().ID != "long-00000" {
		b.Fatalf("it drives %s", l.Run().ID)
	}
	return l
}
