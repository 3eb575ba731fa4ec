package runbooks

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Fold applies the events of one run in their order.
func Fold(events []Event) (Run, error) {
	var r Run
	for _, e := range events {
		r.alone = true
		var err error
		if r, err = r.Apply(e); err != nil {
			return r.shared(), err
		}
	}
	return r.shared(), nil
}

// FoldAll folds the events of many runs, in the order in which the runs were
// opened. Events that do not fit are reported, all of them, and left out: one
// bad run must not hide the others.
func FoldAll(events iter.Seq2[Event, error]) ([]Run, error) {
	var runs []Run
	var problems []error
	at := map[string]int{}
	for e, err := range events {
		if err != nil {
			problems = append(problems, fmt.Errorf("reading the journal: %w", err))
			break
		}
		i, known := at[e.Run]
		if !known {
			i = len(runs)
			runs = append(runs, Run{})
			at[e.Run] = i
		}
		runs[i].alone = true
		next, err := runs[i].Apply(e)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		runs[i] = next
	}
	for i := range runs {
		runs[i] = runs[i].shared()
	}
	runs = slices.DeleteFunc(runs, func(r Run) bool { return r.ID == "" })
	return runs, errors.Join(problems...)
}

// shared is the run as it is handed out: from here on it is not changed in
// place.
func (r Run) shared() Run {
	r.alone = false
	return r
}
