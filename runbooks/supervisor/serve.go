package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// pushTimeout is how long a client that does not read may hold up a message
// before it is dropped: it comes back, and is told everything then.
const pushTimeout = 2 * time.Second

// client is one connection.
type client struct {
	conn *net.UnixConn
	who  runbooks.Actor
	own  bool // the peer is our own user, or root

	out  chan []byte // what is to be sent, in order
	gone chan struct{}
	once sync.Once

	runs map[uint64]*drivenRun // by handle; touched by the client's reader alone
	next uint64

	asked time.Time // when it asked last; guarded by the server's mu
	calls int       // what it asked and is not answered yet; guarded by the server's mu

	telling sync.Mutex
	untold  []runbooks.Event // of the record that is being told, what did not fit yet
	fault   string           // why nothing comes after those
}

// serve answers one connection until it ends.
func (s *server) serve(ctx context.Context, conn *net.UnixConn, accepted time.Duration) {
	defer conn.Close() //nolint:errcheck // it is being closed either way
	who, own, err := peer(conn, accepted)
	if err == nil && !own && s.o.Group < 0 {
		err = fmt.Errorf("user %d has no business here", who.UID)
	}
	if err != nil {
		s.o.Log.Warn("a client was refused", "error", err)
		return
	}
	c := &client{
		conn: conn, who: who, own: own, asked: s.o.Now(),
		out: make(chan []byte, 256), gone: make(chan struct{}), runs: map[uint64]*drivenRun{},
	}
	in := newReader(conn, maxRequest)
	if err := s.admit(c); err != nil {
		s.turnAway(c, in, err)
		return
	}
	defer s.dismiss(c)
	s.tasks.Go(func() { defer crash.Recover(); c.write() })
	err = s.greet(c, in)
	if errors.Is(err, errReplaced) {
		s.o.Log.Info("this supervisor ends", "why", err)
		s.end()
		return
	}
	if err != nil {
		s.o.Log.Warn("a client did not introduce itself", "error", err)
		return
	}
	in.limit(conn, frameTimeout)
	var calls sync.WaitGroup
	defer calls.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		f, err := in.next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.o.Log.Info("a client is gone", "error", err)
			}
			return
		}
		s.dispatch(ctx, c, f, &calls)
	}
}

// turnAway tells a client for which there is no place why. Few are told at a
// time; one more is only closed.
func (s *server) turnAway(c *client, in *reader, why error) {
	s.o.Log.Warn("a client was turned away", "uid", c.who.UID, "error", why)
	select {
	case s.turning <- struct{}{}:
		defer func() { <-s.turning }()
	default:
		return
	}
	c.conn.SetDeadline(time.Now().Add(helloTimeout)) //nolint:errcheck // a closed connection fails the read
	f, err := in.next()
	if err != nil {
		return
	}
	if raw, err := encode(frame{ID: f.ID, Err: toWire(why)}); err == nil {
		c.conn.Write(raw) //nolint:errcheck // it is turned away either way
	}
}

func (s *server) dismiss(c *client) {
	s.mu.Lock()
	delete(s.clients, c)
	left := map[*drivenRun]bool{}
	for _, r := range s.runs {
		_, here := r.clients[c]
		left[r] = here
		delete(r.clients, c)
	}
	for _, r := range c.runs {
		delete(r.clients, c)
	}
	s.touched = time.Now()
	s.mu.Unlock()
	c.end()
	for r, here := range left {
		if here {
			s.gone(r, c.who)
		}
	}
}

// gone records that somebody's last connection to a run ended, if that matters.
func (s *server) gone(r *drivenRun, who runbooks.Actor) {
	if s.present(r.key)(who) {
		return
	}
	if err := r.local.Left(who); err != nil {
		s.o.Log.Warn("recording that the driver left", "run", r.key, "error", err)
	}
}

func (c *client) end() {
	c.once.Do(func() {
		close(c.gone)
		c.conn.Close() //nolint:errcheck // it is being closed either way
	})
}

// write sends what is queued; a peer that does not take it is dropped.
func (c *client) write() {
	for {
		select {
		case <-c.gone:
			return
		case raw := <-c.out:
			c.conn.SetWriteDeadline(time.Now().Add(pushTimeout)) //nolint:errcheck // a closed connection fails the write
			if _, err := c.conn.Write(raw); err != nil {
				c.end()
				return
			}
		}
	}
}

// send queues a frame; a client whose queue is full does not read and is dropped.
func (c *client) send(f frame) {
	raw, err := encode(f)
	if err != nil {
		raw, _ = encode(frame{ID: f.ID, Err: toWire(err)}) // an error of text always encodes
	}
	select {
	case c.out <- raw:
	case <-c.gone:
	default:
		c.end()
	}
}

func (c *client) push(handle uint64, n news) { c.send(frame{Handle: handle, News: &n}) }

func (c *client) answer(id uint64, result any, err error) {
	f := frame{ID: id, Err: toWire(err)}
	if err == nil && result != nil {
		raw, encodeErr := json.Marshal(result)
		f.Result, f.Err = raw, toWire(encodeErr)
	}
	c.send(f)
}

