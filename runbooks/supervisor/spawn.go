package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
)

// startTimeout is how long a supervisor may take until it can be connected to.
const startTimeout = 2 * time.Second

// readyFD is the pipe on which a started supervisor says that it is ready, or
// why it is not.
const readyFD = 3

// Spawn starts a supervisor in a session of its own, so that it outlives the
// terminal, and returns when it is ready or says why not. args are those of
// opsdeck; its own words go to a file in dir.
func Spawn(ctx context.Context, dir string, args ...string) error {
	log, err := journal.OpenLog(dir, "supervisor.log")
	if err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	defer log.Close()
	ready, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "opsdeck"
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = "/", log, log, []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = crash.Start(cmd.Start)
	theirs.Close() //nolint:errcheck // our copy of the other end
	if err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	go func() { defer crash.Recover(); cmd.Wait() }() //nolint:errcheck // whoever started it reaps it, if it lives longer
	return waitReady(ctx, ready)
}

func waitReady(ctx context.Context, ready *os.File) error {
	deadline := time.Now().Add(startTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	ready.SetReadDeadline(deadline) //nolint:errcheck // a pipe takes deadlines
	said, err := io.ReadAll(io.LimitReader(ready, 4096))
	text := strings.TrimSpace(string(said))
	switch {
	case text == "ready":
		return nil
	case text == ErrServed.Error():
		return ErrServed
	case text != "":
		return errors.New("the supervisor did not start: " + text)
	case err != nil:
		return fmt.Errorf("the supervisor was not ready after %v", startTimeout)
	}
	return errors.New("the supervisor ended before it was ready: see supervisor.log in the state directory")
}

// Announce tells whoever started this supervisor how that went, if anybody
// did: nil for ready.
func Announce(problem error) {
	pipe := os.NewFile(readyFD, "ready")
	if pipe == nil {
		return
	}
	defer pipe.Close()
	text := "ready"
	switch {
	case errors.Is(problem, ErrServed):
		text = ErrServed.Error()
	case problem != nil:
		text = problem.Error()
	}
	fmt.Fprintln(pipe, text) //nolint:errcheck // nobody may be listening
}
