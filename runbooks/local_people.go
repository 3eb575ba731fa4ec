package runbooks

import (
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Confirm takes a person's answer and evidence for a manual item or a confirm.
func (s Seat) Confirm(item string, evidence map[string]string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	l := s.l
	it, attempt, err := l.answerable(item)
	if err != nil {
		return err
	}
	given := make(map[string]string, len(evidence))
	for name, text := range evidence {
		given[name] = l.redact(text)
	}
	confirmed, err := it.Judge(given, l.o.Now(), l.opens(), l.zone())
	if err != nil {
		return err
	}
	if err := l.append(item, attempt, confirmed); err != nil {
		return err
	}
	l.advance() //nolint:errcheck // what cannot be started now is not the fault of the answer
	return nil
}

// Decide takes a choice.
func (s Seat) Decide(item, option string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	l := s.l
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
	l.advance() //nolint:errcheck // what cannot be started now is not the fault of the answer
	return nil
}

// answerable is the item and the attempt that an answer to it would be.
func (l *Local) answerable(item string) (Item, int, error) {
	it, ok := l.section.Item(item)
	if ok && !it.Kind.Human() {
		return it, 0, fmt.Errorf("%s is a %s: nobody can answer for it", item, it.Kind)
	}
	if err := l.run.Ready(item, l.o.Now()); err != nil {
		return it, 0, err
	}
	run, _ := l.run.Item(item)
	return it, run.Attempts.Len() + 1, nil
}

// Skip leaves an item out.
func (s Seat) Skip(item, reason string, until time.Time) error {
	return s.decideFor(item, ItemSkipped{Reason: s.l.line(reason), Until: until})
}

// Acknowledge says that a bad result was seen.
func (s Seat) Acknowledge(item, note string) error {
	return s.say(item, ItemAcknowledged{Note: s.l.line(note)})
}

// Override lets the run go on over a failed item until the given time.
func (s Seat) Override(item, reason string, until time.Time) error {
	return s.decideFor(item, ItemOverridden{Reason: s.l.line(reason), Until: until})
}

// Note keeps a remark on an item, or on the run if item is empty.
func (s Seat) Note(item, text string) error {
	return s.say(item, Noted{Text: clean.Block(s.l.redact(text), maxNote)})
}

// Attach keeps a frame as evidence for an item, or for the run if item is
// empty. Anybody at the run may, also after it has ended, as long as there are
// fewer than maxFrames: what everybody may write must not fill the record.
func (s Seat) Attach(item string, frame Attached) error {
	if n := s.l.Run().frames(); n >= maxFrames {
		return fmt.Errorf("the run has %d frames already: write a note instead", n)
	}
	frame.Title, frame.Text = s.l.line(frame.Title), clean.Block(s.l.redact(frame.Text), maxFrame)
	return s.say(item, frame)
}

// Sign signs an item, the preview of one that is armed, or the run if item is
// empty. seen is the hash of the preview that the person read: one that was made
// anew since is not signed by somebody who has not seen it.
func (s Seat) Sign(item, role string, seen Hash) error {
	unlock, err := s.speak()
	defer unlock()
	if err != nil {
		return err
	}
	signed, attempt := Signed{Role: s.l.line(role)}, 0
	if it, ok := s.l.run.Item(item); ok && it.State == Armed {
		a, _ := it.Latest()
		if a.Armed.Hash != seen {
			return fmt.Errorf("%s has another preview by now: read it, then sign", item)
		}
		signed.Preview, attempt = a.Armed.Hash, a.N
	}
	return s.l.append(item, attempt, signed)
}

// say records what anybody may say, if it is legal.
func (s Seat) say(item string, p Payload) error {
	unlock, err := s.speak()
	defer unlock()
	if err != nil {
		return err
	}
	return s.l.append(item, 0, p)
}

// decideFor records what only the driver may say, and goes on with what that
// opens.
func (s Seat) decideFor(item string, p Payload) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	if err := s.l.append(item, 0, p); err != nil {
		return err
	}
	s.l.advance() //nolint:errcheck // what cannot be started now is not the fault of what was said
	return nil
}

// Retry makes a new attempt possible; a check starts at once.
func (s Seat) Retry(item string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	it, ok := s.l.section.Item(item)
	if ok && it.Kind == Check {
		return s.l.startItem(item)
	}
	return s.l.append(item, 0, ItemRetried{})
}

// Finish completes the run; every item must be decided. What is there only for
// a run that is aborted does not apply then.
func (s Seat) Finish(note string) error {
	unlock, err := s.drive()
	defer unlock()
	if err != nil {
		return err
	}
	l := s.l
	if err := l.run.Closable(); err != nil {
		return err
	}
	for _, it := range l.run.Items {
		if it.State == Pending && l.run.OnlyToAbort(it.ID) {
			if err := l.append(it.ID, it.Attempts.Len()+1, ItemNotApplicable{Reason: "the run was not aborted"}); err != nil {
				return err
			}
		}
	}
	return l.append("", 0, RunClosed{State: l.run.Outcome(), Note: l.line(note)})
}
