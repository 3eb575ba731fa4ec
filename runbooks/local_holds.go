package runbooks

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// beginHold records that a watch began and watches. The caller holds mu.
func (l *Local) beginHold(it Item) error {
	if err := l.run.Ready(it.ID, l.o.Now()); err != nil {
		return err
	}
	run, _ := l.run.Item(it.ID)
	attempt := run.Attempts.Len() + 1
	until := l.o.Now().Add(it.Hold.For)
	if err := l.append(it.ID, attempt, HoldStarted{Until: until, Every: it.Hold.Every, Items: it.Hold.Items}); err != nil {
		return err
	}
	l.watchHold(it, attempt, l.who)
	return nil
}

// watchHold samples until the hold's end, which is an instant of the wall
// clock: it goes on where it was after any pause of this process.
func (l *Local) watchHold(it Item, attempt int, who Actor) {
	ctx, cancel := context.WithCancel(l.ctx)
	l.running[it.ID] = cancel
	l.tasks.Go(func() {
		defer crash.Recover()
		for l.watching(it.ID, attempt) {
			next := l.nextSample(it.ID)
			select {
			case <-ctx.Done():
				l.holdStopped(it.ID, attempt, who)
				return
			case <-time.After(max(0, next.Sub(l.o.Now()))):
			}
			results := l.sample(ctx, it)
			if ctx.Err() != nil {
				continue
			}
			l.sampled(it, attempt, who, results)
		}
	})
}

func (l *Local) watching(id string, attempt int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, _ := l.run.Item(id)
	return l.broken == nil && it.Attempts.Len() == attempt && (it.State == Running || it.State == Cancelling)
}

// nextSample is when to look again: at once the first time, then at every
// interval, and at the end.
func (l *Local) nextSample(id string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, _ := l.run.Item(id)
	a, _ := it.Latest()
	w := a.Hold
	if len(w.Items) == 0 || w.Every <= 0 {
		return w.Until
	}
	if w.Samples == 0 {
		return time.Time{} // at once
	}
	if next := w.At.Add(w.Every); next.Before(w.Until) {
		return next
	}
	return w.Until
}

// sample runs the checks that a hold watches, each as its own item would.
func (l *Local) sample(ctx context.Context, hold Item) []checks.Result {
	l.mu.Lock()
	var list []checks.Check
	var results []checks.Result
	for _, id := range hold.Hold.Items {
		it, ok := l.book.Item(id)
		if !ok {
			continue
		}
		check, err := Resolve(it, l.o.Site, l.variables)
		if err != nil {
			results = append(results, checks.Result{ID: id, Module: it.Use, Level: checks.Unknown, At: l.o.Now(), Err: l.line(err.Error()), Class: checks.ClassOf(err)})
			continue
		}
		check.ID = id
		list = append(list, check)
	}
	l.mu.Unlock()
	for _, check := range list {
		results = append(results, compactResult(l.o.Runner.Run(ctx, check)))
	}
	return results
}

// compactResult keeps of a sample what a verdict rests on: a day of them must
// not fill the journal.
func compactResult(r checks.Result) checks.Result {
	r.Tables, r.Detail, r.Phases = nil, nil, nil
	const few = 12
	if len(r.Facts) > few {
		r.Facts = append([]fact.Fact(nil), r.Facts[:few]...)
	}
	return r
}

// sampled records a look and ends the hold if it failed or its time is over.
func (l *Local) sampled(it Item, attempt int, who Actor, results []checks.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = who
	run, _ := l.run.Item(it.ID)
	if l.broken != nil || run.State != Running || run.Attempts.Len() != attempt {
		return
	}
	if len(results) > 0 {
		l.mustAppend(it.ID, attempt, HoldSampled{Results: results})
	}
	run, _ = l.run.Item(it.ID)
	a, _ := run.Latest()
	ended, over := a.Hold.ending(l.o.Now())
	if l.broken != nil || !over {
		return
	}
	l.mustAppend(it.ID, attempt, ended)
	if cancel := l.running[it.ID]; cancel != nil {
		cancel()
		delete(l.running, it.ID)
	}
	l.advance() //nolint:errcheck // nobody is there to be told
}

// ending is how a watch ends now: early with the first sample that failed,
// else at its time with the worst of what was seen.
func (w Watch) ending(now time.Time) (HoldEnded, bool) {
	for _, r := range w.Latest {
		if r.Level == checks.Crit {
			return HoldEnded{Level: checks.Crit, Reason: fmt.Sprintf("%s failed: %s", r.ID, r.Note)}, true
		}
	}
	if now.Before(w.Until) {
		return HoldEnded{}, false
	}
	switch {
	case len(w.Items) == 0:
		return HoldEnded{Level: checks.OK, Reason: "the time is over"}, true
	case w.Samples == 0:
		return HoldEnded{Level: checks.Unknown, Reason: "nothing was sampled"}, true
	}
	return HoldEnded{Level: w.Worst, Reason: fmt.Sprintf("%d looks at %d items, the worst %s", w.Samples, len(w.Items), w.Worst)}, true
}

// holdStopped records that a watch was asked to stop. One that ends with this
// process goes on with the next.
func (l *Local) holdStopped(id string, attempt int, who Actor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.who = who
	it, _ := l.run.Item(id)
	delete(l.running, id)
	if l.broken == nil && it.State == Cancelling && it.Attempts.Len() == attempt {
		a, _ := it.Latest()
		l.mustAppend(id, attempt, ItemCancelled{Reason: a.Reason})
	}
}
