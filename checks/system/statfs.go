package system

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// size is what a file system says of itself, in bytes and inodes.
type size struct {
	total, free, available uint64 // free counts what is reserved for root, available does not
	inodes, inodesFree     uint64 // 0 inodes: no fixed number
}

// used is the share that df prints: of what is used and what can still be used.
func (s size) used() float64 {
	used := float64(s.total - min(s.free, s.total))
	return share(used, used+float64(s.available))
}

func (s size) inodesUsed() float64 {
	return share(float64(s.inodes-min(s.inodesFree, s.inodes)), float64(s.inodes))
}

// statfs asks the kernel. On a dead network file system the call never
// returns and cannot be cancelled.
func statfs(path string) (size, error) {
	var st unix.Statfs_t
	var err error
	for {
		if err = unix.Statfs(path, &st); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return size{}, err
	}
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	return size{st.Blocks * unit, st.Bfree * unit, st.Bavail * unit, st.Files, st.Ffree}, nil
}

// errHangs is the answer of a file system that did not answer in time.
var errHangs = errors.New("does not answer")

// sizeCalls are the calls that are out. A path whose call hangs is not asked
// again until that call returns: the next run waits for the same one.
type sizeCalls struct {
	ask func(path string) (size, error)

	mu  sync.Mutex
	out map[string]*sizeCall
}

// sizeCall is one call that may be abandoned.
type sizeCall struct {
	done chan struct{} // closed when size and err are there
	size size
	err  error
}

func (c *sizeCalls) start(path string) *sizeCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call, ok := c.out[path]; ok {
		return call
	}
	call := &sizeCall{done: make(chan struct{})}
	c.out[path] = call
	go func() {
		defer crash.Recover()
		call.size, call.err = c.ask(path)
		c.mu.Lock()
		delete(c.out, path)
		c.mu.Unlock()
		close(call.done)
	}()
	return call
}

// hanging is how many calls are out.
func (c *sizeCalls) hanging() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}

// wait returns the answer, or errHangs when the context ends first.
func (c *sizeCall) wait(ctx context.Context) (size, error) {
	select {
	case <-c.done:
		return c.size, c.err
	default:
	}
	select {
	case <-c.done:
		return c.size, c.err
	case <-ctx.Done():
		return size{}, errHangs
	}
}
