package cli_test

import (
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/library"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

func shelf(t *testing.T) markdown.Shelf {
	t.Helper()
	registry, err := checks.NewRegistry(families()...)
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

// TestTheWindowCoversTheGuideInTheRightOrder holds the window to rows 228 to
// 244, and to the order that the guide has wrong: the site is closed before the
// last backup, and tested before it is opened.
func TestTheWindowCoversTheGuideInTheRightOrder(t *testing.T) {
	book, window, err := shelf(t).Section("window")
	if err != nil {
		t.Fatal(err)
	}
	covered, at := map[int]bool{}, map[string]int{}
	for i, it := range window.Items {
		at[it.ID] = i
		for _, row := range it.Guide {
			covered[row] = true
		}
	}
	for row := 228; row <= 244; row++ {
		if !covered[row] {
			t.Errorf("row %d is not covered", row)
		}
	}
	for _, pair := range [][2]string{{"notice", "maint-on"}, {"maint-on", "final-backup"}, {"final-backup", "updates"}, {"final-backup", "compact"}, {"compact", "reindex"}, {"smoke-api", "go"}, {"go", "maint-off"}, {"maint-off", "watch"}, {"maint-off", "notify-done"}} {
		if at[pair[0]] >= at[pair[1]] {
			t.Errorf("%s does not come before %s", pair[0], pair[1])
		}
	}
	if book.Window == nil || !window.InWindow() || !slices.Equal(window.Abort, []string{"maint-off", "put-back", "notify-abort"}) || window.Mode != runbooks.ReadDo {
		t.Errorf("%+v", window)
	}
	for _, it := range window.Items {
		gated := slices.ContainsFunc(it.Needs, func(n runbooks.Need) bool { return n.Item == "final-backup" && n.MaxAge == 2*time.Hour })
		if it.Danger == 3 && !gated {
			t.Errorf("%s has danger 3 and does not need a backup of the last two hours", it.ID)
		}
	}
}
