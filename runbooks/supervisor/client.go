package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// errGone ends every call that waits when the connection ends.
var errGone = errors.New("the supervisor is gone")

// link is one connection to a supervisor, from the client's side.
type link struct {
	conn   net.Conn
	you    runbooks.Actor
	theirs SiteFile        // the supervisor's, when it greeted us
	ours   func() SiteFile // nil: it is not said

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan frame
	pushes  map[uint64]func(news) // by handle
	early   map[uint64][]news     // pushes that came before the answer that names their handle
	gone    chan struct{}
}

// dial connects to the socket and introduces us.
func (c *Client) dial(ctx context.Context) (*link, error) {
	dir, short, err := through(c.Socket)
	if err != nil {
		return nil, fmt.Errorf("opening the socket's folder: %w", err)
	}
	defer dir.Close()
	greeting, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(greeting, "unix", short)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, ours: c.Site, waiting: map[uint64]chan frame{}, pushes: map[uint64]func(news){}, early: map[uint64][]news{}, gone: make(chan struct{})}
	go func() { defer crash.Recover(); l.read() }()
	var w welcome
	if err := l.call(greeting, "hello", 0, hello{Protocol: protocol, Version: c.Version, TTY: c.TTY, Site: l.site().Hash}, &w); err != nil {
		if greeting.Err() != nil && ctx.Err() == nil {
			err = l.silent(helloTimeout)
		}
		l.close()
		return nil, fmt.Errorf("greeting the supervisor: %w", err)
	}
	l.you, l.theirs = w.You, w.Site
	return l, nil
}

// site is the site file that this process uses, zero if it is not said.
func (l *link) site() SiteFile {
	if l.ours == nil {
		return SiteFile{}
	}
	return l.ours()
}

// read hands answers to those who wait and news to those who listen. It ends
// with the connection.
func (l *link) read() {
	defer close(l.gone)
	defer l.conn.Close() //nolint:errcheck // it is being closed either way
	in := newReader(l.conn, maxAnswer)
	for {
		f, err := in.next()
		if err != nil {
			return
		}
		l.mu.Lock()
		if f.News != nil {
			listen := l.pushes[f.Handle]
			if listen == nil {
				l.early[f.Handle] = append(l.early[f.Handle], *f.News)
			}
			l.mu.Unlock()
			if listen != nil {
				listen(*f.News)
			}
			continue
		}
		answer := l.waiting[f.ID]
		delete(l.waiting, f.ID)
		l.mu.Unlock()
		if answer != nil {
			answer <- f
		}
	}
}

// call asks and waits for the answer.
func (l *link) call(ctx context.Context, method string, handle uint64, params, result any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	answer := make(chan frame, 1)
	site := l.site()
	l.mu.Lock()
	l.next++
	id := l.next
	l.waiting[id] = answer
	line, err := encode(frame{ID: id, Method: method, Handle: handle, Params: raw, Site: site.Hash})
	if err == nil {
		l.conn.SetWriteDeadline(time.Now().Add(callTimeout)) //nolint:errcheck // a closed connection fails the write
		_, err = l.conn.Write(line)
	}
	l.mu.Unlock()
	if err != nil {
		l.conn.Close() //nolint:errcheck // half a message may have been sent
		return fmt.Errorf("%w: %w", errGone, err)
	}
	select {
	case f := <-answer:
		if f.Err != nil {
			return ofSite(fromWire(f.Err), site)
		}
		if result == nil || len(f.Result) == 0 {
			return nil
		}
		if err := json.Unmarshal(f.Result, result); err != nil {
			return fmt.Errorf("reading the supervisor's answer: %w", err)
		}
		return nil
	case <-l.gone:
		return errGone
	case <-ctx.Done():
		l.mu.Lock()
		delete(l.waiting, id)
		l.mu.Unlock()
		return fmt.Errorf("waiting for the supervisor: %w", ctx.Err())
	}
}

// ofSite adds our side to a refusal for the site file.
func ofSite(err error, ours SiteFile) error {
	var other *SiteError
	if errors.As(err, &other) {
		other.Ours = ours
	}
	return err
}

// listen hands on the news of a handle, those that came early first.
func (l *link) listen(handle uint64, do func(news)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.early[handle] {
		do(n)
	}
	delete(l.early, handle)
	l.pushes[handle] = do
}

func (l *link) close() {
	l.conn.Close() //nolint:errcheck // it is being closed either way
	<-l.gone
}
