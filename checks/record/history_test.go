package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/record"
)

var noon = time.Date(2026, 12, 6, 12, 0, 0, 0, time.UTC)

func withRuns(runs ...checks.RunSummary) checks.Env {
	return checks.Env{Now: func() time.Time { return noon }, Runs: func(string) ([]checks.RunSummary, error) { return runs, nil }}
}

func minutes(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// TestRecoveryIsReadFromTheRun: nobody types how long it took.
func TestRecoveryIsReadFromTheRun(t *testing.T) {
	drill := func(restoreMinutes, doneAfter int, newest time.Duration) checks.RunSummary {
		restore := checks.ItemSummary{ID: "restore", Module: "pg.restore_test", State: "passed", Started: noon, Ended: minutes(restoreMinutes)}
		if newest > 0 {
			restore.Measures = []checks.Measure{{Fact: fact.Dur("newest_row_age", newest)}}
		}
		return checks.RunSummary{ID: "drill", Opened: noon, Items: []checks.ItemSummary{
			{ID: "backup", Module: "backup.create", State: "passed", Started: minutes(-90), Ended: minutes(-60)}, restore,
			{ID: "login", State: "passed", Started: minutes(restoreMinutes), Ended: minutes(doneAfter)},
			{ID: "late", State: "skipped", Started: minutes(900), Ended: minutes(900)},
		}}
	}
	for _, c := range []struct {
		name  string
		run   checks.RunSummary
		level checks.Level
		says  string
	}{
		{"quick", drill(20, 30, time.Hour), checks.OK, "recovered in 30 m, newest row 1 h old"},
		{"four fifths", drill(20, 200, 0), checks.Warn, "recovered in 3 h 20 m"},
		{"too long", drill(20, 300, 0), checks.Crit, ""},
		{"too much lost", drill(20, 30, 30*time.Hour), checks.Crit, ""},
		{"no restore", checks.RunSummary{ID: "none"}, checks.Unknown, "no run"},
	} {
		res := checktest.Run(t, withRuns(c.run), record.Recovery, map[string]any{"section": "dr"})
		if res.Level != c.level || !strings.Contains(res.Note+res.Err, c.says) {
			t.Errorf("%s: %v %q %q", c.name, res.Level, res.Note, res.Err)
		}
	}
	if res := checktest.Run(t, checks.Env{}, record.Recovery, map[string]any{"section": "dr"}); res.Level != checks.Unknown {
		t.Errorf("without a record: %v", res.Level)
	}
}

func bench(day int, p95, rate float64) checks.RunSummary {
	return checks.RunSummary{ID: "bench", Opened: noon.AddDate(0, 0, day), Items: []checks.ItemSummary{{ID: "load", Measures: []checks.Measure{
		{Fact: fact.Dur("p95", time.Duration(p95)*time.Millisecond), Worse: fact.Higher}, {Fact: fact.Number("rate", rate), Worse: fact.Lower}, {Fact: fact.Number("users", 100)},
	}}}}
}

func TestTheNewestRunIsComparedWithTheMedianOfFour(t *testing.T) {
	before := []checks.RunSummary{bench(-400, 900, 10), bench(-300, 100, 500), bench(-200, 110, 500), bench(-100, 90, 500), bench(-50, 100, 500)}
	for _, c := range []struct {
		name  string
		now   checks.RunSummary
		level checks.Level
		worse float64
	}{
		{"as before", bench(0, 105, 490), checks.OK, 0},
		{"slower", bench(0, 130, 500), checks.Warn, 1},
		{"slower and fewer", bench(0, 300, 300), checks.Warn, 2},
		{"better", bench(0, 10, 5000), checks.OK, 0},
	} {
		// the order of the record does not matter
		res := checktest.Run(t, withRuns(append([]checks.RunSummary{c.now}, before...)...), record.Diff, map[string]any{"section": "benchmark"})
		if f, _ := res.Fact("worse", ""); res.Level != c.level || f.Num != c.worse {
			t.Errorf("%s: %v, %v worse: %s %v", c.name, res.Level, f.Num, res.Note, res.Detail)
		}
	}
	for name, env := range map[string]checks.Env{"one run": withRuns(bench(0, 1, 1)), "nothing in common": withRuns(checks.RunSummary{Opened: noon}, bench(1, 1, 1))} {
		if res := checktest.Run(t, env, record.Diff, map[string]any{"section": "benchmark"}); res.Level != checks.Unknown || res.Class != checks.NoData {
			t.Errorf("%s: %v %s", name, res.Level, res.Class)
		}
	}
}

func TestRunbooksInShape(t *testing.T) {
	failed := checks.RunSummary{Section: "daily", Opened: noon, Items: []checks.ItemSummary{{ID: "disk", State: "failed"}, {ID: "cpu", State: "passed"}}}
	overridden := checks.RunSummary{Section: "daily", Opened: noon, Items: []checks.ItemSummary{{ID: "disk", State: "failed", Overridden: true}}}
	old := failed
	old.Opened = noon.AddDate(-1, 0, 0)
	good := checks.RunbookSummary{ID: "daily", File: "daily.md", ReviewBy: noon.AddDate(1, 0, 0)}
	for _, c := range []struct {
		name  string
		shelf []checks.RunbookSummary
		runs  []checks.RunSummary
		level checks.Level
		says  string
	}{
		{"in shape", []checks.RunbookSummary{good}, []checks.RunSummary{failed, overridden, old, old}, checks.OK, ""},
		{"again and again", []checks.RunbookSummary{good}, []checks.RunSummary{failed, overridden, failed}, checks.Warn, "daily/disk failed or was overridden 3 times"},
		{"overdue", []checks.RunbookSummary{{File: "x.md", ReviewBy: noon.AddDate(0, 0, -1)}}, nil, checks.Warn, "x.md was to be reviewed by 2026-12-05"},
		{"broken", []checks.RunbookSummary{{File: "x.md", Errors: 2}}, nil, checks.Crit, "x.md: 2 errors"},
	} {
		env := withRuns(c.runs...)
		env.Runbooks = func() ([]checks.RunbookSummary, error) { return c.shelf, nil }
		res := checktest.Run(t, env, record.Health, nil)
		if res.Level != c.level || !strings.Contains(strings.Join(res.Detail, "\n"), c.says) {
			t.Errorf("%s: %v %s %v", c.name, res.Level, res.Note, res.Detail)
		}
	}
	env := withRuns()
	env.Runbooks = func() ([]checks.RunbookSummary, error) { return nil, errors.New("unreadable") }
	if res := checktest.Run(t, env, record.Health, nil); res.Level != checks.Unknown {
		t.Errorf("unreadable: %v", res.Level)
	}
	if res := checktest.Run(t, checks.Env{}, record.Health, nil); res.Level != checks.Unknown {
		t.Errorf("without a shelf: %v", res.Level)
	}
}
