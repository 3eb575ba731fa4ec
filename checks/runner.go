package checks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Limits of the Runner, from the survey of what hangs collectors: few local
// probes at once keep their latencies honest, more network probes keep one
// slow peer from delaying the rest, and two at one target is what a sick
// target can bear.
const (
	localSlots   = 8
	networkSlots = 16
	perTarget    = 2

	// grace is how long a call may overrun its deadline before it is
	// abandoned: enough for an orderly return, too short for a person to notice.
	grace = 500 * time.Millisecond

	// actGrace is grace for an action, which has to end what it started in good
	// order: a command gets 5 s between being asked and being killed, a
	// container its stop time. Whoever cancels it ends it sooner if need be.
	actGrace = 75 * time.Second

	// patience is how long a check waits to begin: many may queue for a slow
	// target, but not for ever for one that answers nobody.
	patience = 30 * time.Second
)

// A Scrubber makes text fit to be shown and recorded: redacted and clean.
type Scrubber interface {
	Redact(text string) string
}

// A Recorder is a History that also takes samples. The Runner records the
// numeric facts whose specs ask for a usual or a growth.
type Recorder interface {
	Record(check, factName, label string, s Sample)
}

// Runner is the only place that applies deadlines, recovers panics, limits
// concurrency, scrubs text and turns findings into a verdict. It is safe for
// concurrent use.
type Runner struct {
	env    atomic.Pointer[Env]
	redact func(string) string
	local  chan struct{}
	remote chan struct{}

	mu       sync.Mutex
	targets  map[string]chan struct{}
	memories map[string]*Memory
	hanging  map[string]time.Time // check -> start of its abandoned call
}

// NewRunner makes a Runner over env. secrets may be nil: then nothing is
// redacted by value.
func NewRunner(env Env, secrets Scrubber) *Runner {
	redact := func(text string) string { return text }
	if secrets != nil {
		redact = secrets.Redact
	}
	r := &Runner{
		redact: redact,
		local:  make(chan struct{}, localSlots), remote: make(chan struct{}, networkSlots),
		targets: map[string]chan struct{}{}, memories: map[string]*Memory{}, hanging: map[string]time.Time{},
	}
	r.Use(env)
	return r
}

// Env is what the Runner hands to modules, without a check's own parts.
func (r *Runner) Env() Env { return *r.env.Load() }

// Use puts another Env in place, as after a change of the site file. Runs in
// flight end with the one they began with.
func (r *Runner) Use(env Env) {
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	r.env.Store(&env)
}

// Abandoned is how many calls are out beyond their deadline and their grace:
// they ignore their context and may never return.
func (r *Runner) Abandoned() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.hanging)
}

// Run runs the check once and judges what it found. It never returns an
// error: whatever kept the check from finding out is in the Result. It returns
// at the latest at the check's deadline plus a short grace, whatever the
// module does; a check by difference may take as long as Env.Wait besides.
func (r *Runner) Run(ctx context.Context, c Check) Result {
	return r.untilEnough(ctx, c, r.once(ctx, c, false))
}

func (r *Runner) once(ctx context.Context, c Check, again bool) Result {
	if c.Module == nil {
		return r.finish(c, outcome{err: Failed(Internal, "check %q has no module", c.ID)}, r.Env().Now(), 0, 0)
	}
	queued := time.Now()
	if since, out := r.isHanging(c.ID); out {
		return r.finish(c, outcome{err: Failed(Timeout, "the run of %s is still hanging", since.Format(time.TimeOnly))}, r.Env().Now(), 0, 0)
	}
	slots, err := r.admit(ctx, c)
	if err != nil {
		return r.finish(c, outcome{err: err}, r.Env().Now(), 0, time.Since(queued))
	}
	defer give(slots.pool)
	waited := time.Since(queued)
	began := time.Now()
	got := r.call(ctx, c, c.Module.Run, Env{Again: again}, grace, func() { give(slots.target) })
	return r.finish(c, got, r.Env().Now(), time.Since(began), waited)
}

// phase is one of a module's functions: Run, Preview, Probe.
type phase func(context.Context, Env, Args) (Findings, error)

// outcome is what one of a module's functions returned.
type outcome struct {
	findings Findings
	err      error
}

