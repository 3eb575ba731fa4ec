package cli

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks/site"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// TestAProcessThatWritesTheJournalReadsItThroughTheSameDatabase: what a check
// asks of the runs is read in the supervisor, which writes them.
func TestAProcessThatWritesTheJournalReadsItThroughTheSameDatabase(t *testing.T) {
	w := &world{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	writing, err := w.journal()
	if err != nil {
		t.Fatal(err)
	}
	defer writing.Release() //nolint:errcheck // in the test's folder
	e, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "dana"}, "run-1", "", 0, runbooks.Noted{Text: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writing.Append(e); err != nil {
		t.Fatal(err)
	}
	reading, err := w.journal()
	if err != nil || reading != writing {
		t.Errorf("the journal was opened a second time: %v", err)
	}
	if _, held := journal.WhoHolds(w.dir); !held {
		t.Error("the writer lost its lock")
	}
}

// TestAnEventOfNoRunIsLoggedAndNotLookedForAgain: another look at the same record
// finds the same.
func TestAnEventOfNoRunIsLoggedAndNotLookedForAgain(t *testing.T) {
	var log bytes.Buffer
	w := &world{dir: t.TempDir(), site: &site.Site{Name: "lms"}, log: slog.New(slog.NewTextHandler(&log, nil))}
	j, err := w.journal()
	if err != nil {
		t.Fatal(err)
	}
	defer j.Release() //nolint:errcheck // in the test's folder
	e, err := runbooks.NewEvent(time.Now(), runbooks.Actor{Name: "dana"}, "run-1", "", 0, runbooks.Noted{Text: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(e); err != nil {
		t.Fatal(err)
	}
	list, err := new(program).unsettled(w, j)
	if err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if !strings.Contains(log.String(), "run-1: the run was never opened") {
		t.Errorf("the log says %s", &log)
	}
}
