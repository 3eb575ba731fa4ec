package step

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

const (
	// startPatience is how long a process may take until it shows itself,
	// which is 4 ms on a host that is well.
	startPatience = 5 * time.Second

	// cardPatience is how long its card may then take to become durable: a
	// few syncs, on a disk that may be the reason why somebody is here.
	cardPatience = 20 * time.Second
)

// What a starting step says on its pipe, a line each; anything else is why it
// does not begin.
const (
	saidHere  = "here"
	saidBegun = "begun"
)

// readyFD is the pipe's descriptor in the step; readyVar says that it is there.
const (
	readyFD  = 3
	readyVar = "OPSDECK_STEP_READY"
)

// Start starts the step's process from our own program, with our environment.
func (f Folder) Start(args ...string) (Card, error) {
	return f.Spawn(append([]string{"opsdeck"}, args...), os.Environ())
}

// Spawn starts the step's process from our own program and returns its card
// when it has begun. An error means that nothing was begun, then or later. The
// process has a session of its own, no terminal, none of our descriptors, and
// writes what it has to say itself to a file.
func (f Folder) Spawn(argv, env []string) (Card, error) {
	if s := f.Look(); s.State != NotStarted {
		return Card{}, fmt.Errorf("starting the step: %w", ErrTaken)
	}
	log, err := f.open(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY)
	if err != nil {
		return Card{}, fmt.Errorf("opening the step's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // nothing was written by us
	ready, theirs, err := os.Pipe()
	if err != nil {
		return Card{}, fmt.Errorf("starting the step: %w", err)
	}
	defer ready.Close() //nolint:errcheck // opened for reading
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env, cmd.Dir = argv, append(env[:len(env):len(env)], readyVar+"=1"), "/"
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	closeInherited()
	err = errors.Join(crash.Start(cmd.Start), theirs.Close())
	if err != nil {
		return Card{}, fmt.Errorf("starting the step: %w", err)
	}
	why := hear(ready)
	if why == nil {
		go func() { defer crash.Recover(); cmd.Wait() }() //nolint:errcheck // reaps it, if we live longer
	} else {
		cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
		cmd.Wait()         //nolint:errcheck // it has said why
	}
	card, err := f.card()
	switch {
	case err == nil:
		return card.Card, nil // though we did not hear it, it has begun
	case why == nil:
		return Card{}, fmt.Errorf("reading the card of the step: %w", err)
	case errors.Is(why, io.EOF):
		why = fmt.Errorf("it ended before it began: %s", f.lastWords())
	}
	return Card{}, fmt.Errorf("starting the step: %w", why)
}

// hear waits until the step says that it has begun: nil, or why it does not.
func hear(ready *os.File) error {
	lines := bufio.NewReaderSize(io.LimitReader(ready, 8<<10), 4<<10)
	for patience := startPatience; ; patience = cardPatience {
		ready.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // a pipe takes deadlines
		line, err := lines.ReadString('\n')
		said := strings.TrimSpace(line)
		switch {
		case said == saidBegun:
			return nil
		case said == saidHere:
		case said == ErrTaken.Error():
			return ErrTaken
		case said != "":
			return errors.New(clean.Line(said, 400))
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("it did not begin within %v", patience)
		case err != nil:
			return err
		}
	}
}

// closeInherited marks every descriptor from 3 on to be closed in children.
// Go's own are; those that we got from whoever started us may not be. A kernel
// before 5.11 cannot do it at once, and then those stay open.
func closeInherited() {
	_ = unix.CloseRange(readyFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) // best effort, as said
}

// lastWords is the last line that the step's process wrote itself.
func (f Folder) lastWords() string {
	const most = 4 << 10
	silent := "without a word"
	in, err := f.open(logFile, os.O_RDONLY)
	if err != nil {
		return silent
	}
	defer in.Close() //nolint:errcheck // opened for reading
	info, err := in.Stat()
	if err != nil {
		return silent
	}
	raw := make([]byte, most)
	n, _ := in.ReadAt(raw, max(0, info.Size()-most)) // what can be had
	lines := strings.Split(strings.TrimSpace(string(raw[:n])), "\n")
	if last := clean.Line(lines[len(lines)-1], 400); last != "" {
		return last
	}
	return silent
}

// An announcer tells whoever started this step how that goes, if anybody did.
type announcer struct{ pipe *os.File }

// newAnnouncer takes the pipe, so that no child of ours gets it.
func newAnnouncer() announcer {
	if os.Getenv(readyVar) == "" {
		return announcer{}
	}
	os.Unsetenv(readyVar) //nolint:errcheck // it is a name
	syscall.CloseOnExec(readyFD)
	return announcer{os.NewFile(readyFD, "ready")}
}

func (a announcer) say(text string) {
	if a.pipe != nil {
		fmt.Fprintln(a.pipe, strings.ReplaceAll(text, "\n", "; ")) //nolint:errcheck // nobody may be listening
	}
}

func (a announcer) close() {
	if a.pipe != nil {
		a.pipe.Close() //nolint:errcheck // nobody may be listening
	}
}
