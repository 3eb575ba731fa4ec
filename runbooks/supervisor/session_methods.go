package supervisor

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// The rest of runbooks.Session: each is one request.

// Start runs one check, or begins a hold.
func (s *Session) Start(item string) error { return s.call("start", deed{Item: item}) }

// StartAll runs every check that is not done.
func (s *Session) StartAll() error { return s.call("start-all", deed{}) }

// Confirm answers for a person.
func (s *Session) Confirm(item string, evidence map[string]string) error {
	return s.call("confirm", deed{Item: item, Evidence: evidence})
}

// Decide takes a choice.
func (s *Session) Decide(item, option string) error {
	return s.call("decide", deed{Item: item, Text: option})
}

// Skip leaves an item out.
func (s *Session) Skip(item, reason string, until time.Time) error {
	return s.call("skip", deed{Item: item, Text: reason, Until: until})
}

// Acknowledge says that a bad result was seen.
func (s *Session) Acknowledge(item, note string) error {
	return s.call("acknowledge", deed{Item: item, Text: note})
}

// Override lets the run go on over a failed item.
func (s *Session) Override(item, reason string, until time.Time) error {
	return s.call("override", deed{Item: item, Text: reason, Until: until})
}

// Note keeps a remark.
func (s *Session) Note(item, text string) error { return s.call("note", deed{Item: item, Text: text}) }

// Attach keeps a frame as evidence.
func (s *Session) Attach(item string, frame runbooks.Attached) error {
	return s.call("attach", deed{Item: item, Frame: &frame})
}

// Retry makes a new attempt possible.
func (s *Session) Retry(item string) error { return s.call("retry", deed{Item: item}) }

// Sign signs an item, a preview, or the run.
func (s *Session) Sign(item, role string, seen runbooks.Hash) error {
	return s.call("sign", deed{Item: item, Text: role, Seen: seen})
}

// Arm makes an action's preview.
func (s *Session) Arm(ctx context.Context, item string) error {
	return s.ask(ctx, "arm", deed{Item: item}, nil)
}

// Approve confirms an armed action and begins it.
func (s *Session) Approve(item, typed string, seen runbooks.Hash) error {
	return s.call("approve", deed{Item: item, Text: typed, Seen: seen})
}

// Disarm takes back what was armed.
func (s *Session) Disarm(item, reason string) error {
	return s.call("disarm", deed{Item: item, Text: reason})
}

// Cancel asks what runs to stop.
func (s *Session) Cancel(item, reason string) error {
	return s.call("cancel", deed{Item: item, Text: reason})
}

// Probe looks again at an interrupted action.
func (s *Session) Probe(item string) error { return s.call("probe", deed{Item: item}) }

// Resolve says what became of an interrupted action.
func (s *Session) Resolve(item string, done bool, evidence string) error {
	return s.call("resolve", deed{Item: item, Done: done, Text: evidence})
}

// Live is what is to be seen of a running action.
func (s *Session) Live(item string, from int64) (runbooks.Live, error) {
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	var live runbooks.Live
	err := s.ask(ctx, "live", deed{Item: item, From: from}, &live)
	return live, err
}

// OverrideWindow lets actions begin outside the window.
func (s *Session) OverrideWindow(reason string, until time.Time) error {
	return s.call("window", deed{Text: reason, Until: until})
}

// TakeOver makes this user the driver.
func (s *Session) TakeOver(reason string) error { return s.call("take-over", deed{Text: reason}) }

// Finish completes the run.
func (s *Session) Finish(note string) error { return s.call("finish", deed{Text: note}) }

// Abort gives the run up.
func (s *Session) Abort(reason string) error { return s.call("abort", deed{Text: reason}) }
