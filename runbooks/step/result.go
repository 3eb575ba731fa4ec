package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

const (
	// resultPatience is how long after its deadline a step goes on trying to
	// write its result to a disk that does not take it.
	resultPatience = 10 * time.Minute

	resultEvery = time.Second
)

// deliver writes the result into the room that was taken for it. One that is
// larger waits until the disk takes it, unless the folder itself is gone, and
// at last is written without what takes room.
func (p *process) deliver(o Outcome) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	giveUp := time.Now()
	if p.in.Deadline.After(giveUp) {
		giveUp = p.in.Deadline
	}
	giveUp = giveUp.Add(resultPatience)
	err = p.result.Commit(raw, 0o600)
	for ; err != nil && time.Now().Before(giveUp); err = p.result.Commit(raw, 0o600) {
		if _, gone := os.Lstat(p.Path); errors.Is(gone, fs.ErrNotExist) {
			break
		}
		time.Sleep(resultEvery)
	}
	if err != nil && len(raw) > resultRoom {
		err = p.deliverShort(o)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", resultFile, err)
	}
	return nil
}

// deliverShort writes the verdict, the facts and the tail of the output, which
// the room is enough for.
func (p *process) deliverShort(o Outcome) error {
	o.Result.Tables, o.Result.Detail = nil, []string{"the disk had no room for all that was found: see the output"}
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return p.result.Commit(raw, 0o600)
}

// usage adds what the step and its children took.
func usage(o *Outcome) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			continue
		}
		o.CPU += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		o.MaxRSS = max(o.MaxRSS, u.Maxrss<<10)
	}
}
