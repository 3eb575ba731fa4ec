package supervisor_test

import (
	"testing"

	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// TestASupervisorIsReadyBeforeItHasReadTheRecord: it takes clients at once,
// however long the record is; who opens a run waits until it is known what was
// left running.
func TestASupervisorIsReadyBeforeItHasReadTheRecord(t *testing.T) {
	h := newHouse(t)
	reading, read := make(chan struct{}), make(chan struct{})
	h.change = func(o *supervisor.Options) {
		o.Unsettled = func() ([]supervisor.Unsettled, error) {
			close(reading)
			<-read
			return nil, nil
		}
	}
	h.serve() // returns when it is ready
	<-reading
	opened := make(chan *supervisor.Session)
	go func() { opened <- h.open("daily") }()
	for _, err := range h.client().Events(t.Context()) { // another client is answered meanwhile
		if err == nil {
			t.Error("there is an event")
		}
	}
	select {
	case <-opened:
		t.Error("a run was opened before the record was read")
	default:
	}
	close(read)
	s := <-opened
	if err := s.Note("", "here"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	h.end()
}
