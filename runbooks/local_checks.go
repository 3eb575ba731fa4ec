package runbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// Start runs one check, or begins a hold.
func (s Seat) Start(item string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	if it, ok := s.l.section.Item(item); ok && it.Kind == Hold {
		return s.l.beginHold(it)
	}
	return s.l.startItem(item)
}

func (l *Local) startItem(id string) error {
	if err := l.accepts(); err != nil {
		return err
	}
	it, err := l.startable(id)
	if err != nil {
		return err
	}
	if err := l.run.Ready(id, l.o.Now()); err != nil {
		return err
	}
	delete(l.wanted, id)
	run, _ := l.run.Item(id)
	attempt := run.Attempts.Len() + 1
	check, err := Resolve(it, l.o.Site, l.variables)
	var absent checks.NotHere
	switch {
	case errors.As(err, &absent):
		return l.notApplicable(id, attempt, absent.What)
	case err != nil:
		return l.unresolved(it, attempt, err)
	case check.Module.Effect != checks.ReadOnly:
		return fmt.Errorf("%s: %s changes the system and cannot be run as a check", id, check.Module.Name)
	}
	started := CheckStarted{Module: check.Module.Name, Check: check.ID, Warn: check.Rules.Warn.Text, Fail: check.Rules.Fail.Text}
	if err := l.append(id, attempt, started); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(l.ctx)
	l.running[id] = cancel
	who := l.who
	l.tasks.Go(func() {
		defer crash.Recover()
		result := l.o.Runner.Run(ctx, check)
		l.finish(ctx, who, id, attempt, result)
	})
	return nil
}

// startable is the item, if this session can run it at all.
func (l *Local) startable(id string) (Item, error) {
	it, ok := l.section.Item(id)
	switch {
	case !ok:
		return it, fmt.Errorf("%s: the runbook has no such item", id)
	case it.Kind == Action:
		return it, fmt.Errorf("%s changes the system: it is armed, looked at and confirmed, never simply started", id)
	case it.Kind == Hold:
		return it, fmt.Errorf("%s is a hold, not a check", id)
	case it.Kind.Human():
		return it, fmt.Errorf("%s is for a person to answer", id)
	}
	return it, nil
}

func (l *Local) notApplicable(id string, attempt int, why string) error {
	if err := l.append(id, attempt, ItemNotApplicable{Reason: why}); err != nil {
		return err
	}
	l.advance() //nolint:errcheck // what cannot be started now is not the fault of this item
	return nil
}

// unresolved records a check that could not even be put together: that is
// unknown, and not a reason to say nothing.
func (l *Local) unresolved(it Item, attempt int, cause error) error {
	if err := l.append(it.ID, attempt, CheckStarted{Module: it.Use, Check: it.ID}); err != nil {
		return err
	}
	return l.append(it.ID, attempt, CheckFinished{checks.Result{
		ID: it.ID, Module: it.Use, Level: checks.Unknown, At: l.o.Now(),
		Err: l.line(cause.Error()), Class: checks.ClassOf(cause),
	}})
}

// variables are those of the document, the run and the results of its items.
func (l *Local) variables(name string) (string, bool) {
	switch name {
	case "run.id":
		return l.run.ID, true
	case "run.started":
		return l.run.OpenedAt.Format(time.RFC3339), true
	}
	if v, ok := l.book.Vars[name]; ok {
		return v, true
	}
	return l.run.FactOf(name)
}

// finish records what came of a check, unless it was told to stop.
func (l *Local) finish(ctx context.Context, who Actor, id string, attempt int, result checks.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = who
	stopped := ctx.Err() != nil
	if cancel := l.running[id]; cancel != nil {
		cancel()
		delete(l.running, id)
	}
	if l.broken != nil {
		return
	}
	if it, _ := l.run.Item(id); stopped {
		l.stopped(it, attempt)
		return
	}
	l.mustAppend(id, attempt, CheckFinished{result})
	l.advance() //nolint:errcheck // nobody is there to be told
}

// stopped records that a check ended without a result: somebody asked for
// that, or the session ended.
func (l *Local) stopped(it ItemRun, attempt int) {
	if it.Attempts.Len() != attempt {
		return
	}
	switch it.State {
	case Cancelling:
		a, _ := it.Latest()
		l.mustAppend(it.ID, attempt, ItemCancelled{Reason: a.Reason})
	case Running:
		l.mustAppend(it.ID, attempt, ItemInterrupted{Reason: "the session was closed"})
	}
}

// mustAppend is append where nobody is there to be told: Err says it.
func (l *Local) mustAppend(item string, attempt int, p Payload) {
	if err := l.append(item, attempt, p); err != nil && l.broken == nil {
		l.broken = err
		l.signal()
	}
}

// StartAll runs every check that is not done: pending ones, and those that
// went wrong and that nobody has answered for. A check whose need is not met
// yet starts when it is.
func (s Seat) StartAll() error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	l := s.l
	found := false
	for _, it := range l.run.Items {
		if it.Kind != Check {
			continue
		}
		if it.State == Running {
			found = true
			continue
		}
		if l.todo(it) {
			found = true
			l.wanted[it.ID] = true
		}
	}
	if !found {
		return ErrAllDone
	}
	refused := l.advance()
	if l.broken != nil || len(l.running) > 0 {
		return l.broken
	}
	return refused
}

func (l *Local) todo(it ItemRun) bool {
	switch it.State {
	case Pending, Interrupted, Cancelled:
		return true
	case Warned, Failed, Errored:
		return it.Ack == nil && it.Override.Expired(l.o.Now())
	case Passed:
		return l.run.Computed(it.ID, l.o.Now()).Stale != ""
	}
	return false
}

// advance starts the wanted checks whose needs are met now. When nothing runs
// any more, the rest waits for something that will not come by itself. The
// error is that of the first check that was not taken: somebody else holds the
// journal, say.
func (l *Local) advance() (refused error) {
	for _, it := range l.run.Items {
		if l.broken != nil || l.closed {
			return refused
		}
		if !l.wanted[it.ID] || l.run.Ready(it.ID, l.o.Now()) != nil {
			continue
		}
		if err := l.startItem(it.ID); err != nil {
			delete(l.wanted, it.ID)
			refused = cmp.Or(refused, err)
		}
	}
	if len(l.running) == 0 {
		clear(l.wanted)
	}
	l.leaveIfOut()
	return refused
}
