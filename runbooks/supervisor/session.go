package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// A Client opens runs at a supervisor, and starts one if there is none.
type Client struct {
	Socket  string
	Version string
	TTY     string

	// Start starts a supervisor and returns when it can be connected to, or
	// the reason why not. nil: one that serves is all that is wanted.
	Start func(context.Context) error

	// Ping is how often a session asks whether its supervisor is there, and how
	// long it waits for the answer; 0: 5 s.
	Ping time.Duration

	// Site is the site file that this process uses now; nil: it is not said, and
	// the supervisor does not compare it with its own.
	Site func() SiteFile

	// Parse reads the pinned copy of a runbook.
	Parse func(path string, source []byte) (runbooks.Runbook, error)
}

// callTimeout bounds what a supervisor needs to take something down, openTimeout
// what it needs to find a run in its record, or the next part of the record. Arm
// has its own.
const (
	callTimeout = 15 * time.Second
	openTimeout = 30 * time.Second
)

// connect reaches the supervisor, starting it if need be.
func (c *Client) connect(ctx context.Context) (*link, error) {
	l, err := c.dial(ctx)
	var refused *remoteError
	var silent *SilentError
	if err == nil || errors.As(err, &refused) || errors.As(err, &silent) {
		return l, err
	}
	if c.Start == nil {
		return nil, c.unreachable(err)
	}
	started := false
	var last error
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !started || !Serves(filepath.Dir(c.Socket)) { // again if one that was about to end was in the way
			if startErr := c.Start(ctx); startErr != nil && !errors.Is(startErr, ErrServed) {
				return nil, startErr
			}
			started = true
		}
		if l, last = c.dial(ctx); last == nil {
			return l, nil
		}
		if errors.As(last, &refused) || errors.As(last, &silent) {
			return nil, last
		}
	}
	return nil, fmt.Errorf("connecting to the supervisor: %w", last)
}

// unreachable says why a supervisor that we cannot start does not answer.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s lets only members of its group in, and this login is none of them (after being added, log in again): %w", c.Socket, syscall.EACCES)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no supervisor serves at %s: start its service", c.Socket)
	}
	return fmt.Errorf("connecting to the supervisor at %s: %w", c.Socket, err)
}

// Greet says who the supervisor takes us for, and which site file it goes by.
func (c *Client) Greet(ctx context.Context) (runbooks.Actor, SiteFile, error) {
	l, err := c.connect(ctx)
	if err != nil {
		return runbooks.Actor{}, SiteFile{}, err
	}
	defer l.close()
	return l.you, l.theirs, nil
}

// Open joins the run of a section, or the one that the first event will open.
func (c *Client) Open(ctx context.Context, book runbooks.Runbook, section string) (*Session, error) {
	s := &Session{client: c, asked: book, section: section, news: make(chan struct{}, 1)}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx); err != nil {
		s.stop()
		return nil, err
	}
	s.tasks.Go(func() { defer crash.Recover(); s.keep() })
	return s, nil
}

// A Session is a run at the supervisor, as runbooks.Session. When the
// supervisor dies it finds, or starts, the next one and goes on there.
type Session struct {
	client  *Client
	asked   runbooks.Runbook
	section string
	ctx     context.Context
	stop    context.CancelFunc
	tasks   sync.WaitGroup
	news    chan struct{}

	mu        sync.Mutex
	link      *link
	handle    uint64
	run       runbooks.Run
	coming    *runbooks.Run // the run, as far as its parts have come; nil if none is missing
	whole     chan struct{} // closed when the last part of the run has come; nil if none is missing
	book      runbooks.Runbook
	outdated  bool
	misfit    error    // the record holds what this opsdeck cannot read
	broken    error    // nothing is recorded at the supervisor
	site      SiteFile // the supervisor's
	away      error    // the supervisor is gone, and why no other is there yet
	present   []runbooks.Actor
	estimates map[string]time.Duration
}

var _ runbooks.Session = (*Session)(nil)

// open connects and joins the run.
func (s *Session) open(ctx context.Context) error {
	l, err := s.client.connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var opened openedRun
	ask := openRun{Path: s.asked.Path, Source: string(s.asked.Source), Hash: s.asked.Hash, Section: s.section, Parts: true}
	if err := l.call(ctx, "open", 0, ask, &opened); err != nil {
		l.close()
		return err
	}
	book := s.asked
	if opened.Source != string(s.asked.Source) {
		if book, err = s.client.Parse(opened.Path, []byte(opened.Source)); err != nil {
			l.close()
			return fmt.Errorf("reading the copy of the runbook that the run pinned: %w", err)
		}
	}
	s.mu.Lock()
	s.coming, s.whole = nil, make(chan struct{})
	s.link, s.handle, s.book, s.estimates, s.away, s.misfit = l, opened.Handle, book, opened.Estimates, nil, nil
	s.site = l.theirs
	s.mu.Unlock()
	s.hear(opened.News)
	l.listen(opened.Handle, s.hear)
	if err := s.awaitWhole(ctx, l); err != nil {
		l.close()
		return err
	}
	return nil
}

