package command

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// pipes are a command's standard input and outputs. Package os/exec would do
// the copying too, but waits without end for a reader or a writer that hangs.
type pipes struct {
	theirs []*os.File // the command's ends, closed here once it has them
	ours   []*os.File // closing them ends the copying
	copied sync.WaitGroup

	mu  sync.Mutex
	err error // of reading what the command is to get
}

// attach gives the command its three streams. Without input it reads /dev/null.
func (p *pipes) attach(cmd *exec.Cmd, in io.Reader, out, errout io.Writer) error {
	var err error
	if cmd.Stdout, err = p.output(out); err != nil {
		return err
	}
	if cmd.Stderr, err = p.output(errout); err != nil {
		return err
	}
	if in != nil {
		cmd.Stdin, err = p.input(in)
	}
	return err
}

func (p *pipes) output(to io.Writer) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.theirs, p.ours = append(p.theirs, w), append(p.ours, r)
	p.copied.Go(func() {
		defer r.Close() //nolint:errcheck // opened for reading; closing tells the command to stop
		defer crash.Recover()
		_, _ = io.Copy(to, r) // the stream keeps its writer's error; ours is the end of the pipe
	})
	return w, nil
}

// input is not waited for: who reads for ever must not hold a command that has
// ended.
func (p *pipes) input(from io.Reader) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.theirs, p.ours = append(p.theirs, r), append(p.ours, w)
	go func() {
		defer w.Close() //nolint:errcheck // the command has what it read
		defer crash.Recover()
		_, err := io.Copy(w, from)
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, fs.ErrClosed) { // it need not read all, as head does not
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
		}
	}()
	return r, nil
}

// started closes the command's ends here: it has its own now.
func (p *pipes) started() {
	for _, f := range p.theirs {
		_ = f.Close() // nothing was written through it
	}
}

// drain waits for the outputs to be read to their end, as long as that can
// still be near, and closes them. It reports the error of the input.
func (p *pipes) drain(within time.Duration) error {
	done := make(chan struct{})
	go func() { defer crash.Recover(); p.copied.Wait(); close(done) }()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	p.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *pipes) close() {
	for _, f := range p.ours {
		_ = f.Close() // closed already by its copier, or now, to end it
	}
}