// greet reads who speaks which protocol.
func (s *server) greet(c *client, in *reader) error {
	c.conn.SetReadDeadline(time.Now().Add(helloTimeout)) //nolint:errcheck // a closed connection fails the read
	f, err := in.next()
	if err != nil {
		return err
	}
	var h hello
	if f.Method != "hello" || json.Unmarshal(f.Params, &h) != nil {
		return errors.New("the first word is not hello")
	}
	c.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // a closed connection fails the next read
	if c.who.TTY == "" {
		c.who.TTY = clean.Line(h.TTY, 40)
	}
	if h.Protocol != protocol {
		err := fmt.Errorf("the supervisor is opsdeck %s (process %d) and speaks another protocol: let it end, or end it", s.o.Version, os.Getpid())
		c.answer(f.ID, nil, err)
		time.Sleep(100 * time.Millisecond) // the answer goes out before the door closes
		return err
	}
	s.meet(h.Site)
	if c.own && s.replaceable(h.Site) {
		return errReplaced // the connection ends, and the client starts another one
	}
	file, _ := s.file()
	c.answer(f.ID, welcome{Protocol: protocol, Version: s.o.Version, PID: os.Getpid(), You: c.who, Site: file}, nil)
	return nil
}

// dispatch answers one request. What may take long has a goroutine of its own,
// so that nobody waits behind a preview.
func (s *server) dispatch(ctx context.Context, c *client, f frame, calls *sync.WaitGroup) {
	if f.Method == "ping" { // it asks for nothing, and does not make a client less idle
		c.answer(f.ID, nil, nil)
		return
	}
	done := s.busy(c)
	switch f.Method {
	case "open":
		defer done()
		opened, err := s.open(ctx, c, f.Params)
		c.answer(f.ID, opened, err)
		return
	case "events":
		calls.Go(func() {
			defer done()
			defer crash.Recover()
			s.record(c, f)
		})
		return
	case "rest":
		defer done()
		s.rest(c, f.Handle)
		c.answer(f.ID, nil, nil)
		return
	case "leave":
		defer done()
		s.leaveRun(c, f.Handle)
		c.answer(f.ID, nil, nil)
		return
	}
	r := c.runs[f.Handle]
	var d deed
	decoder := json.NewDecoder(bytes.NewReader(f.Params))
	decoder.DisallowUnknownFields()
	switch {
	case r == nil:
		done()
		c.answer(f.ID, nil, errors.New("that run is not open"))
		return
	case len(f.Params) > 0 && decoder.Decode(&d) != nil:
		done()
		c.answer(f.ID, nil, fmt.Errorf("the parameters of %s cannot be read", f.Method))
		return
	}
	calls.Go(func() {
		defer done()
		defer crash.Recover()
		if err := s.fits(f.Method, f.Site); err != nil {
			c.answer(f.ID, nil, err)
			return
		}
		s.keepUp(r)
		result, err := do(ctx, f.Method, r.local.As(c.who), d)
		s.tell(r) // what was recorded is told before the answer says so
		c.answer(f.ID, result, err)
	})
}

// open joins a client to a run.
func (s *server) open(ctx context.Context, c *client, params json.RawMessage) (*openedRun, error) {
	var p openRun
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fmt.Errorf("reading what to open: %w", err)
	}
	select {
	case <-s.adopted:
	case <-c.gone:
		return nil, errGone
	case <-s.ends:
		return nil, errGone
	}
	book, err := s.o.Book(p.Path, []byte(p.Source), p.Hash, c.own)
	if err != nil {
		return nil, err
	}
	r, err := s.join(context.WithoutCancel(ctx), book, p.Section, c.who)
	if err != nil {
		return nil, err
	}
	handle, err := c.handleFor(r)
	if err != nil {
		s.mu.Lock()
		r.joining--
		s.mu.Unlock()
		return nil, err
	}
	t := &tail{handle: handle}
	if p.Parts {
		t.part = s.o.Part
	}
	events, recorded := r.local.Events()
	pinned := r.local.Book()
	opened := &openedRun{
		Handle: handle, Source: string(pinned.Source), Path: pinned.Path, Section: p.Section, Estimates: r.local.Estimates(),
		News: t.next(events, recorded),
	}
	opened.News.Reset, opened.News.Outdated = true, r.local.Outdated()
	failed := r.local.Err()
	s.mu.Lock()
	opened.News.Broken = s.brokenIn(failed)
	t.broken = opened.News.Broken
	r.joining--
	here := s.runs[r.key] == r
	if here {
		r.clients[c] = t
	}
	s.mu.Unlock()
	if !here { // its record failed and took events again meanwhile
		return s.open(ctx, c, params)
	}
	c.runs[t.handle] = r
	if err := r.local.Returned(c.who); err != nil {
		s.o.Log.Warn("recording that the driver is back", "run", r.key, "error", err)
	}
	return opened, nil
}

// handleFor is the client's name for a run: the one that it has, or a new one.
func (c *client) handleFor(r *drivenRun) (uint64, error) {
	for handle, open := range c.runs {
		if open == r {
			return handle, nil
		}
	}
	if len(c.runs) >= maxOpen {
		return 0, fmt.Errorf("%d runs are open on this connection: leave one of them first", len(c.runs))
	}
	c.next++
	return c.next, nil
}

// join is the run, which is not closed for want of clients until the one that
// joins is one of them, or has died.
func (s *server) join(ctx context.Context, book runbooks.Runbook, section string, who runbooks.Actor) (*drivenRun, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.driven(book.ID+"/"+section) == nil {
		if err := s.pace.take(who.UID, s.o.Now()); err != nil {
			return nil, err
		}
	}
	r, err := s.run(ctx, book, section, who)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.joining++
	return r, nil
}

func (s *server) leaveRun(c *client, handle uint64) {
	r := c.runs[handle]
	if r == nil {
		return
	}
	delete(c.runs, handle)
	s.mu.Lock()
	delete(r.clients, c)
	s.mu.Unlock()
	s.gone(r, c.who)
}
