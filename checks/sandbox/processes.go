package sandbox

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// processes are the sandbox's children. Each dies with this process
// (parent-death signal), is in its own group, and is ended on close.
//
// Linux sends the parent-death signal when the thread that forked ends, so
// every child is started from one thread that lives as long as the sandbox.
type processes struct {
	jobs chan func()
	mu   sync.Mutex
	cmds []*exec.Cmd
}

func newProcesses() *processes {
	p := &processes{jobs: make(chan func())}
	go func() {
		defer crash.Recover()
		runtime.LockOSThread()
		for job := range p.jobs {
			job()
		}
	}()
	return p
}

func (p *processes) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	failed := make(chan error, 1)
	p.jobs <- func() { failed <- crash.Start(cmd.Start) }
	if err := <-failed; err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmds = append(p.cmds, cmd)
	return nil
}

// stop ends every child, politely first, and waits for all of them.
func (p *processes) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cmd := range p.cmds {
		end(cmd)
	}
	p.cmds = nil
	close(p.jobs)
}

func end(cmd *exec.Cmd) {
	kill := time.AfterFunc(2*time.Second, func() { defer crash.Recover(); signalGroup(cmd.Process, syscall.SIGKILL) })
	defer kill.Stop()
	signalGroup(cmd.Process, syscall.SIGTERM)
	cmd.Wait() //nolint:errcheck // it was told to end; how it ended does not matter
}

func signalGroup(p *os.Process, sig syscall.Signal) {
	syscall.Kill(-p.Pid, sig) //nolint:errcheck // already gone is what we want
}
