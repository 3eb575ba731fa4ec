//go:build crashpoints

package step

import (
	"os"
	"syscall"
)

// crash ends the process at a named point, in builds for crash tests only.
func crash(point string) {
	if os.Getenv("OPSDECK_CRASH_AT") == point {
		syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // there is nobody left to tell
		select {}
	}
}
