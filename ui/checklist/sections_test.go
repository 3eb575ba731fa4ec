package checklist

import (
	"slices"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks/schedule"
)

// TestWhatIsOverdueStandsFirstInItsCadence: below the fold of a small screen
// nobody sees it.
func TestWhatIsOverdueStandsFirstInItsCadence(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) // a Tuesday
	sunday, err := schedule.ParseDue(schedule.Weekly, "sun 12:00")
	if err != nil {
		t.Fatal(err)
	}
	weekly := schedule.Plan{Cadence: schedule.Weekly}
	late := schedule.Plan{Cadence: schedule.Weekly, Due: sunday, Grace: time.Hour}
	var s sections
	s.init()
	s.set([]SectionInfo{
		{ID: "m/m", Runbook: "m", Title: "Month", Plan: schedule.Plan{Cadence: schedule.Monthly}},
		{ID: "w/done", Runbook: "w", Title: "Done", Plan: weekly, Last: now.Add(-time.Hour)},
		{ID: "w/never", Runbook: "w", Title: "Never", Plan: weekly},
		{ID: "w/late", Runbook: "w", Plan: late, Last: now.AddDate(0, 0, -20)},
		{ID: "d/d", Runbook: "d", Title: "Day", Plan: schedule.Plan{Cadence: schedule.Daily}},
		{ID: "x/broken", Runbook: "x", Title: "x.md", Problem: "no"},
		{ID: "q/begun", Runbook: "q", Title: "Begun", Plan: schedule.Plan{Cadence: schedule.Quarterly}, Unfinished: &Unfinished{Run: "r", Last: now}},
	}, nil, now)
	var order []string
	for _, i := range s.list {
		order = append(order, i.name())
	}
	if want := []string{"Begun", "Day", "w", "Never", "Done", "Month", "x.md"}; !slices.Equal(order, want) {
		t.Errorf("the list is %q, want %q", order, want)
	}
	if row, _ := s.Selected(); row.ID != "q/begun" {
		t.Errorf("the cursor is on %q", row.ID)
	}
}