// awaitWhole waits until no part of the run is missing.
func (s *Session) awaitWhole(ctx context.Context, l *link) error {
	s.mu.Lock()
	whole := s.whole
	s.mu.Unlock()
	if whole == nil {
		return nil
	}
	select {
	case <-whole:
		return nil
	case <-l.gone:
		return errGone
	case <-ctx.Done():
		return fmt.Errorf("waiting for the supervisor: %w", ctx.Err())
	}
}

// hear takes in what happened in the run. A run that comes in parts is taken
// when the last one is there.
func (s *Session) hear(n news) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.run
	switch {
	case n.Reset:
		run = runbooks.Run{}
	case s.coming != nil:
		run = *s.coming
	}
	run, err := run.ApplyAll(n.Events)
	if err != nil {
		s.misfit = fmt.Errorf("the supervisor's record does not fit this opsdeck: %w", err)
	}
	if n.More && err == nil {
		s.coming = &run
		if s.whole == nil {
			s.whole = make(chan struct{})
		}
		s.askForRest(s.link, s.handle)
		return
	}
	if s.coming = nil; s.whole != nil {
		close(s.whole)
		s.whole = nil
	}
	s.run, s.outdated, s.present, s.broken = run, n.Outdated, n.Present, nil
	if n.Site != nil {
		s.site = *n.Site
	}
	if n.Broken != "" {
		s.broken = errors.New(n.Broken)
	}
	s.signal()
}

// askForRest asks for the next part of the run, which comes as news. A supervisor
// that does not take the question is left, and the session connects again.
func (s *Session) askForRest(l *link, handle uint64) {
	go func() {
		defer crash.Recover()
		ctx, cancel := context.WithTimeout(s.ctx, openTimeout)
		defer cancel()
		if err := l.call(ctx, "rest", handle, nil, nil); err != nil {
			l.conn.Close() //nolint:errcheck // what is missing would never come
		}
	}()
}

func (s *Session) signal() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// keep comes back to the run when the supervisor is gone, until Close.
func (s *Session) keep() {
	for wait := 50 * time.Millisecond; ; {
		s.mu.Lock()
		l := s.link
		s.mu.Unlock()
		why := l.watch(s.ctx, cmp.Or(s.client.Ping, pingEvery))
		if why == nil {
			return
		}
		s.lost(why)
		ctx, cancel := context.WithTimeout(s.ctx, openTimeout)
		err := s.open(ctx)
		cancel()
		if err == nil {
			wait = 50 * time.Millisecond
			continue
		}
		s.lost(err)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

func (s *Session) lost(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = why
	s.signal()
}

// Run is the run as the supervisor last told it.
func (s *Session) Run() runbooks.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// Changed is signalled after Run changed.
func (s *Session) Changed() <-chan struct{} { return s.news }

// Book is the pinned runbook.
func (s *Session) Book() runbooks.Runbook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book
}

// Section is the pinned section.
func (s *Session) Section() runbooks.Section {
	section, _ := s.Book().Section(s.section)
	return section
}

// Estimates are how long items took in earlier runs.
func (s *Session) Estimates() map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.estimates
}

// Outdated reports whether the file has changed since the run was opened.
func (s *Session) Outdated() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outdated
}

// SiteFile is the site file that the supervisor goes by; zero if it does not say.
func (s *Session) SiteFile() SiteFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.site
}

// Present are those who are at the run now.
func (s *Session) Present() []runbooks.Actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.present
}

// You is who the supervisor says that we are.
func (s *Session) You() runbooks.Actor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link.you
}

// Err is why nothing can be recorded: for good, or until there is a supervisor
// again, or until its record takes events again.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.misfit != nil {
		return s.misfit
	}
	if s.away != nil {
		return fmt.Errorf("connecting again: %w", s.away)
	}
	return s.broken
}

// Close leaves the run: what runs goes on.
func (s *Session) Close() error {
	s.stop()
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	l.close()
	s.tasks.Wait()
	return nil
}

// call does something at the run.
func (s *Session) call(method string, d deed) error {
	ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
	defer cancel()
	return s.ask(ctx, method, d, nil)
}

func (s *Session) ask(ctx context.Context, method string, d deed, result any) error {
	s.mu.Lock()
	l, handle, away := s.link, s.handle, s.away
	s.mu.Unlock()
	if away != nil {
		return fmt.Errorf("connecting again: %w", away)
	}
	if err := l.call(ctx, method, handle, d, result); err != nil {
		return err
	}
	return s.awaitWhole(ctx, l) // what was done is seen when this returns
}
