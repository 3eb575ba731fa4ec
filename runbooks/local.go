package runbooks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Options are what a Local session needs. Journal, Runner, Runbook, Section
// and Actor are required.
type Options struct {
	Journal  Journal
	Runner   Runner
	Site     Site           // nil: no services, no limits
	SiteHash string         // of the site file; "" if that is not known
	Name     string         // of the site
	Zone     *time.Location // of the site; the runbook's own wins; nil means UTC
	Runbook  Runbook
	Section  string
	Actor    Actor
	Version  string // of opsdeck, for the record

	// Parse reads the pinned copy of a runbook whose file has changed since
	// the run was opened. Without it such a run cannot be resumed.
	Parse func(path string, source []byte) (Runbook, error)

	// Actions does what changes something; nil: such items are refused.
	Actions *Actions

	// Present reports whether an actor is at the run now; nil: nobody else is.
	Present func(Actor) bool

	Scrub     checks.Scrubber  // removes secrets from what people type; may be nil
	Now       func() time.Time // nil: time.Now
	NewID     func() string    // nil: section, period and four random letters
	Rehearsal bool             // a run that must never be mistaken for a real one
}

// Local drives one run in this process. It is the only writer of the run: the
// journal's lock sees to that. It runs checks and watches, takes what people
// say, and hands what changes the system to its Actions; without those it
// refuses it. What people do goes through a Seat; Local has that of its own
// actor.
//
// Nothing is recorded by looking: the run is opened, resumed or taken over in
// the journal with the first thing that happens in it.
type Local struct {
	Seat
	o     Options
	start time.Time // of this session, for Event.Mono
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup
	news  chan struct{}

	mu          sync.Mutex
	run         Run
	book        Runbook // the pinned copy
	section     Section
	outdated    bool
	freshID     string // of the run that would be opened, in freshPeriod
	freshPeriod string
	live        bool  // the prologue is recorded
	broken      error // recording failed; nothing more is accepted
	closed      bool
	wanted      map[string]bool               // by StartAll, waiting for their needs
	running     map[string]context.CancelFunc // by item
	arming      map[string]bool               // whose preview is being made
	who         Actor                         // whose doing the next event is
	ahead       int                           // how many of events are not recorded yet
	events      []Event                       // of the run, those of the prologue included; only ever appended to
	past        past                          // what was recorded before this session
	estimates   map[string]time.Duration      // by item, from earlier runs
}

var _ Session = (*Local)(nil)

// Drive prepares to drive a section: it joins the open run of this site,
// section and period, or a new one; an open run of an older period will be
// expired. The journal is read, not written.
func Drive(ctx context.Context, o Options) (*Local, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Local{
		o: o, start: time.Now(), news: make(chan struct{}, 1),
		wanted: map[string]bool{}, running: map[string]context.CancelFunc{}, arming: map[string]bool{}, who: o.Actor,
	}
	l.Seat = Seat{l, o.Actor}
	if _, ok := o.Runbook.Section(o.Section); !ok {
		return nil, fmt.Errorf("runbook %s has no section %q", o.Runbook.ID, o.Section)
	}
	if _, err := l.prepare(o.Now()); err != nil {
		return nil, err
	}
	l.ctx, l.stop = context.WithCancel(ctx)
	return l, nil
}

// Run is the run as it is recorded now, or as the first event will open it.
func (l *Local) Run() Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.run
}

// Changed is signalled after Run changed.
func (l *Local) Changed() <-chan struct{} { return l.news }

// Section is the pinned section.
func (l *Local) Section() Section {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.section
}

// Book is the pinned runbook.
func (l *Local) Book() Runbook {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book
}

// Estimates are how long items took in earlier runs, the median.
func (l *Local) Estimates() map[string]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.estimates)
}

// Events are those of the run, oldest first. Before the first thing happens
// in it they are those that will open it, without place and hash, and
// recorded is false. They are not to be changed.
func (l *Local) Events() (events []Event, recorded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.events), l.live
}

// Present is nobody that a Local would know of.
func (l *Local) Present() []Actor { return nil }

// Busy reports whether something runs, or a preview is being made.
func (l *Local) Busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy()
}

func (l *Local) busy() bool {
	return len(l.running) > 0 || len(l.arming) > 0 || l.live && (l.run.Unsettled() || l.awaited())
}

