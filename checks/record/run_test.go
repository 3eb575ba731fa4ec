package record_test

import (
	"errors"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/record"
)

func TestConformance(t *testing.T) { checktest.Family(t, record.Family()) }

func TestARunOfAnotherSection(t *testing.T) {
	now := time.Date(2026, 12, 6, 3, 0, 0, 0, time.UTC)
	rehearsal := checks.RunSummary{ID: "r", Opened: now.Add(-50 * time.Hour), State: "completed", Rehearsal: true}
	real := func(state string, ago time.Duration, failed int) checks.RunSummary {
		return checks.RunSummary{ID: "x", Opened: now.Add(-ago), State: state, Failed: failed}
	}
	for _, c := range []struct {
		name string
		runs []checks.RunSummary
		err  error
		want checks.Level
	}{
		{"none is planned", nil, nil, checks.Skipped},
		{"rehearsed only", []checks.RunSummary{rehearsal}, nil, checks.Skipped},
		{"done", []checks.RunSummary{rehearsal, real("completed", time.Hour, 0)}, nil, checks.OK},
		{"never rehearsed", []checks.RunSummary{real("completed", time.Hour, 0)}, nil, checks.Warn},
		{"still open", []checks.RunSummary{rehearsal, real("open", time.Hour, 0)}, nil, checks.Crit},
		{"aborted after a good one", []checks.RunSummary{rehearsal, real("completed", 3*time.Hour, 0), real("aborted", time.Hour, 0)}, nil, checks.Crit},
		{"too long ago", []checks.RunSummary{rehearsal, real("completed", 13*time.Hour, 0)}, nil, checks.Crit},
		{"with failures", []checks.RunSummary{rehearsal, real("completed_with_exceptions", time.Hour, 2)}, nil, checks.Crit},
		{"the record is damaged", nil, errors.New("event 7 does not match its hash"), checks.Unknown},
	} {
		env := checks.Env{Now: func() time.Time { return now }, Runs: func(section string) ([]checks.RunSummary, error) {
			if section != "major-upgrade" {
				t.Errorf("asked for %q", section)
			}
			return c.runs, c.err
		}}
		if res := checktest.Run(t, env, record.Run, map[string]any{"section": "major-upgrade"}); res.Level != c.want {
			t.Errorf("%s: %v, want %v: %s %s", c.name, res.Level, c.want, res.Note, res.Err)
		}
	}
	if res := checktest.Run(t, checks.Env{}, record.Run, map[string]any{"section": "x"}); res.Level != checks.Unknown {
		t.Errorf("without a record: %v", res.Level)
	}
}
