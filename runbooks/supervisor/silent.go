package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A SilentError is a supervisor that is connected and says nothing: its process
// stands still, or hangs.
type SilentError struct {
	PID     int  // of the supervisor; 0 if that is not known
	Stopped bool // its process is stopped, by a signal or a debugger
	After   time.Duration
}

// Error names the process, and what helps.
func (e *SilentError) Error() string {
	text := fmt.Sprintf("the supervisor (process %d) has not answered within %v", e.PID, e.After)
	if e.Stopped {
		return text + fmt.Sprintf(": it is stopped, kill -CONT %d lets it go on", e.PID)
	}
	return text + ": it hangs, or the host is overloaded; kill it and the next one goes on with its runs"
}

// silent is the error of a supervisor that does not answer on this connection.
func (l *link) silent(after time.Duration) error {
	e := &SilentError{After: after}
	if unixConn, ok := l.conn.(*net.UnixConn); ok {
		e.PID = serverOf(unixConn)
	}
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(e.PID) + "/stat"); err == nil {
		state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
		e.Stopped = len(state) > 0 && (state[0] == 'T' || state[0] == 't')
	}
	return e
}

// serverOf is the process that listens at the other end; 0 if the kernel does
// not say.
func serverOf(conn *net.UnixConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	raw.Control(func(fd uintptr) { //nolint:errcheck // pid stays 0
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// A session asks its supervisor now and then whether it is there, and takes one
// that does not answer for lost: it would wait for a stopped one for ever.
const pingEvery = 5 * time.Second

// watch returns when the connection has ended or its supervisor has fallen
// silent, with the reason; nil when ctx has ended.
func (l *link) watch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.gone:
			return errGone
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(ctx, every)
		err := l.call(within, "ping", 0, struct{}{}, nil)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			err = l.silent(every)
			l.close()
			return err
		}
	}
}
