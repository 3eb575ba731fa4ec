package step

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// startPatience is how long a started step may take to write its card.
const startPatience = 5 * time.Second

// Start starts the step's process from our own program and returns its card
// when it has begun. The process has a session of its own, no terminal, none
// of our descriptors, and writes what it has to say itself to a file.
func (f Folder) Start(args ...string) (Card, error) {
	if s := f.Look(); s.State != NotStarted {
		return Card{}, ErrTaken
	}
	log, err := os.OpenFile(f.path(logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return Card{}, fmt.Errorf("starting the step: %w", err)
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "opsdeck"
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Card{}, fmt.Errorf("starting the step: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // reaps it, if we live longer
	for deadline := time.Now().Add(startPatience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s := f.Look(); s.Card.PID != 0 {
			return s.Card, nil
		}
		select {
		case err := <-ended:
			if s := f.Look(); s.Card.PID != 0 {
				return s.Card, nil
			}
			return Card{}, fmt.Errorf("the step ended before it began: %w: %s", errOr(err), f.said())
		default:
		}
	}
	return Card{}, fmt.Errorf("the step did not begin within %v: %s", startPatience, f.said())
}

func errOr(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

// said is the end of what the step's process wrote itself.
func (f Folder) said() string {
	in, err := f.open(logFile)
	if err != nil {
		return ""
	}
	defer in.Close()
	raw := make([]byte, 2048)
	info, err := in.Stat()
	if err != nil {
		return ""
	}
	n, _ := in.ReadAt(raw, max(0, info.Size()-int64(len(raw)))) // what can be had
	return string(raw[:n])
}
