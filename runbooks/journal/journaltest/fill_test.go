package journaltest_test

import (
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/journal/journaltest"
)

func TestALongJournalIsIntactAndLawful(t *testing.T) {
	dir := t.TempDir()
	if err := journaltest.Fill(dir, "site", 7, 1000); err != nil {
		t.Fatal(err)
	}
	if report := journal.Verify(dir, nil); report.Status != journal.Intact || report.Events != 1000 {
		t.Fatalf("%s: %s", report.Status, report.Problem)
	}
	j, err := journal.Open(dir, journal.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	runs, err := runbooks.FoldAll(j.Events())
	if err != nil || len(runs) != 7 {
		t.Fatalf("%d runs: %v", len(runs), err)
	}
	if runs[0].State != runbooks.Aborted || runs[6].State != runbooks.Open {
		t.Errorf("the first is %s, the last %s", runs[0].State, runs[6].State)
	}
}
