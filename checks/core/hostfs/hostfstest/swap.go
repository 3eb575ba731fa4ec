package hostfstest

import (
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A Swapping lets two entries change places as fast as the kernel does it.
type Swapping struct {
	t      *testing.T
	a, b   string
	end    chan struct{}
	done   sync.WaitGroup
	swaps  atomic.Int64
	failed error
}

// Swap begins to exchange two paths, and ends with the test.
func Swap(t *testing.T, a, b string) *Swapping {
	t.Helper()
	s := &Swapping{t: t, a: a, b: b, end: make(chan struct{})}
	s.done.Go(s.run)
	t.Cleanup(func() { s.Stop() })
	return s
}

func (s *Swapping) run() {
	for s.failed == nil {
		select {
		case <-s.end:
			return
		default:
			s.exchange()
		}
	}
}

func (s *Swapping) exchange() {
	if s.failed = unix.Renameat2(unix.AT_FDCWD, s.a, unix.AT_FDCWD, s.b, unix.RENAME_EXCHANGE); s.failed == nil {
		s.swaps.Add(1)
	}
}

// Count is how often they have changed places.
func (s *Swapping) Count() int { return int(s.swaps.Load()) }

// Stop ends it with both where they stood.
func (s *Swapping) Stop() {
	s.t.Helper()
	select {
	case <-s.end:
		return
	default:
		close(s.end)
	}
	s.done.Wait()
	if s.failed == nil && s.Count()%2 == 1 {
		s.exchange()
	}
	if s.failed != nil {
		s.t.Errorf("exchanging %s and %s: %v", s.a, s.b, s.failed)
	}
}
