package step

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// settle is how long what the deed started may take to end by itself after
	// it: the tee at the end of a script is no leftover.
	settle = 150 * time.Millisecond

	reapEvery = 10 * time.Millisecond

	// maxLeft bounds Outcome.Left: a fork bomb leaves thousands.
	maxLeft = 20
)

// endFamily ends and reaps what the deed has left running, and names it.
func (p *process) endFamily() []string {
	var named []string
	ending := time.Now()
	for now := ending; now.Sub(ending) < dying; now = time.Now() {
		reap()
		below, err := p.proc.below(os.Getpid(), p.spared)
		if err != nil || len(below) == 0 {
			break
		}
		if now.Sub(ending) > settle {
			for _, s := range below {
				if name := s.String(); !slices.Contains(named, name) {
					named = append(named, name)
				}
				p.proc.signal(s.pid, s.start, syscall.SIGKILL) //nolint:errcheck // the next look tells
			}
		}
		time.Sleep(reapEvery)
	}
	if more := len(named) - maxLeft; more > 0 {
		named = append(named[:maxLeft], fmt.Sprintf("and %d more", more))
	}
	return named
}

// reap takes away the zombies that are ours. It is called when the deed is
// over and nobody waits for a child any more.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && err != syscall.EINTR {
			return
		}
	}
}
