package step_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks/step"
)

func TestOldStepsAreRemovedAndUnknownOnesKept(t *testing.T) {
	t.Parallel()
	done := folder(t, "ok")
	start(t, done)
	s := ended(t, done)
	root := filepath.Dir(done.Path)
	waiting, err := step.New(root, step.Intent{Token: "t", Module: "ok", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		now  time.Time
		kept bool
	}{{s.Outcome.Ended.Add(time.Hour), true}, {s.Outcome.Ended.Add(3 * time.Hour), false}} {
		if err := step.Prune(root, 2*time.Hour, at.now); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(done.Path); (err == nil) != at.kept {
			t.Errorf("at %v: %v", at.now, err)
		}
	}
	if _, err := os.Stat(waiting.Path); err != nil {
		t.Errorf("a step of which nothing is known was removed: %v", err)
	}
	if err := step.Prune(filepath.Join(root, "nowhere"), 0, time.Now()); err != nil {
		t.Error(err)
	}
}
