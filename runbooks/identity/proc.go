package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// proc is where processes are looked at; "" means /proc. A test has its own.
type proc string

func (p proc) path(process, name string) string {
	if p == "" {
		p = "/proc"
	}
	return filepath.Join(string(p), process, name)
}

// maxProc bounds a file of /proc; each that is read here has less than 4 KiB.
const maxProc = 64 << 10

func (p proc) read(process, name string) ([]byte, error) {
	in, err := os.Open(p.path(process, name))
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	return io.ReadAll(io.LimitReader(in, maxProc))
}

// effectiveUID is the user id with which a process acts now, which is the one
// that a socket keeps of who connected it.
func (p proc) effectiveUID(pid int) (int, error) {
	raw, err := p.read(strconv.Itoa(pid), "status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		ids, ok := strings.CutPrefix(line, "Uid:")
		if !ok {
			continue
		}
		if fields := strings.Fields(ids); len(fields) == 4 { // real, effective, saved, file system
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("no user ids in /proc/%d/status", pid)
}

// tick is the unit of times in /proc/PID/stat on every Linux.
const tick = time.Second / 100

// started is when a process began, since the host's start and rounded down to
// a tick.
func (p proc) started(pid int) (time.Duration, error) {
	raw, err := p.read(strconv.Itoa(pid), "stat")
	if err != nil {
		return 0, err
	}
	// The name stands in parentheses and may hold anything: the last one closes it.
	const startField = 19 // counted from the state, which follows the name
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) <= startField {
		return 0, fmt.Errorf("no start time in /proc/%d/stat", pid)
	}
	ticks, err := strconv.ParseInt(string(fields[startField]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the start time in /proc/%d/stat: %w", pid, err)
	}
	return time.Duration(ticks) * tick, nil
}

// SinceBoot is the clock by which the kernel dates the start of a process. It
// goes on while the host sleeps, and cannot be set. A kernel without it gives
// 0, before which no process began: every login is unreadable then.
func SinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// errEnded says that a process has ended: what /proc shows under its id may be
// of another one.
var errEnded = errors.New("the process that connected has ended")

// alive is nil while the process of a descriptor runs. A descriptor becomes
// readable when its process ends, also before anybody has waited for it.
func alive(pidfd int) error {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		switch _, err := unix.Poll(poll, 0); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("asking whether the process lives: %w", err)
		case poll[0].Revents != 0:
			return errEnded
		}
		return nil
	}
}

// pidOf is the id of the process of a descriptor, in our own namespace.
func pidOf(pidfd int) (int, error) {
	raw, err := proc("").read("self", filepath.Join("fdinfo", strconv.Itoa(pidfd)))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if pid, ok := strings.CutPrefix(line, "Pid:"); ok {
			return strconv.Atoi(strings.TrimSpace(pid))
		}
	}
	return 0, errors.New("the descriptor is of no process")
}
