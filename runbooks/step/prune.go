package step

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Prune removes the folders of steps that ended longer ago than keep. What has
// no result is kept: nobody knows yet what came of it.
func Prune(root string, keep time.Duration, now time.Time) error {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for old steps: %w", err)
	}
	var errs []error
	for _, e := range entries {
		f, err := Find(root, e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		if s := f.Look(); s.State != Finished || now.Sub(s.Outcome.Ended) < keep {
			continue
		}
		errs = append(errs, os.RemoveAll(f.Path))
	}
	return errors.Join(errs...)
}
