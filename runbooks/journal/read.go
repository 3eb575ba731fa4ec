package journal

import (
	"database/sql"
	"fmt"
	"iter"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// readChunk is how many events the process that writes the journal reads at a
// time: whoever appends waits no longer than that takes.
const readChunk = 500

// Events yields every event, oldest first. A process that does not write the
// journal reads a private copy. The caller may append while it walks them;
// what is appended meanwhile is not among them.
func (j *Journal) Events() iter.Seq2[runbooks.Event, error] { return j.After(0) }

// After yields the events behind the one of that number, as Events does.
func (j *Journal) After(seq uint64) iter.Seq2[runbooks.Event, error] {
	return func(yield func(runbooks.Event, error) bool) {
		r := reading{after: seq, yield: yield}
		for {
			chunk, own := j.chunk(&r)
			if !own {
				r.failed(withCopy(j.dir, func(db *sql.DB) error { return r.rest(db) }))
				return
			}
			if len(chunk) == 0 || !r.hand(chunk) {
				return
			}
		}
	}
}

// reading is one walk through the journal.
type reading struct {
	after   uint64 // the newest event that was handed on
	hash    Hash   // its hash
	known   bool   // hash is known
	last    uint64 // where a walk of the process that writes ends; 0: not known yet
	yield   func(runbooks.Event, error) bool
	decoder runbooks.Decoder
	stopped bool // the caller wants no more
}

// chunk reads what comes next, if this process writes the journal; own says
// whether it does.
func (j *Journal) chunk(r *reading) (list []entry, own bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.db == nil {
		return nil, false
	}
	if r.last == 0 {
		r.last = j.head.Seq
	}
	if r.after >= r.last {
		return nil, true
	}
	if err := r.begin(j.db); err != nil {
		r.failed(err)
		return nil, true
	}
	for e, err := range entriesAfter(j.db, r.after, int(min(readChunk, r.last-r.after))) {
		if err != nil {
			r.failed(err)
			return nil, true
		}
		list = append(list, e)
	}
	return list, true
}

// begin finds the hash of the event that the walk begins behind.
func (r *reading) begin(db *sql.DB) error {
	if r.known || r.after == 0 {
		return nil
	}
	var hash []byte
	if err := db.QueryRow("SELECT hash FROM events WHERE seq = ?", int64(r.after)).Scan(&hash); err != nil {
		return fmt.Errorf("looking for event %d of the journal: %w", r.after, err)
	}
	copy(r.hash[:], hash)
	r.known = true
	return nil
}

// rest hands on all that a copy holds from here on.
func (r *reading) rest(db *sql.DB) error {
	if err := r.begin(db); err != nil {
		return err
	}
	for e, err := range entriesAfter(db, r.after, -1) {
		if err != nil {
			return err
		}
		if !r.hand([]entry{e}) {
			return nil
		}
	}
	return nil
}

// hand hands entries on until the caller wants no more.
func (r *reading) hand(list []entry) bool {
	for _, e := range list {
		event, err := r.decode(e)
		r.after, r.hash, r.known = e.seq, e.hash, true
		if !r.yield(event, err) {
			r.stopped = true
			return false
		}
	}
	return true
}

// failed tells the caller why there is no more, unless nothing is wrong or it
// wants no more.
func (r *reading) failed(err error) {
	if err != nil && !r.stopped {
		r.yield(runbooks.Event{}, err)
		r.stopped = true
	}
}

// decode is the event of an entry, if it is the one that was recorded behind
// the one before it.
func (r *reading) decode(e entry) (runbooks.Event, error) {
	event, err := r.decoder.Event(e.body)
	if err != nil {
		return runbooks.Event{}, fmt.Errorf("decoding event %d: %w", e.seq, err)
	}
	if event.Seq != e.seq || Link(r.hash, e.body) != e.hash {
		return event, fmt.Errorf("event %d does not match its hash: run opsdeck verify", e.seq)
	}
	event.Prev, event.Hash = runbooks.Hash(r.hash), runbooks.Hash(e.hash)
	return event, nil
}
