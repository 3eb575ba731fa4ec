package runbooks

import (
	"errors"
	"fmt"
	"iter"
)

// A Record is the events of many runs, sorted by run and not folded yet: who
// wants to see one run folds that one.
type Record struct {
	ids    []string // in the order in which the runs were opened
	events map[string][]Event
	opened map[string]RunOpened
	seq    uint64
	fault  error // why the rest could not be read
}

// ReadRecord sorts events by run. What each run was opened as is decoded,
// nothing else.
func ReadRecord(events iter.Seq2[Event, error]) *Record {
	r := &Record{events: map[string][]Event{}, opened: map[string]RunOpened{}}
	for e, err := range events {
		if err != nil {
			r.fault = fmt.Errorf("reading the journal: %w", err)
			break
		}
		if _, known := r.opened[e.Run]; !known {
			if p, err := e.Payload(); err == nil {
				if opened, ok := p.(RunOpened); ok {
					r.ids, r.opened[e.Run] = append(r.ids, e.Run), opened
				}
			}
		}
		r.events[e.Run], r.seq = append(r.events[e.Run], e), e.Seq
	}
	return r
}

// IDs are the runs, in the order in which they were opened.
func (r *Record) IDs() []string { return r.ids }

// Opened is what a run was opened as.
func (r *Record) Opened(id string) RunOpened { return r.opened[id] }

// Events are those of a run, oldest first. They are not to be changed.
func (r *Record) Events(id string) []Event { return r.events[id] }

// Unread is why the record could not be read to its end; nil if it was.
func (r *Record) Unread() error { return r.fault }

// Fault is why the record could not be read to its end, and what is in it that
// belongs to no run; nil if nothing.
func (r *Record) Fault() error {
	errs := []error{r.fault}
	for id, events := range r.events {
		if _, ok := r.opened[id]; !ok && len(events) > 0 {
			errs = append(errs, illegal(events[0], "the run was never opened"))
		}
	}
	return errors.Join(errs...)
}

// Ended reports whether a run is over, and as what, by the kind of the event
// that ended it; "" while it is not.
func (r *Record) Ended(id string) EventKind {
	events := r.events[id]
	for i := len(events) - 1; i >= 0; i-- {
		switch kind := events[i].Kind; kind {
		case RunClosed{}.Kind(), RunAborted{}.Kind(), RunExpired{}.Kind():
			return kind
		}
	}
	return ""
}

// Detail is how much of its results a fold of a run keeps.
type Detail int

// The details.
const (
	InFull  Detail = iota // everything
	Newest                // all of each item's newest attempt, and of earlier ones what InBrief keeps
	InBrief               // see Folder.Brief
)

// Fold folds a run. Events that do not fit are left out and reported.
func (r *Record) Fold(id string, d Detail) (Run, error) {
	decode := whole
	switch d {
	case InBrief:
		decode = brief
	case Newest:
		decode = newestWhole(r.events[id])
	}
	var run Run
	var problems []error
	for _, e := range r.events[id] {
		p, err := decode(e)
		if err == nil {
			run.alone = true
			run, err = run.applied(e, p)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return run.shared(), errors.Join(problems...)
}

// newestWhole decodes whole what is about the newest attempts of these events'
// items, and the rest in brief.
func newestWhole(events []Event) func(Event) (Payload, error) {
	newest := map[string]int{}
	for _, e := range events {
		if _, large := briefly[e.Kind]; large { // a remark may name any attempt
			newest[e.Item] = max(newest[e.Item], e.Attempt)
		}
	}
	return func(e Event) (Payload, error) {
		if e.Attempt < newest[e.Item] {
			return brief(e)
		}
		return whole(e)
	}
}
