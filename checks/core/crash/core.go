package crash

import (
	"sync"

	"golang.org/x/sys/unix"
)

// cores is the limit of core files: of this process, and what its commands get.
var cores struct {
	mu       sync.Mutex
	original unix.Rlimit // zero if the process may write none anyway
	starting int         // commands that are being started now
}

// forbidCores keeps the process from leaving a core file. The hard limit stays,
// so that commands can have the old one.
func forbidCores() {
	cores.mu.Lock()
	defer cores.mu.Unlock()
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil && limit.Cur > 0 && setCores(limit, 0) == nil {
		cores.original = limit
	}
}

func setCores(limit unix.Rlimit, cur uint64) error {
	limit.Cur = cur
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

// Start calls a function that starts a command, with the limit of core files
// that this process was started with: a child can only inherit it. It returns
// what the function returns, once the command runs its program.
func Start(start func() error) error {
	restoreCores()
	defer forbidAgain()
	return start()
}

func restoreCores() {
	cores.mu.Lock()
	defer cores.mu.Unlock()
	cores.starting++
	if cores.starting == 1 && cores.original.Cur > 0 {
		setCores(cores.original, cores.original.Cur) //nolint:errcheck // up to the hard limit is always allowed
	}
}

func forbidAgain() {
	cores.mu.Lock()
	defer cores.mu.Unlock()
	cores.starting--
	if cores.starting == 0 && cores.original.Cur > 0 {
		setCores(cores.original, 0) //nolint:errcheck // lowering it is always allowed
	}
}
