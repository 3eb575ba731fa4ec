package library_test

import (
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/backup"
	"github.com/advanced-lms/opsdeck/checks/docker"
	"github.com/advanced-lms/opsdeck/checks/logs"
	"github.com/advanced-lms/opsdeck/checks/postgres"
	"github.com/advanced-lms/opsdeck/checks/prometheus"
	"github.com/advanced-lms/opsdeck/checks/system"
	"github.com/advanced-lms/opsdeck/checks/web"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/library"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

func shelf(t *testing.T) markdown.Shelf {
	t.Helper()
	registry, err := checks.NewRegistry(
		system.Family(), web.Family(), docker.Family(), postgres.Family(), prometheus.Family(), logs.Family(), backup.Family(),
	)
	if err != nil {
		t.Fatal(err)
	}
	o := markdown.Options{Registry: registry, Now: time.Date(2026, 11, 23, 3, 7, 0, 0, time.UTC)}
	return markdown.Load(o, markdown.Layer{Name: library.Layer, FS: library.FS})
}

func TestEveryShippedRunbookLintsClean(t *testing.T) {
	s := shelf(t)
	for _, l := range append(s.Runbooks, s.Broken...) {
		for _, d := range l.Diagnostics {
			t.Error(d)
		}
	}
	files, err := fs.Glob(library.FS, "*.md")
	if err != nil || len(files) != len(s.Runbooks) || len(s.Problems) > 0 {
		t.Errorf("%d files, %d usable runbooks, problems %v (%v)", len(files), len(s.Runbooks), s.Problems, err)
	}
}

// TestTheDailyRoundCoversTheGuideInItsOrder holds the daily section to rows 2
// to 36: none is missing, none is out of order, and only row 20, which no
// command can answer, is a person's.
func TestTheDailyRoundCoversTheGuideInItsOrder(t *testing.T) {
	_, daily, err := shelf(t).Section("daily")
	if err != nil {
		t.Fatal(err)
	}
	var rows []int
	for _, it := range daily.Items {
		rows = append(rows, it.Guide...)
		if human := it.Kind == runbooks.Confirm; human != slices.Contains(it.Guide, 20) || !human && it.Kind != runbooks.Check {
			t.Errorf("%s is a %s", it.ID, it.Kind)
		}
	}
	if !slices.IsSorted(rows) {
		t.Errorf("the rows are out of order: %v", rows)
	}
	for row := 2; row <= 36; row++ {
		if !slices.Contains(rows, row) {
			t.Errorf("row %d is not covered", row)
		}
	}
}

func TestShippedItemsExplainThemselvesAndUseNoSiteVariables(t *testing.T) {
	for _, l := range shelf(t).Runbooks {
		for _, s := range l.Sections {
			for _, it := range s.Items {
				if it.Note == "" {
					t.Errorf("%s/%s says nothing to a reader", l.ID, it.ID)
				}
				if vars := runbooks.Variables(it.With); len(vars) > 0 {
					t.Errorf("%s/%s uses the variables %v", l.ID, it.ID, vars)
				}
			}
		}
	}
}
