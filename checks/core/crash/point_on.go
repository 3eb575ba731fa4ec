//go:build crashpoints

package crash

import (
	"os"
	"sync"
	"syscall"
)

// Point makes the process fail at a named point, in builds for crash tests only:
// by kill -9, by a panic, or by a fault that cannot be recovered.
func Point(name string) {
	switch name {
	case os.Getenv("OPSDECK_CRASH_AT"):
		syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // nothing is left to be told
		select {}
	case os.Getenv("OPSDECK_PANIC_AT"):
		panic("fault \x1b[2J at " + name)
	case os.Getenv("OPSDECK_FATAL_AT"):
		new(sync.Mutex).Unlock()
	}
}
