package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/identity"
)

// Options are what a supervisor is made of. Dir, Events, Drive and Book are
// required.
type Options struct {
	Dir     string // the state directory
	Socket  string // "" means supervisor.sock in Dir
	Group   int    // whose members may connect; -1: nobody but the owner
	Version string

	// Drive prepares a run of a section for the first client that opens it.
	Drive func(ctx context.Context, book runbooks.Runbook, section string, who runbooks.Actor, present func(runbooks.Actor) bool) (*runbooks.Local, error)

	// Book is the runbook that a client named: the shelf's own, or one read
	// from the bytes that it sent if it may bring its own.
	Book func(path string, source []byte, hash runbooks.Hash, mayBring bool) (runbooks.Runbook, error)

	// Unsettled are the runs that something goes on in, found in the journal
	// at the start: their runbooks and sections. An error is one that may be gone
	// when the journal is read again, which is done until there is none.
	Unsettled func() ([]Unsettled, error)

	// Events is the whole record, for clients that cannot read its files.
	Events func() iter.Seq2[runbooks.Event, error]

	// Newest is the number of the record's last event. Those who ask again and
	// again what is new are answered without reading it all; nil: it is read.
	Newest func() (uint64, error)

	// Failed is why the record takes nothing since an append failed; nil while it
	// does. nil: only runs tell.
	Failed func() error

	// Recover makes a record that failed take events again, once whatever was in
	// the way is gone: it verifies before it does. nil: there is no way back.
	Recover func() error

	// Rest is called when nothing is driven any more: the journal is closed
	// in good order.
	Rest func() error

	// Site is the site file in use, and the site that it says; nil: clients are
	// not compared with it. Reload reads the file again, for a client that has
	// another one.
	Site   func() (SiteFile, runbooks.Site)
	Reload func()

	Now func() time.Time // nil: time.Now

	Part int           // bytes of events that one message holds, about; 0: 4 MiB
	Idle time.Duration // how long to stay when nothing is left; 0 means a minute
	Log  *slog.Logger  // nil: none
}

// An Unsettled run has a step or a watch that goes on without anybody.
type Unsettled struct {
	Book    runbooks.Runbook
	Section string
	Driver  runbooks.Actor
}

// server is a supervisor at work.
type server struct {
	o     Options
	ends  <-chan struct{} // closed when the supervisor is to end
	end   context.CancelFunc
	tasks sync.WaitGroup

	turning chan struct{} // clients that are being told that there is no place

	opening sync.Mutex // one run is prepared at a time; taken before mu
	pace    pace       // guarded by opening

	mu      sync.Mutex
	clients map[*client]bool
	runs    map[string]*drivenRun
	touched time.Time // when there was last something to do

	broken    string        // why nothing is recorded, for clients; "" while all is
	adopted   chan struct{} // closed when what was left running was looked for
	unadopted error         // why what was left running could not be looked for, if that may pass
}

