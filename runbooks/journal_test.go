package runbooks_test

import (
	"errors"
	"iter"
	"sync"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// memory is a journal in a slice. After fail events it takes no more.
type memory struct {
	mu     sync.Mutex
	events []runbooks.Event
	fail   int // 0: never
}

var errFull = errors.New("no space left on device")

func (m *memory) Append(e runbooks.Event) (runbooks.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail > 0 && len(m.events) >= m.fail {
		return runbooks.Event{}, errFull
	}
	e.Seq = uint64(len(m.events) + 1)
	m.events = append(m.events, e)
	return e, nil
}

func (m *memory) After(seq uint64) iter.Seq2[runbooks.Event, error] {
	return func(yield func(runbooks.Event, error) bool) {
		for e, err := range m.Events() {
			if e.Seq > seq && !yield(e, err) {
				return
			}
		}
	}
}

func (m *memory) Events() iter.Seq2[runbooks.Event, error] {
	m.mu.Lock()
	events := m.events[:len(m.events):len(m.events)]
	m.mu.Unlock()
	return func(yield func(runbooks.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memory) kinds() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kinds []string
	for _, e := range m.events {
		name := string(e.Kind)
		if e.Item != "" {
			name += " " + e.Item
		}
		kinds = append(kinds, name)
	}
	return kinds
}
