package command

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// A process is a command under way: its leader, which is the process started
// here, and the session and group it leads.
type process struct {
	*executor
	cmd         *exec.Cmd
	call        checks.Call
	mark        string
	out, errout *stream
	budget      *budget
	pipes       pipes
	gone        chan struct{}  // closed when the leader has exited; it is not reaped by that
	known       map[int]uint64 // its descendants seen so far: pid -> start; only finish uses it
}

// umask guards the one setting of a process that cannot be given to a child
// alone. Who creates a file meanwhile gets it private, never too public.
var umask sync.Mutex

func (x *executor) start(path string, call checks.Call) (*process, error) {
	p := &process{executor: x, call: call, mark: rand.Text(), gone: make(chan struct{}), known: map[int]uint64{}}
	p.plumb()
	p.cmd = &exec.Cmd{
		Path: path, Args: call.Argv, Env: x.environ(p.mark, call.Env), Dir: call.Dir,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // a group of its own, and no terminal to ask for a password at
	}
	if call.Dir == "" {
		p.cmd.Dir = "/"
	}
	if err := p.pipes.attach(p.cmd, call.Stdin, p.out, p.errout); err != nil {
		p.pipes.started()
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	err := p.fork()
	p.pipes.started()
	if err != nil {
		p.pipes.close()
		return nil, startError(path, err)
	}
	go func() { defer crash.Recover(); p.watch() }()
	return p, nil
}

// fork starts the leader with what only holds for the moment of its start.
func (p *process) fork() error {
	closeInherited()
	umask.Lock()
	defer umask.Unlock()
	mask := 0o077
	if p.call.Leave {
		mask = 0o022 // what stays on the host, as a package's scripts make it, is for its users
	}
	defer syscall.Umask(syscall.Umask(mask))
	p.mu.Lock() // a sweep must not take the new child for an orphan
	defer p.mu.Unlock()
	err := crash.Start(p.cmd.Start)
	if err == nil {
		p.leaders[p.cmd.Process.Pid] = true
	}
	return err
}

// plumb connects the two outputs. A stream that somebody else takes is bounded
// only if the call names a bound: a dump may be large.
func (p *process) plumb() {
	limit := p.call.Max
	if limit <= 0 {
		limit = maxOutput
	}
	p.budget = newBudget(limit)
	live := &listener{to: p.call.Live}
	p.errout = &stream{budget: p.budget, live: live}
	p.out = &stream{budget: p.budget, live: live, to: p.call.Stdout}
	if p.call.Stdout != nil && p.call.Max <= 0 {
		p.out.budget = nil
	}
}

// closeInherited marks every descriptor from 3 on to be closed in children.
// Go's own are; those we got from whoever started us may not be. A kernel
// before 5.11 cannot do it at once, and then those stay open.
func closeInherited() {
	_ = unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) // best effort, as said
}

// watch waits for the leader to exit without reaping it, so that its group id
// stays its own while the group is being ended.
func (p *process) watch() {
	defer close(p.gone)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return // it has exited, or is no child of ours any more, which comes to the same
		}
	}
}

// finish waits for the command to end, or ends it, and collects what is left.
func (p *process) finish(ctx context.Context) (checks.Output, error) {
	why := p.await(ctx)
	deadline := time.Now().Add(min(p.grace, time.Second))
	if why != nil {
		deadline = time.Now().Add(p.grace)
		p.relics() // while they still have a parent to be known by
		p.signal(syscall.SIGTERM)
		if !p.ends(time.Until(deadline)) {
			p.signal(syscall.SIGKILL)
		}
	}
	left := p.sweep(deadline)
	if !p.ends(dying) {
		out := p.output(left)
		p.pipes.close()
		go func() { defer crash.Recover(); p.reap() }() // it must not stay a zombie, should it ever die
		out.Left = append(out.Left, fmt.Sprintf("%d %s (cannot be ended)", p.cmd.Process.Pid, p.name()))
		return out, checks.Failed(checks.Timeout, "%s does not die: it waits in the kernel: %w", p.name(), why)
	}
	p.reap()
	err := p.pipes.drain(drain)
	out := p.output(left)
	switch failure := p.out.failure(); {
	case errors.Is(why, errBudget):
		return out, checks.Failed(checks.Limit, "%s was ended after %d bytes of output", p.name(), p.limit())
	case why != nil:
		return out, fmt.Errorf("%s was ended: %w", p.name(), why)
	case failure != nil:
		return out, fmt.Errorf("writing what %s puts out: %w", p.name(), failure)
	case err != nil:
		return out, fmt.Errorf("reading what %s is to get: %w", p.name(), err)
	}
	return out, nil
}

// await returns nil when the leader has exited by itself, or why it must end.
func (p *process) await(ctx context.Context) error {
	select {
	case <-p.gone:
		return nil
	case <-p.budget.over:
		return errBudget
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ends reports whether the leader exits within the time.
func (p *process) ends(within time.Duration) bool {
	select {
	case <-p.gone:
		return true
	default:
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.gone:
		return true
	case <-timer.C:
		return false
	}
}

// signal reaches the leader's whole group. The leader is not reaped yet, so the
// group is still its own.
func (p *process) signal(s syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, s) // who is gone or another user's is found and named by the sweep
}

// reap takes the leader's exit status. Wait's error says no more than that.
func (p *process) reap() {
	_ = p.cmd.Wait() // see ProcessState
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.leaders, p.cmd.Process.Pid)
}

func (p *process) output(left []string) checks.Output {
	out := checks.Output{Left: left, Code: -1}
	var more bool
	out.Stdout, out.Truncated = p.out.kept()
	out.Stderr, more = p.errout.kept()
	out.Truncated = out.Truncated || more
	state := p.cmd.ProcessState
	if state == nil {
		return out
	}
	out.Code = state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		out.Signal = status.Signal().String()
	}
	return out
}

func (p *process) limit() int64 {
	if p.call.Max > 0 {
		return p.call.Max
	}
	return maxOutput
}

// name is the program's name, as process lists show it.
func (p *process) name() string { return filepath.Base(p.cmd.Path) }

// text is a command's name from the process list, which may hold anything.
func text(raw []byte) string { return string(bytes.ToValidUTF8(raw, []byte("?"))) }