// awaited reports whether a preview waits for somebody: a second person may
// come to sign it while the first is away.
func (l *Local) awaited() bool {
	for _, it := range l.run.Items {
		if a, ok := it.Latest(); ok && it.State == Armed && l.run.since(a, a.Started, l.o.Now()) < previewHolds {
			return true
		}
	}
	return false
}

// Over reports whether the run is one to look at only: it has ended, or its
// period has and nothing runs in it. A new one is driven anew.
func (l *Local) Over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.run.State.Ended() || l.broken != nil || l.closed {
		return true
	}
	return !l.busy() && !l.joins(l.run.Opened, l.period(l.o.Now()).Name)
}

// Outdated reports whether the file has changed since the run was opened.
func (l *Local) Outdated() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outdated
}

// Err is why nothing can be recorded any more.
func (l *Local) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Close stops running checks, records them as interrupted and the run as
// suspended, and waits for every goroutine. A second Close does nothing.
func (l *Local) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.tasks.Wait()

	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.live || l.broken != nil || l.run.State != Open && l.run.State != Aborting {
		return l.broken
	}
	return l.append("", 0, RunSuspended{Reason: "the session was closed"})
}

// accepts is nil while the session takes anything at all.
func (l *Local) accepts() error {
	if l.broken == nil && l.closed {
		return errors.New("the session is closed")
	}
	return l.broken
}

// append writes one event of the run. It becomes visible only when it is
// durable; an event that does not fit is refused before anything is written.
// The caller holds mu.
func (l *Local) append(item string, attempt int, p Payload) error {
	if !l.live { // an event that does not fit opens nothing
		if _, _, err := l.fitting(item, attempt, p); err != nil {
			return err
		}
		if err := l.begin(); err != nil {
			return err
		}
	}
	e, next, err := l.fitting(item, attempt, p)
	if err != nil {
		return err
	}
	stored, err := l.o.Journal.Append(e)
	if err != nil {
		l.broken = fmt.Errorf("recording %s: %w", e.Kind, err)
		l.signal()
		return l.broken
	}
	next.Seq = max(next.Seq, stored.Seq)
	l.run, l.events = next, append(l.events, stored)
	l.signal()
	return nil
}

// begin opens or resumes the run in the journal, once. Somebody else may have
// been at it since it was prepared, so it is prepared again. A refusal here is
// not the end: nothing was promised, and the next event tries again.
func (l *Local) begin() error {
	if l.live {
		return nil
	}
	prologue, err := l.prepare(l.o.Now())
	if err != nil {
		return err
	}
	kept := slices.Clip(l.events[:len(l.events)-l.ahead])
	for _, e := range prologue {
		stored, err := l.o.Journal.Append(e)
		if err != nil {
			return fmt.Errorf("recording that the run is open: %w", err)
		}
		if stored.Run == l.run.ID {
			kept = append(kept, stored)
		}
	}
	l.events, l.ahead, l.live = kept, 0, true
	l.adopt()
	return nil
}

// fitting makes an event that the run takes, and the run as it will be.
func (l *Local) fitting(item string, attempt int, p Payload) (Event, Run, error) {
	e, err := l.event(l.run.ID, item, attempt, p)
	if err != nil {
		return e, l.run, err
	}
	next, err := l.run.Apply(e)
	return e, next, err
}

func (l *Local) event(run, item string, attempt int, p Payload) (Event, error) {
	e, err := NewEvent(l.o.Now(), l.who, run, item, attempt, p)
	e.Mono = time.Since(l.start)
	return e, err
}

func (l *Local) signal() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func (l *Local) zone() *time.Location {
	if l.book.Zone != nil {
		return l.book.Zone
	}
	if l.o.Zone != nil {
		return l.o.Zone
	}
	return time.UTC
}

// line makes what a person typed fit for the record.
func (l *Local) line(text string) string { return clean.Line(l.redact(text), maxEvidence) }

func (l *Local) redact(text string) string {
	if l.o.Scrub != nil {
		return l.o.Scrub.Redact(text)
	}
	return text
}

// newID is readable in a list and on a command line: "daily-2026-11-23-k3vq".
func (l *Local) newID(period string) string {
	if l.o.NewID != nil {
		return l.o.NewID()
	}
	parts := []string{l.o.Section, period, strings.ToLower(rand.Text()[:4])}
	if period == "" {
		parts[1] = l.o.Now().UTC().Format(time.DateOnly)
	}
	return strings.Join(parts, "-")
}
