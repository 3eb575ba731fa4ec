package runbooks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// Options are what a Local session needs. Journal, Runner, Runbook, Section
// and Actor are required.
type Options struct {
	Journal Journal
	Runner  Runner
	Site    Site           // nil: no services, no limits
	Name    string         // of the site
	Zone    *time.Location // of the site; the runbook's own wins; nil means UTC
	Runbook Runbook
	Section string
	Actor   Actor
	Version string // of opsdeck, for the record

	// Parse reads the pinned copy of a runbook whose file has changed since
	// the run was opened. Without it such a run cannot be resumed.
	Parse func(path string, source []byte) (Runbook, error)

	Scrub     checks.Scrubber  // removes secrets from what people type; may be nil
	Now       func() time.Time // nil: time.Now
	NewID     func() string    // nil: section, period and four random letters
	Rehearsal bool             // a run that must never be mistaken for a real one
}

// Local drives one run in this process. It is the only writer of the run: the
// journal's lock sees to that. It runs read-only checks and takes what people
// say; it refuses everything that changes the system.
//
// Nothing is recorded by looking: the run is opened, resumed or taken over in
// the journal with the first thing that happens in it.
type Local struct {
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
		wanted: map[string]bool{}, running: map[string]context.CancelFunc{},
	}
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
	if !l.live || l.broken != nil || l.run.State != Open {
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
	if _, err := l.fitting(item, attempt, p); err != nil {
		return err
	}
	if err := l.begin(); err != nil {
		return err
	}
	e, err := l.fitting(item, attempt, p)
	if err != nil {
		return err
	}
	stored, err := l.o.Journal.Append(e)
	if err != nil {
		l.broken = fmt.Errorf("recording %s: %w", e.Kind, err)
		l.signal()
		return l.broken
	}
	run, err := l.run.Apply(stored)
	if err != nil {
		l.broken = fmt.Errorf("the journal changed event %s: %w", e.Kind, err)
		return l.broken
	}
	l.run = run
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
	for _, e := range prologue {
		if _, err := l.o.Journal.Append(e); err != nil {
			return fmt.Errorf("recording that the run is open: %w", err)
		}
	}
	l.live = true
	return nil
}

// fitting makes an event that the run takes.
func (l *Local) fitting(item string, attempt int, p Payload) (Event, error) {
	e, err := l.event(l.run.ID, item, attempt, p)
	if err != nil {
		return e, err
	}
	_, err = l.run.Apply(e)
	return e, err
}

func (l *Local) event(run, item string, attempt int, p Payload) (Event, error) {
	e, err := NewEvent(l.o.Now(), l.o.Actor, run, item, attempt, p)
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
