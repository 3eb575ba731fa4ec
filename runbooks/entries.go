package runbooks

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
)

// Entries is a list that grows at its end and whose newest entry may still be
// replaced. It is a value like a Run: adding and replacing give another list
// and leave this one as it is, for whoever holds it. Both take the same time
// however long the list is. The zero value is empty.
type Entries[T any] struct {
	older  []T           // all but the newest; what is within its length never changes
	newest *T            // nil of an empty list
	taken  *atomic.Int64 // how much of the array behind older is in use, by any list that shares it
}

// EntriesOf is a list of these.
func EntriesOf[T any](all ...T) Entries[T] {
	var l Entries[T]
	for _, v := range all {
		l = l.with(v)
	}
	return l
}

// Len is how many entries there are.
func (l Entries[T]) Len() int {
	if l.newest == nil {
		return 0
	}
	return len(l.older) + 1
}

// At is the entry at i, from 0, the oldest. It panics outside of the list.
func (l Entries[T]) At(i int) T {
	if i == len(l.older) && l.newest != nil {
		return *l.newest
	}
	return l.older[i]
}

// Newest is the last entry; ok is false if there is none.
func (l Entries[T]) Newest() (newest T, ok bool) {
	if l.newest == nil {
		return newest, false
	}
	return *l.newest, true
}

// All yields the entries, oldest first.
func (l Entries[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range l.older {
			if !yield(v) {
				return
			}
		}
		if l.newest != nil {
			yield(*l.newest)
		}
	}
}

// Backward yields the entries, newest first.
func (l Entries[T]) Backward() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := l.Len() - 1; i >= 0; i-- {
			if !yield(l.At(i)) {
				return
			}
		}
	}
}

// with is the list with one more entry.
func (l Entries[T]) with(v T) Entries[T] {
	if l.newest != nil {
		l = l.kept(*l.newest)
	}
	l.newest = &v
	return l
}

// replaced is the list with another entry in the place of the newest, of which
// there must be one.
func (l Entries[T]) replaced(v T) Entries[T] {
	l.newest = &v
	return l
}

// kept puts an entry behind the older ones. Two lists may go on from the same
// one: the first to take the next place of the array that they share gets it,
// the other makes an array of its own.
func (l Entries[T]) kept(v T) Entries[T] {
	n := len(l.older)
	if n < cap(l.older) && l.taken.CompareAndSwap(int64(n), int64(n)+1) {
		l.older = append(l.older, v)
		return l
	}
	grown := make([]T, n, max(4, 2*n))
	copy(grown, l.older)
	l.older, l.taken = append(grown, v), new(atomic.Int64)
	l.taken.Store(int64(n) + 1)
	return l
}

// List is a copy of the entries, oldest first; nil if there are none.
func (l Entries[T]) List() []T { return slices.Collect(l.All()) }

// MarshalJSON writes the entries as an array; null if there are none.
func (l Entries[T]) MarshalJSON() ([]byte, error) { return json.Marshal(l.List()) }

// String is the entries as they print.
func (l Entries[T]) String() string { return fmt.Sprintf("%+v", l.List()) }
