package runbooks

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Fold applies the events of one run in their order.
func Fold(events []Event) (Run, error) { return Run{}.ApplyAll(events) }

// ApplyAll is the run after these events in their order, up to the first that
// does not fit. Its items are copied once, not for each event.
func (r Run) ApplyAll(events []Event) (Run, error) {
	for _, e := range events {
		next, err := r.Apply(e)
		if err != nil {
			return r.shared(), err
		}
		next.alone = next.alone || !next.sharesItems(r)
		r = next
	}
	return r.shared(), nil
}

// FoldAll folds the events of many runs, in the order in which the runs were
// opened. Events that do not fit are reported, all of them, and left out: one
// bad run must not hide the others.
func FoldAll(events iter.Seq2[Event, error]) ([]Run, error) {
	var f Folder
	f.AddAll(events)
	return f.Runs()
}

// A Folder folds the events of many runs as they come, and goes on from where
// it is when there are more.
type Folder struct {
	// Brief folds what a list of runs shows: the states of items are what they
	// are, and of a result only its level, its note or error and the time it
	// took are kept.
	Brief bool

	runs     []Run
	at       map[string]int
	problems []error
	seq      uint64
}

// Seq is the number of the newest event that was added.
func (f *Folder) Seq() uint64 { return f.seq }

// Add folds one more event. One that does not fit is left out and reported.
func (f *Folder) Add(e Event) {
	f.seq = max(f.seq, e.Seq)
	decode := whole
	if f.Brief {
		decode = brief
	}
	i, known := f.at[e.Run]
	if !known {
		if f.at == nil {
			f.at = map[string]int{}
		}
		i = len(f.runs)
		f.runs = append(f.runs, Run{})
		f.at[e.Run] = i
	}
	p, err := decode(e)
	if err == nil {
		var next Run
		if next, err = f.runs[i].applied(e, p); err == nil {
			next.alone = next.alone || !next.sharesItems(f.runs[i]) // until it is handed out
			f.runs[i] = next
			return
		}
	}
	f.problems = append(f.problems, err)
}

// AddAll adds events until one cannot be read, which is reported too.
func (f *Folder) AddAll(events iter.Seq2[Event, error]) {
	for e, err := range events {
		if err != nil {
			f.problems = append(f.problems, fmt.Errorf("reading the journal: %w", err))
			return
		}
		f.Add(e)
	}
}

// Runs are the runs as they stand, in the order in which they were opened, and
// what did not fit.
func (f *Folder) Runs() ([]Run, error) {
	for i := range f.runs {
		f.runs[i] = f.runs[i].shared()
	}
	opened := slices.DeleteFunc(slices.Clone(f.runs), func(r Run) bool { return r.ID == "" })
	return opened, errors.Join(f.problems...)
}

// sharesItems reports whether two runs have their items in the same place.
func (r Run) sharesItems(other Run) bool {
	return len(r.Items) > 0 && len(other.Items) > 0 && &r.Items[0] == &other.Items[0]
}

// shared is the run as it is handed out: from here on it is not changed in
// place.
func (r Run) shared() Run {
	r.alone = false
	return r
}
