package step

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

const (
	// ballast is kept in the folder and given up when the disk is full, so
	// that the result of what was done can be written all the same.
	ballast = 256 << 10

	// resultPatience is how long after its deadline a step goes on trying to
	// write its result to a full disk.
	resultPatience = 10 * time.Minute

	resultEvery = time.Second
)

// reserve takes room for the result.
func (p *process) reserve() error {
	if err := p.place(ballastFile, make([]byte, ballast), false); err != nil {
		return fmt.Errorf("reserving room for the result: %w", err)
	}
	return nil
}

// deliver writes the result. When that fails it gives up the ballast and goes
// on trying, unless the folder itself is gone.
func (p *process) deliver(o Outcome) error {
	giveUp := time.Now()
	if p.in.Deadline.After(giveUp) {
		giveUp = p.in.Deadline
	}
	giveUp = giveUp.Add(resultPatience)
	err := p.write(resultFile, o)
	for released := false; err != nil && time.Now().Before(giveUp); err = p.write(resultFile, o) {
		if _, gone := os.Lstat(p.Path); errors.Is(gone, fs.ErrNotExist) {
			break
		}
		if !released {
			released = remove(p.path(ballastFile)) == nil
			continue
		}
		time.Sleep(resultEvery)
	}
	if err != nil {
		return err
	}
	return remove(p.path(ballastFile))
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
