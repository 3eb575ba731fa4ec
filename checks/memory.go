package checks

import "sync"

// Memory is what a check remembers from one run to its next in this process:
// the previous counters that a rate needs. A headless command starts with an
// empty one, so a module must do without (sample twice, or say "not yet").
type Memory struct {
	mu     sync.Mutex
	values map[string]any
}

// Remembered returns what was stored under the key, if it has the type.
// It works on a nil Memory.
func Remembered[T any](m *Memory, key string) (T, bool) {
	var none T
	if m == nil {
		return none, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key].(T)
	return v, ok
}

// Remember stores a value for the next run. It works on a nil Memory.
func Remember[T any](m *Memory, key string, value T) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string]any{}
	}
	m.values[key] = value
}
