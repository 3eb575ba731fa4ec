package supervisor

import (
	"context"
	"errors"
	"iter"

	"github.com/advanced-lms/opsdeck/runbooks"
)

// Events is the whole record of a supervisor that runs as another user, whose
// files are closed to us. The hashes come with the events; whether they are
// those of the files, only the supervisor's user can tell.
func (c *Client) Events(ctx context.Context) iter.Seq2[runbooks.Event, error] {
	return func(yield func(runbooks.Event, error) bool) {
		l, err := c.connect(ctx)
		if err != nil {
			yield(runbooks.Event{}, err)
			return
		}
		defer l.close()
		for after := uint64(0); ; {
			var told recordTold
			if err := l.call(ctx, "events", 0, recordAsked{After: after}, &told); err != nil {
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
