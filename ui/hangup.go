package ui

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// hungUp is closed when the terminal is gone. Most decks are told so by a
// signal; one in a session of its own, as under "su -c", is not, and neither a
// reader nor a painter that waits for something to do would notice. release ends
// the watch, and waits for it.
func hungUp(terminal uintptr) (gone <-chan struct{}, release func(), err error) {
	wake, enough, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	hung, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer crash.Recover()
		for {
			watched := []unix.PollFd{{Fd: int32(terminal)}, {Fd: int32(wake.Fd()), Events: unix.POLLIN}} // a hang-up is told unasked
			_, err := unix.Poll(watched, -1)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case err == nil && watched[1].Revents == 0 && watched[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0:
				close(hung)
			}
			return
		}
	}()
	return hung, func() {
		enough.Close() //nolint:errcheck // nothing was written
		<-ended
		wake.Close() //nolint:errcheck // opened for reading
	}, nil
}
