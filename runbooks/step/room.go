package step

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

const (
	// resultRoom is taken on the disk before the deed begins, so that the
	// result of what was done can be written whatever fills the disk meanwhile.
	resultRoom = 256 << 10

	// maxEntries bounds how many entries of a step's folder are looked at.
	maxEntries = 1000
)

// reserve takes room for the result. A deed for which there is none does not
// begin. The caller holds the lock: room that is there already was left by a
// process that was killed before its deed began.
func (p *process) reserve() error {
	if err := p.FreeRoom(); err != nil {
		return err
	}
	result, err := hostfs.Reserve(p.path(resultFile), resultRoom)
	if err != nil {
		return fmt.Errorf("reserving room for the result: %w", err)
	}
	p.result = result
	return nil
}

// withoutResult gives the room for the result back, because of an error: no
// result will be left.
func (p *process) withoutResult(err error) error {
	if discardErr := p.result.Discard(); discardErr != nil {
		return errors.Join(err, fmt.Errorf("giving back the room for the result: %w", discardErr))
	}
	return err
}

// FreeRoom removes the room that was taken for a result and was never used,
// because the step was killed. It is for a step that is gone, or for a caller
// that keeps steps from beginning. A folder that is not there is not an error.
func (f Folder) FreeRoom() error {
	dir, err := hostfs.OpenDir(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("freeing the room of a result: %w", err)
	}
	if err := errors.Join(dir.RemoveUnfinished(resultFile, maxEntries), dir.Close()); err != nil {
		return fmt.Errorf("freeing the room of a result: %w", err)
	}
	return nil
}
