package runbooks

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Confirm takes a person's answer and evidence for a manual item or a confirm.
func (l *Local) Confirm(item string, evidence map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, attempt, err := l.answerable(item)
	if err != nil {
		return err
	}
	given := make(map[string]string, len(evidence))
	for name, text := range evidence {
		given[name] = l.redact(text)
	}
	confirmed, err := it.Judge(given, l.o.Now(), l.zone())
	if err != nil {
		return err
	}
	if err := l.append(item, attempt, confirmed); err != nil {
		return err
	}
	l.advance()
	return nil
}

// Decide takes a choice.
func (l *Local) Decide(item, option string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	it, attempt, err := l.answerable(item)
	if err != nil {
		return err
	}
	decided := ItemDecided{Option: option}
	for _, o := range it.Options {
		if o.Name != option {
			decided.Not = append(decided.Not, o.Name)
		}
	}
	if err := l.append(item, attempt, decided); err != nil {
		return err
	}
	l.advance()
	return nil
}

// answerable is the item and the attempt that an answer to it would be.
func (l *Local) answerable(item string) (Item, int, error) {
	if err := l.accepts(); err != nil {
		return Item{}, 0, err
	}
	it, ok := l.section.Item(item)
	if ok && !it.Kind.Human() {
		return it, 0, fmt.Errorf("%s is a %s: nobody can answer for it", item, it.Kind)
	}
	if err := l.run.Ready(item, l.o.Now()); err != nil {
		return it, 0, err
	}
	run, _ := l.run.Item(item)
	return it, len(run.Attempts) + 1, nil
}

// Skip leaves an item out.
func (l *Local) Skip(item, reason string, until time.Time) error {
	return l.say(item, ItemSkipped{Reason: l.line(reason), Until: until})
}

// Acknowledge says that a bad result was seen.
func (l *Local) Acknowledge(item, note string) error {
	return l.say(item, ItemAcknowledged{Note: l.line(note)})
}

// Override lets the run go on over a failed item until the given time.
func (l *Local) Override(item, reason string, until time.Time) error {
	if err := l.say(item, ItemOverridden{Reason: l.line(reason), Until: until}); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	return nil
}

// Note keeps a remark on an item, or on the run if item is empty.
func (l *Local) Note(item, text string) error {
	return l.say(item, Noted{Text: clean.Block(l.redact(text), maxNote)})
}

// Sign signs an item, or the run if item is empty.
func (l *Local) Sign(item, role string) error {
	return l.say(item, Signed{Role: l.line(role)})
}

// say records an event that needs no more than its being legal.
func (l *Local) say(item string, p Payload) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.accepts(); err != nil {
		return err
	}
	return l.append(item, 0, p)
}

// Retry makes a new attempt possible; a check starts at once.
func (l *Local) Retry(item string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.accepts(); err != nil {
		return err
	}
	it, ok := l.section.Item(item)
	if ok && it.Kind == Check {
		return l.startItem(item)
	}
	return l.append(item, 0, ItemRetried{})
}

// Finish completes the run; every item must be decided.
func (l *Local) Finish(note string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.accepts(); err != nil {
		return err
	}
	return l.append("", 0, RunClosed{State: l.run.Outcome(), Note: l.line(note)})
}

// Abort gives the run up. What was running is stopped and interrupted.
func (l *Local) Abort(reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.accepts(); err != nil {
		return err
	}
	if strings.TrimSpace(reason) == "" {
		return errors.New("a reason is required")
	}
	clear(l.wanted)
	for _, it := range l.run.Items {
		cancel, running := l.running[it.ID]
		if !running {
			continue
		}
		if err := l.append(it.ID, len(it.Attempts), ItemInterrupted{Reason: "the run was aborted"}); err != nil {
			return err
		}
		cancel()
	}
	return l.append("", 0, RunAborted{Reason: l.line(reason)})
}
