package pgserver

import (
	"os/exec"
	"runtime"
	"sync"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// starter runs process starts on one thread that never ends.
//
// Linux sends a child its parent-death signal when the thread that forked it
// ends, not the process; Go ends threads as it likes.
var starter = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		defer crash.Recover()
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// startOnThread starts a command whose parent-death signal means our death.
func startOnThread(cmd *exec.Cmd) error {
	failed := make(chan error, 1)
	starter() <- func() { failed <- crash.Start(cmd.Start) }
	return <-failed
}
