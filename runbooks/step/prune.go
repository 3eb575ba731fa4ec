package step

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Prune removes the folders of steps that ended longer ago than keep. What has
// no result is kept, since what came of it may not be known yet; only the room
// that was taken for a result which will not be written any more is freed.
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
		switch s := f.Look(); {
		case s.State == Finished && now.Sub(s.Outcome.Ended) >= keep:
			errs = append(errs, os.RemoveAll(f.Path))
		case s.State == Gone || s.State == NotStarted && f.isBuried():
			errs = append(errs, f.FreeRoom())
		}
	}
	return errors.Join(errs...)
}

func (f Folder) isBuried() bool {
	_, err := os.Lstat(f.path(buriedFile))
	return err == nil
}
