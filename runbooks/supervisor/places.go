package supervisor

import (
	"fmt"
	"time"
)

// Who may be connected at a time.
const (
	maxClients  = 64          // of other users
	ownerPlaces = 8           // beyond those, for our own user and root alone
	idleAfter   = time.Minute // a client that asks nothing for so long makes room for another
)

// helloTimeout is how long either side waits for the other's first words.
const helloTimeout = 2 * time.Second

// admit gives a client a place. Where all are taken the client that has been
// idle the longest loses its own; it may come back when there is room. The error
// says why there is none.
func (s *server) admit(c *client) error {
	s.mu.Lock()
	left, err := s.makeRoom(c.own)
	if err == nil {
		delete(s.clients, left)
		s.clients[c] = true
	}
	s.mu.Unlock()
	if left != nil {
		s.o.Log.Info("an idle client made room for another", "client", left.who.String(), "uid", left.who.UID)
		left.end()
	}
	return err
}

// makeRoom is the client that has to go for another to come, nil if none has
// to. The caller holds mu.
func (s *server) makeRoom(own bool) (*client, error) {
	others := 0
	for c := range s.clients {
		if !c.own {
			others++
		}
	}
	full := others >= maxClients && !own // the other places are the owner's
	if !full && len(s.clients) < maxClients+ownerPlaces {
		return nil, nil
	}
	if left := s.longestIdle(func(c *client) bool { return !full || !c.own }); left != nil {
		return left, nil
	}
	taken := len(s.clients)
	if full {
		taken = others
	}
	return nil, fmt.Errorf("all %d places of the supervisor are taken, and none has been idle for %v: end a deck, or wait", taken, idleAfter)
}

// longestIdle is the client to end when another needs its place: one that looks
// at no run before one that does, then the one that asked last the longest ago.
// It is nil if none of those that may go is idle. The caller holds mu.
func (s *server) longestIdle(mayGo func(*client) bool) *client {
	looking := map[*client]bool{}
	for _, r := range s.runs {
		for c := range r.clients {
			looking[c] = true
		}
	}
	var found *client
	now := s.o.Now()
	for c := range s.clients {
		if !mayGo(c) || c.calls > 0 || now.Sub(c.asked) < idleAfter {
			continue
		}
		switch {
		case found == nil,
			looking[found] && !looking[c],
			looking[found] == looking[c] && c.asked.Before(found.asked):
			found = c
		}
	}
	return found
}

// busy notes that a client asks something; done that it has been answered.
func (s *server) busy(c *client) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.asked = s.o.Now()
	c.calls++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.asked = s.o.Now()
		c.calls--
	}
}