// Serve listens until ctx ends or there has been nothing to do for a while.
// ready is called once, when clients can connect: before the record is read,
// which may take a while. Who opens a run waits for that.
func Serve(ctx context.Context, o Options, ready func()) error {
	if o.Idle == 0 {
		o.Idle = time.Minute
	}
	if o.Part == 0 {
		o.Part = 4 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	listener, release, err := listen(o)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{
		o: o, ends: ctx.Done(), end: cancel, clients: map[*client]bool{}, runs: map[string]*drivenRun{}, touched: time.Now(),
		turning: make(chan struct{}, ownerPlaces), pace: pace{}, adopted: make(chan struct{}),
	}
	s.tasks.Go(func() { defer close(s.adopted); defer crash.Recover(); s.adopt(ctx) })
	s.tasks.Go(func() { defer crash.Recover(); s.accept(ctx, listener) })
	s.tasks.Go(func() { defer crash.Recover(); s.retire(ctx) })
	s.tasks.Go(func() { defer crash.Recover(); s.watchClock(ctx) })
	s.tasks.Go(func() { defer crash.Recover(); s.heal(ctx) })
	ready()
	<-ctx.Done()
	listener.Close() //nolint:errcheck // it is being closed either way
	return s.close()
}

// adopt goes on with what a supervisor before this one left running.
func (s *server) adopt(ctx context.Context) {
	if s.o.Unsettled == nil {
		return
	}
	list, err := s.o.Unsettled()
	if err != nil {
		s.o.Log.Error("looking for what was left running", "error", err)
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	for _, u := range list {
		if _, runErr := s.run(ctx, u.Book, u.Section, u.Driver); runErr != nil {
			s.o.Log.Error("adopting a run", "runbook", u.Book.ID, "section", u.Section, "error", runErr)
			err = errors.Join(err, passing(runErr))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unadopted = err // heal tries again
}

// adopting reports whether the record is still being read for what was left
// running.
func (s *server) adopting() bool {
	select {
	case <-s.adopted:
		return false
	default:
		return true
	}
}

func (s *server) accept(ctx context.Context, l *net.UnixListener) {
	for {
		conn, err := l.AcceptUnix()
		accepted := identity.SinceBoot()
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				s.o.Log.Error("accepting a client", "error", err)
				time.Sleep(100 * time.Millisecond) // out of descriptors: clients wait, nothing is lost
				continue
			}
			return
		}
		s.tasks.Go(func() { defer crash.Recover(); s.serve(ctx, conn, accepted) })
	}
}

// retire ends the supervisor when there has been nothing to do for a while.
func (s *server) retire(ctx context.Context) {
	tick := time.NewTicker(max(s.o.Idle/20, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		needed := len(s.clients) > 0 || len(s.runs) > 0 || s.adopting()
		if needed {
			s.touched = time.Now()
		}
		idle := time.Since(s.touched)
		s.mu.Unlock()
		_, gone := os.Stat(s.o.Dir)
		if idle >= s.o.Idle || errors.Is(gone, fs.ErrNotExist) || !needed && s.siteGone() {
			s.o.Log.Info("nothing left to do", "idle", idle)
			s.end()
			return
		}
	}
}

// close ends the clients' connections and the runs; steps live on.
func (s *server) close() error {
	<-s.adopted // what it finds is closed, too
	s.mu.Lock()
	for c := range s.clients {
		c.conn.Close() //nolint:errcheck // it is being closed either way
	}
	runs := slices.Collect(maps.Values(s.runs))
	s.mu.Unlock()
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.local.Close())
	}
	s.tasks.Wait()
	if s.o.Rest != nil {
		errs = append(errs, s.o.Rest())
	}
	return errors.Join(errs...)
}

// present reports whether an actor is connected to a run.
func (s *server) present(key string) func(runbooks.Actor) bool {
	return func(who runbooks.Actor) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		r := s.runs[key]
		if r == nil {
			return false
		}
		for c := range r.clients {
			if c.who.Identity() == who.Identity() {
				return true
			}
		}
		return false
	}
}

// driven is the run of that key that goes on here; nil if none does.
func (s *server) driven(key string) *drivenRun {
	s.mu.Lock()
	r := s.runs[key]
	s.mu.Unlock()
	if r == nil || r.local.Over() {
		return nil
	}
	return r
}

// run is the run of a section that is driven here, prepared if it is not yet.
// The caller holds opening.
func (s *server) run(ctx context.Context, book runbooks.Runbook, section string, who runbooks.Actor) (*drivenRun, error) {
	key := book.ID + "/" + section
	if r := s.driven(key); r != nil {
		return r, nil
	}
	under, _ := s.file()
	local, err := s.o.Drive(ctx, book, section, who, s.present(key))
	if err != nil {
		return nil, fmt.Errorf("preparing the run: %w", err)
	}
	unadopted := local.Adopt()
	if unadopted != nil {
		s.o.Log.Error("adopting a run", "run", key, "error", unadopted)
	}
	r := &drivenRun{key: key, local: local, clients: map[*client]*tail{}, over: make(chan struct{}), unadopted: passing(unadopted), site: under.Hash}
	s.mu.Lock()
	s.runs[key] = r
	s.mu.Unlock()
	s.tasks.Go(func() { defer crash.Recover(); s.tend(r) })
	return r, nil
}
