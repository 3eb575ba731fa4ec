// Package crash decides how the process ends when a part of it fails in a way
// that no code expects: never with 2, which is what Go exits with and means that
// a check is crit.
//
//   - A panic is recovered at the top of main and of every goroutine that the
//     program starts, by a deferred Recover: what has to be put right is put
//     right (a terminal in raw mode), the trace goes to the log, and the process
//     exits with 70.
//   - What cannot be recovered (concurrent map writes, no memory, a panic in a
//     goroutine of a library) ends the process by SIGABRT, which a shell shows as
//     134. The runtime writes the trace to standard error and to the log.
//
// No core file is left behind: it would hold every secret of the site. Commands
// get back the limit that the process was started with.
//
// The package knows nothing of what the program does.
package crash

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Code is the exit code after a panic that was recovered.
const Code = 70

// patience bounds each thing that is put right before the process ends.
const patience = 2 * time.Second

// maxValue bounds what standard error shows of a panic's value, in bytes.
const maxValue = 400

var state struct {
	mu   sync.Mutex
	log  *os.File
	last []*func()
}

// ending is held by the goroutine that ends the process, and never released.
var ending sync.Mutex

// Begin sets how the process ends. Call it first in main.
func Begin() {
	debug.SetTraceback("crash")
	forbidCores()
}

// Log has traces written to a file too: the program's own log, which is made if
// it may be and is not there. A file that is not a regular one of this user's
// own, or that others may write, is an error, and nothing changes.
func Log(path string, mayMake bool) error {
	log, err := openLog(path, mayMake)
	if err != nil {
		return fmt.Errorf("opening the log for crashes: %w", err)
	}
	if err := debug.SetCrashOutput(log, debug.CrashOptions{}); err != nil {
		log.Close() //nolint:errcheck // nothing was written
		return fmt.Errorf("naming %s to the runtime: %w", path, err)
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	if state.log != nil {
		state.log.Close() //nolint:errcheck // nothing was written
	}
	state.log = log
	return nil
}

func openLog(path string, mayMake bool) (*os.File, error) {
	flags := unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if mayMake {
		flags |= unix.O_CREAT
	}
	log, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(log.Fd()), &stat); err != nil {
		log.Close() //nolint:errcheck // nothing was written
		return nil, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG || int(stat.Uid) != os.Geteuid() || stat.Mode&0o022 != 0 {
		log.Close() //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("%s is not a regular file of this user alone (owner %d, mode %04o)", path, stat.Uid, stat.Mode&0o7777)
	}
	return log, nil
}

// AtEnd has something put right before a panic ends the process; the latest
// comes first. It must not depend on the goroutine that panicked. remove takes
// it back.
func AtEnd(do func()) (remove func()) {
	state.mu.Lock()
	defer state.mu.Unlock()
	state.last = append(state.last, &do)
	return func() {
		state.mu.Lock()
		defer state.mu.Unlock()
		state.last = slices.DeleteFunc(state.last, func(have *func()) bool { return have == &do })
	}
}

// Recover ends the process if the goroutine panics. Defer it in main and in
// every goroutine, after all other deferred calls, so that it comes before them:
// what they tell others would look like an orderly end.
func Recover() {
	if value := recover(); value != nil {
		end(value, debug.Stack())
	}
}

// end writes the trace, puts right what is to be put right and exits.
func end(value any, stack []byte) {
	ending.Lock() // another panic waits here for the end of the process
	state.mu.Lock()
	log, last := state.log, slices.Clone(state.last)
	state.mu.Unlock()
	text := strconv.Quote(fmt.Sprint(value)) // it may hold anything, a terminal's sequences too
	trace := fmt.Sprintf("%s panic: %s\n\n%s\n", time.Now().Format(time.RFC3339), text, stack)
	where := "the trace is in this output"
	if log != nil {
		if _, err := log.WriteString(trace); err == nil {
			where, trace = "the trace is in "+log.Name(), ""
		}
	}
	for _, do := range slices.Backward(last) {
		bounded(*do)
	}
	fmt.Fprintf(os.Stderr, "error: internal error: %s; %s\n%s", text[:min(len(text), maxValue)], where, trace)
	os.Exit(Code)
}

// bounded waits for what is put right, but not for ever; a panic in it is
// passed over, since the process ends by one already.
func bounded(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // as said
		do()
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}
