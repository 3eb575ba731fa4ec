package command

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// keep is how much of the beginning and of the end of a stream is kept.
const keep = 64 << 10

// A stream takes one of a command's two outputs: it keeps the first and the
// last 64 KiB, counts the rest and copies all of it to whoever listens.
type stream struct {
	budget *budget   // nil: this stream is not bounded
	to     io.Writer // instead of keeping; its error ends the command
	live   *listener // in addition; its error is of no consequence

	mu    sync.Mutex
	head  []byte
	tail  ring
	total int64
	err   error // of to
}

// Write never fails because of a listener, and always takes everything.
func (s *stream) Write(b []byte) (int, error) {
	if s.budget != nil && !s.budget.spend(len(b)) {
		return 0, errBudget
	}
	if s.to != nil {
		n, err := s.to.Write(b)
		s.note(err)
		return n, err
	}
	s.keep(b)
	s.live.write(b)
	return len(b), nil
}

func (s *stream) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

func (s *stream) keep(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total += int64(len(b))
	n := min(len(b), keep-len(s.head))
	s.head = append(s.head, b[:n]...)
	s.tail.write(b[n:])
}

// kept is what is left of the stream, with a line where something is missing.
func (s *stream) kept() (text []byte, truncated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tail := s.tail.bytes()
	lost := s.total - int64(len(s.head)) - int64(len(tail))
	text = append([]byte(nil), s.head...)
	if lost > 0 {
		text = fmt.Appendf(text, "\n[... %d bytes left out ...]\n", lost)
	}
	return append(text, tail...), lost > 0
}

// failure is the error of the writer that took the stream.
func (s *stream) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// A ring holds the last 64 KiB written to it.
type ring struct {
	buf  []byte
	next int // where the next byte goes once buf is full
}

func (r *ring) write(b []byte) {
	if len(b) > keep {
		b = b[len(b)-keep:]
	}
	n := min(len(b), keep-len(r.buf))
	r.buf = append(r.buf, b[:n]...)
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = copy(r.buf[r.next:], b)
		r.next = (r.next + n) % keep
	}
}

func (r *ring) bytes() []byte {
	return append(append([]byte(nil), r.buf[r.next:]...), r.buf[:r.next]...)
}

// A listener passes both streams on as they come, one write at a time.
type listener struct {
	mu sync.Mutex
	to io.Writer
}

func (l *listener) write(b []byte) {
	if l.to == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.to.Write(b); err != nil {
		l.to = io.Discard // who does not listen any more must not stop the command
	}
}

// A budget is how many bytes a command may put out.
type budget struct {
	left atomic.Int64
	once sync.Once
	over chan struct{} // closed when it is used up
}

var errBudget = fmt.Errorf("too much output")

func newBudget(bytes int64) *budget {
	b := &budget{over: make(chan struct{})}
	b.left.Store(bytes)
	return b
}

func (b *budget) spend(n int) bool {
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.once.Do(func() { close(b.over) })
	return false
}