// call runs the module in a goroutine of its own, so that a call that ignores
// its context can be abandoned. An abandoned check is not started again until
// its call returns; then, and not before, after is called.
func (r *Runner) call(ctx context.Context, c Check, do phase, own Env, grace time.Duration, after func()) outcome {
	deadline := c.Deadline()
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	env := r.Env()
	env.Memory = r.memory(c.ID)
	env.Connection = c.Connection
	env.Check, env.Again = c.ID, own.Again
	env.Out, env.Progress, env.Token, env.Dir, env.Before = own.Out, own.Progress, own.Token, own.Dir, own.Before
	done := make(chan outcome, 1)
	began := r.Env().Now()
	go func() {
		defer after()
		defer r.returned(c.ID)
		defer crash.Recover()
		done <- r.guarded(ctx, c, do, env)
	}()
	select {
	case got := <-done:
		return got
	case <-ctx.Done():
	}
	select {
	case got := <-done:
		return got
	case <-time.After(grace):
	}
	r.abandon(c.ID, began, done)
	return outcome{err: Failed(Timeout, "no answer within %s; the call does not stop and was abandoned", fact.FormatDuration(deadline))}
}

func (r *Runner) guarded(ctx context.Context, c Check, do phase, env Env) (got outcome) {
	defer func() {
		if p := recover(); p != nil {
			r.Env().Log.Error("a module panicked", "check", c.ID, "module", c.Module.Name, "panic", p, "stack", string(debug.Stack()))
			got = outcome{err: Failed(Internal, "module %s panicked: %v (the stack is in the log)", c.Module.Name, p)}
		}
	}()
	findings, err := do(ctx, env, c.Args)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		if errors.Is(err, context.DeadlineExceeded) {
			err = Failed(Timeout, "no answer within %s", fact.FormatDuration(c.Deadline()))
		}
	}
	return outcome{findings, err}
}

func (r *Runner) memory(id string) *Memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.memories[id]
	if m == nil {
		m = &Memory{}
		r.memories[id] = m
	}
	return m
}

func (r *Runner) isHanging(id string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, out := r.hanging[id]
	return since, out
}

// abandon marks the check as hanging unless its call has returned meanwhile.
func (r *Runner) abandon(id string, began time.Time, done <-chan outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(done) == 0 {
		r.hanging[id] = began
	}
}

func (r *Runner) returned(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.hanging, id)
}

// slots are those that a run has. The pool's is for the time of the run; the
// target's is kept by a call that was abandoned, which burdens it still.
type slots struct{ pool, target chan struct{} }

// admit waits for a slot in the check's pool and at its target.
func (r *Runner) admit(ctx context.Context, c Check) (slots, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	want := slots{pool: r.local, target: r.targetSlots(c)}
	if c.Module.Reach == Network {
		want.pool = r.remote
	}
	if err := take(ctx, want.target); err != nil {
		return slots{}, noSlot(err, fmt.Sprintf("%d other checks are at this target and do not end", perTarget))
	}
	if err := take(ctx, want.pool); err != nil {
		give(want.target)
		return slots{}, noSlot(err, "all slots are taken")
	}
	return want, nil
}

func noSlot(err error, why string) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return Failed(Timeout, "not begun within %s: %s", fact.FormatDuration(patience), why)
	}
	return fmt.Errorf("waiting for a free slot: %w", err)
}

func take(ctx context.Context, slots chan struct{}) error {
	if slots == nil {
		return nil
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func give(slots chan struct{}) {
	if slots != nil {
		<-slots
	}
}

func (r *Runner) targetSlots(c Check) chan struct{} {
	key := targetKey(c)
	if key == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.targets[key] == nil {
		r.targets[key] = make(chan struct{}, perTarget)
	}
	return r.targets[key]
}

// targetKey names the peer that a network check burdens; "" when there is none.
func targetKey(c Check) string {
	if c.Module.Reach != Network {
		return ""
	}
	if c.Module.Kind != "" {
		return c.Module.Kind + "/" + c.Connection
	}
	if u, err := url.Parse(c.Args.Text("url")); err == nil && u.Host != "" {
		return u.Host
	}
	return c.Target
}
