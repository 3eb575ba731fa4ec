package sandbox

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// marker is the file that tells a sandbox's directory from any other: the
// janitor removes no directory without it.
const marker = "opsdeck-sandbox"

// Clean is the janitor's whole life: it waits until its standard input ends,
// which happens when the sandbox's process ends in whatever way, and removes
// the sandbox's directory. It ignores the signals that end its parent.
func Clean(dir string, lifeline io.Reader) error {
	if _, err := io.Copy(io.Discard, lifeline); err != nil {
		return fmt.Errorf("waiting for the sandbox to end: %w", err)
	}
	return remove(dir)
}

// remove deletes a sandbox's directory, and only such a one.
func remove(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	if !strings.HasPrefix(filepath.Base(dir), "opsdeck-") {
		return fmt.Errorf("%s does not look like a sandbox: not removed", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the sandbox: %w", err)
	}
	return nil
}

// hireJanitor starts the janitor: the given argv with the directory appended,
// in a session of its own, with a pipe that breaks when this process ends.
// The returned function dismisses it after the directory is gone.
func hireJanitor(argv []string, dir string) (dismiss func(), err error) {
	if len(argv) == 0 {
		return func() {}, nil
	}
	cmd := exec.Command(argv[0], append(argv[1:len(argv):len(argv)], dir)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making the janitor's lifeline: %w", err)
	}
	if err := crash.Start(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting the sandbox's janitor: %w", err)
	}
	return func() {
		lifeline.Close() //nolint:errcheck // closing is the message
		cmd.Wait()       //nolint:errcheck // its work is done by now
	}, nil
}
