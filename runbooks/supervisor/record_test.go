package supervisor_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// ledger is a record of so many events, which may end in a fault, and counts
// how often it is read.
type ledger struct {
	events uint64
	fault  error
	reads  int
}

func (l *ledger) all() iter.Seq2[runbooks.Event, error] {
	return func(yield func(runbooks.Event, error) bool) {
		l.reads++
		for seq := uint64(1); seq <= l.events; seq++ {
			if !yield(runbooks.Event{Seq: seq, Kind: "note"}, nil) {
				return
			}
		}
		if l.fault != nil {
			yield(runbooks.Event{}, l.fault)
		}
	}
}

func (l *ledger) told(c *supervisor.Client, after uint64) (n int, first uint64, err error) {
	for e, err := range c.EventsAfter(context.Background(), after) {
		if err != nil {
			return n, first, err
		}
		if n++; n == 1 {
			first = e.Seq
		}
	}
	return n, first, nil
}

// TestTheRecordIsToldInChunksAndReadOnce: also to its fault, and again only if
// there is something new.
func TestTheRecordIsToldInChunksAndReadOnce(t *testing.T) {
	h, l := newHouse(t), &ledger{events: 1234}
	h.change = func(o *supervisor.Options) {
		o.Events, o.Newest = l.all, func() (uint64, error) { return l.events, nil }
	}
	h.serve()
	defer h.end()
	c := &supervisor.Client{Socket: supervisor.SocketIn(h.dir), Version: "test"}
	for _, tt := range []struct {
		name          string
		events, after uint64
		fault         error
		n, reads      int
		first         uint64
		wants         string
	}{
		{"whole", 1234, 0, nil, 1234, 1, 1, ""},
		{"nothing new", 1234, 1234, nil, 0, 0, 0, ""},
		{"what is new", 1236, 1234, nil, 2, 1, 1235, ""},
		{"up to a fault", 700, 0, errors.New("event 701 does not fit"), 700, 1, 1, "event 701 does not fit"},
		{"cut off", 10, 1234, nil, 0, 0, 0, "shorter than what was told"},
	} {
		l.events, l.fault, l.reads = tt.events, tt.fault, 0
		n, first, err := l.told(c, tt.after)
		if n != tt.n || first != tt.first || l.reads != tt.reads {
			t.Errorf("%s: %d events from %d on in %d reads, want %d from %d in %d", tt.name, n, first, l.reads, tt.n, tt.first, tt.reads)
		}
		if tt.wants == "" && err != nil || tt.wants != "" && (err == nil || !strings.Contains(err.Error(), tt.wants)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.wants)
		}
	}
}

// TestWhyASupervisorDoesNotAnswerIsSaid where there is none to start.
func TestWhyASupervisorDoesNotAnswerIsSaid(t *testing.T) {
	h := newHouse(t)
	c := &supervisor.Client{Socket: supervisor.SocketIn(h.dir), Version: "test"}
	if _, err := c.Open(context.Background(), book("lms"), "all"); err == nil || !strings.Contains(err.Error(), "no supervisor serves at") {
		t.Errorf("without one: %v", err)
	}
}
