package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// state is how far a delivery came.
type state string

// The states. A crash leaves sending, which is read as "nobody knows".
const (
	pending      state = "pending"
	sending      state = "sending" // handed over, no answer yet
	accepted     state = "accepted"
	refusedState state = "refused"
	failed       state = "failed" // known not to have been handed over
)

// A delivery is a text on its way to one recipient.
type delivery struct {
	Recipient string `json:"recipient"` // an address; of a webhook, only the host
	Via       string `json:"via"`
	State     state  `json:"state"`
	Reply     string `json:"reply,omitempty"`
}

// A record is what an action knows of its deliveries, kept in its directory.
type record struct {
	dir        string
	Token      string     `json:"token"`
	ID         string     `json:"id"`
	Response   string     `json:"response,omitempty"`
	Deliveries []delivery `json:"deliveries"`
}

const (
	recordName = "delivered.json"
	maxRecord  = 1 << 20
)

// set moves every delivery by one way that is not finished into a state.
func (r *record) set(via string, to state, reply string) {
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.Via == via && (d.State == pending || d.State == sending) {
			d.State, d.Reply = to, reply
		}
	}
}

// save makes the record durable: whole or as it was before.
func (r *record) save() error {
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encoding the delivery record: %w", err)
	}
	if err := hostfs.WriteAtomic(filepath.Join(r.dir, recordName), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the delivery record: %w", err)
	}
	return nil
}

// readRecord is nil without an error if the action recorded nothing.
func readRecord(dir string) (*record, error) {
	raw, err := hostfs.ReadNoFollow(filepath.Join(dir, recordName), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the delivery record: %w", err)
	}
	return parseRecord(raw)
}

func parseRecord(raw []byte) (*record, error) {
	rec := &record{}
	if err := json.Unmarshal(raw, rec); err != nil {
		return nil, checks.Failed(checks.Parse, "reading the delivery record: %w", err)
	}
	if len(rec.Deliveries) == 0 {
		return nil, checks.Failed(checks.Parse, "the delivery record names nobody")
	}
	return rec, nil
}

// uncertain is the error of a text that was handed over without an answer.
func (r *record) uncertain() error {
	if n := r.count(sending); n > 0 {
		return checks.Failed(checks.NoData, "handed over for %d without an answer: it may have been delivered (id %s)", n, r.ID)
	}
	return nil
}
