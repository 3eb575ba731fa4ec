package web

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// stopwatch takes the moments of one request. Its hooks run on goroutines of
// net/http, some of them after the request has failed.
type stopwatch struct {
	start time.Time

	mu                           sync.Mutex
	dnsBegin, dnsEnd             time.Time
	connectBegin, connectEnd     time.Time
	handshakeBegin, handshakeEnd time.Time
	written, firstByte           time.Time

	asked  time.Time     // for a connection
	waited time.Duration // for connections; more than one if the first was closed
	opened int           // connections that were new
}

func (s *stopwatch) set(at *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*at = time.Now()
}

// first keeps the earliest moment: two families are dialled side by side.
func (s *stopwatch) first(at *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.IsZero() {
		*at = time.Now()
	}
}

// connected ends the wait for a connection.
func (s *stopwatch) connected(reused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waited += time.Since(s.asked)
	if !reused {
		s.opened++
	}
}

// connection is how long connections were waited for, and how many were new.
func (s *stopwatch) connection() (waited time.Duration, opened int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waited, s.opened
}

// resolving: a name was asked for and there is no answer yet.
func (s *stopwatch) resolving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.dnsBegin.IsZero() && s.dnsEnd.IsZero()
}

func (s *stopwatch) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { s.set(&s.asked) },
		GotConn:      func(info httptrace.GotConnInfo) { s.connected(info.Reused) },
		DNSStart:     func(httptrace.DNSStartInfo) { s.first(&s.dnsBegin) },
		DNSDone:      func(httptrace.DNSDoneInfo) { s.set(&s.dnsEnd) },
		ConnectStart: func(string, string) { s.first(&s.connectBegin) },
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				s.set(&s.connectEnd)
			}
		},
		TLSHandshakeStart:    func() { s.set(&s.handshakeBegin) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { s.set(&s.handshakeEnd) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { s.set(&s.written) },
		GotFirstResponseByte: func() { s.set(&s.firstByte) },
	}
}

// phases are the parts that were finished, in their order.
func (s *stopwatch) phases(end time.Time) []checks.Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []checks.Phase
	for _, p := range []struct {
		name     string
		from, to time.Time
	}{
		{"dns", s.dnsBegin, s.dnsEnd}, {"connect", s.connectBegin, s.connectEnd}, {"tls", s.handshakeBegin, s.handshakeEnd},
		{"first byte", s.written, s.firstByte}, {"body", s.firstByte, end},
	} {
		if !p.from.IsZero() && p.to.After(p.from) {
			all = append(all, checks.Phase{Name: p.name, Took: p.to.Sub(p.from)})
		}
	}
	return all
}
