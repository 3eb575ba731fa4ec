package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// Events is the whole record of a supervisor that runs as another user, whose
// files are closed to us. The hashes come with the events; whether they are
// those of the files, only the supervisor's user can tell.
func (c *Client) Events(ctx context.Context) iter.Seq2[runbooks.Event, error] {
	return c.EventsAfter(ctx, 0)
}

// EventsAfter is the record after the event of that number.
func (c *Client) EventsAfter(ctx context.Context, seq uint64) iter.Seq2[runbooks.Event, error] {
	return func(yield func(runbooks.Event, error) bool) {
		l, err := c.connect(ctx)
		if err != nil {
			yield(runbooks.Event{}, err)
			return
		}
		defer l.close()
		for after := seq; ; {
			told, err := l.record(ctx, after)
			if err != nil {
				yield(runbooks.Event{}, err)
				return
			}
			for _, e := range told.Events {
				if after = e.Seq; !yield(e, nil) {
					return
				}
			}
			if told.Fault != "" {
				yield(runbooks.Event{}, errors.New(told.Fault))
				return
			}
			if !told.More {
				return
			}
		}
	}
}

// record asks for the next part of the record.
func (l *link) record(ctx context.Context, after uint64) (told recordTold, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = l.call(ctx, "events", 0, recordAsked{After: after}, &told)
	return told, err
}

// recordChunk is how many events one answer holds.
const recordChunk = 500

// errShorter says that a client was told of events that the record has not.
var errShorter = errors.New("the record is shorter than what was told of it: see opsdeck verify")

// record sends the events after the one the client names, a chunk at a time:
// the client asks again until there are none.
func (s *server) record(c *client, f frame) {
	var p recordAsked
	if err := json.Unmarshal(f.Params, &p); err != nil {
		c.answer(f.ID, nil, fmt.Errorf("reading what is asked for: %w", err))
		return
	}
	if s.o.Events == nil {
		c.answer(f.ID, nil, errors.New("this supervisor shows no record"))
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	told, err := s.after(c, p.After)
	c.answer(f.ID, told, err)
}

// after is what comes next. The record is read once for all of its chunks.
func (s *server) after(c *client, seq uint64) (*recordTold, error) {
	if len(c.untold) == 0 || c.untold[0].Seq != seq+1 {
		c.untold, c.fault = nil, ""
		if more, err := s.beyond(seq); err != nil || !more {
			return &recordTold{}, err
		}
		for e, err := range s.o.Events() {
			if err != nil {
				c.fault = err.Error()
				break
			}
			if e.Seq > seq {
				c.untold = append(c.untold, e)
			}
		}
	}
	n := min(len(c.untold), recordChunk)
	told := &recordTold{Events: c.untold[:n:n], More: n < len(c.untold)}
	c.untold = c.untold[n:]
	if !told.More {
		told.Fault, c.untold = c.fault, nil
	}
	return told, nil
}

// beyond reports whether the record may have events after that one.
func (s *server) beyond(seq uint64) (bool, error) {
	if s.o.Newest == nil {
		return true, nil
	}
	newest, err := s.o.Newest()
	switch {
	case err != nil:
		return true, nil // reading it says what is wrong
	case newest < seq:
		return false, errShorter
	}
	return newest > seq, nil
}
