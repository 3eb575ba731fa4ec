package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// Why a deed's context ended.
var (
	errAsked    = errors.New("somebody asked it to end")
	errStranger = errors.New("a signal that nobody sent through its folder ended it")
	errTooMuch  = errors.New("it wrote more than ten times as much output as is kept, and was ended")
	errDeadline = errors.New("its deadline passed")
)

// cancelEvery is how often the step looks for the cancel file. The signal that
// comes with it is quicker.
const cancelEvery = 100 * time.Millisecond

// perform does the deed and says what came of it. An error says that this is
// not for this process to say: the host goes down, or somebody kills by hand.
// Whoever looks next finds it gone, and looks from outside.
func (p *process) perform(ctx context.Context, act Act) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !p.in.Deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, p.in.Deadline, errDeadline)
		defer stop()
	}
	p.out.tooMuch = func() { cancel(errTooMuch) }
	if p.isCancelled() {
		cancel(errAsked)
	}
	watching := make(chan struct{})
	go func() { defer close(watching); defer crash.Recover(); p.watch(ctx, cancel) }()
	began := time.Now()
	live := &shared{to: p.wrap(p.out)}
	shown := &progress{folder: p.Folder}
	result, touched := p.await(ctx, act, checks.Own{
		Out: live, Token: p.in.Token, Dir: p.Scratch(), Before: p.in.Before, Progress: shown.report,
	})
	cause := context.Cause(ctx)
	cancel(nil)
	<-watching
	outcome := Outcome{
		Left: p.endFamily(), Cancelled: errors.Is(cause, errAsked), Untouched: !touched, Ended: time.Now(), Took: time.Since(began),
	}
	live.close()
	shown.flush()
	p.out.finish(&outcome)
	switch {
	case errors.Is(cause, errStranger):
		return outcome, fmt.Errorf("no result is left: %w", errStranger)
	case errors.Is(cause, errTooMuch):
		result.Level, result.Class, result.Err = checks.Unknown, checks.Limit, errTooMuch.Error()
	}
	outcome.Result = result
	usage(&outcome)
	return outcome, nil
}

// watch ends the deed's context when somebody asks for it.
func (p *process) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(cancelEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.asked:
			if p.isCancelled() {
				cancel(errAsked)
			}
			cancel(errStranger) // the first cause counts
			return
		case <-tick.C:
			if p.isCancelled() {
				cancel(errAsked)
				return
			}
		}
	}
}

func (p *process) isCancelled() bool {
	_, err := os.Lstat(p.path(cancelFile))
	return err == nil
}

// await waits for the deed to return. One that was asked to end before it
// began is not begun; one that does not end when its context has is given up.
func (p *process) await(ctx context.Context, act Act, own checks.Own) (result checks.Result, touched bool) {
	if ctx.Err() != nil {
		return p.failed(checks.Other, "nothing was done: before it began, "+context.Cause(ctx).Error()), false
	}
	type answer struct {
		result  checks.Result
		touched bool
	}
	done := make(chan answer, 1)
	go func() {
		defer crash.Recover()
		var a answer
		a.result, a.touched = p.guarded(ctx, act, own)
		done <- a
	}()
	select {
	case a := <-done:
		return a.result, a.touched
	case <-ctx.Done():
	}
	patience := time.NewTimer(p.patience)
	defer patience.Stop()
	select {
	case a := <-done:
		return a.result, a.touched
	case <-patience.C:
	}
	return p.failed(checks.Timeout, fmt.Sprintf("%v, and it did not end within %v after that; it was given up", context.Cause(ctx), p.patience)), true
}

// guarded makes a result of a panic.
func (p *process) guarded(ctx context.Context, act Act, own checks.Own) (result checks.Result, touched bool) {
	defer func() {
		if reason := recover(); reason != nil {
			touched = true
			fmt.Fprintln(os.Stderr, p.fit(fmt.Sprintf("%s panicked: %v\n%s", p.in.Module, reason, debug.Stack()))) //nolint:errcheck // there is no other place
			result = p.failed(checks.Internal, fmt.Sprintf("%s panicked: %v (the stack is in %s)", p.in.Module, reason, p.path(logFile)))
		}
	}()
	crash.Point("step-in-act")
	return act(ctx, p.in, own)
}

func (p *process) failed(class checks.Class, why string) checks.Result {
	why = p.fit(why)
	return checks.Result{ID: p.in.Check, Module: p.in.Module, Target: p.in.Target, Level: checks.Unknown, At: time.Now(), Err: why, Class: class, Note: why}
}

// fit makes a text of ours fit to be kept, as output is.
func (p *process) fit(text string) string {
	var kept strings.Builder
	w := &shared{to: p.wrap(&kept)}
	fmt.Fprintln(w, text) //nolint:errcheck // it is written to memory
	w.close()
	return strings.TrimSpace(kept.String())
}

// shared is a writer for many, which takes nothing any more after its end: a
// deed that was given up may still write.
type shared struct {
	mu     sync.Mutex
	to     io.Writer
	closed bool
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, os.ErrClosed
	}
	return s.to.Write(b)
}

func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if c, ok := s.to.(io.Closer); ok {
		c.Close() //nolint:errcheck // output never fails
	}
}
