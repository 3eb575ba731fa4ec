package runbooks

import (
	"encoding/json"
	"fmt"
	"time"
)

// An Event is one thing that happened in a run. Events are the only truth
// about a run; everything else is folded from them. Data holds the Payload of
// the event's kind.
type Event struct {
	Seq     uint64          `json:"seq"` // given by the journal, without gaps
	At      time.Time       `json:"at"`  // wall clock, with zone
	Mono    time.Duration   `json:"mono"`
	Run     string          `json:"run"`
	Item    string          `json:"item,omitempty"` // "" for events of the run
	Kind    EventKind       `json:"kind"`
	Actor   Actor           `json:"actor"`
	Attempt int             `json:"attempt,omitempty"` // of the item, from 1
	Data    json.RawMessage `json:"data,omitempty"`
	Prev    Hash            `json:"prev,omitzero"` // hash of the event before; by the journal
	Hash    Hash            `json:"hash,omitzero"` // by the journal
}

// EventKind names what happened.
type EventKind string

// A Payload is the typed content of an event; its Kind is the event's.
type Payload interface{ Kind() EventKind }

// NewEvent makes an event of a payload. Seq, Prev, Hash and Mono are left to
// the journal and the session.
func NewEvent(at time.Time, who Actor, run, item string, attempt int, p Payload) (Event, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return Event{}, fmt.Errorf("encoding event %s: %w", p.Kind(), err)
	}
	return Event{At: at.Round(0), Run: run, Item: item, Kind: p.Kind(), Actor: who, Attempt: attempt, Data: data}, nil
}

// Payload decodes the event's content.
func (e Event) Payload() (Payload, error) {
	decode, ok := payloads[e.Kind]
	if !ok {
		return nil, fmt.Errorf("event %d is of unknown kind %q", e.Seq, e.Kind)
	}
	p, err := decode(e.Data)
	if err != nil {
		return nil, fmt.Errorf("decoding event %d (%s): %w", e.Seq, e.Kind, err)
	}
	return p, nil
}

// Canonical is the event as bytes for storing and hashing: JSON without Prev
// and Hash.
func (e Event) Canonical() ([]byte, error) {
	e.Prev, e.Hash = Hash{}, Hash{}
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding event %d: %w", e.Seq, err)
	}
	return raw, nil
}

func decoder[P Payload](raw []byte) (Payload, error) {
	var p P
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, err
	}
	return p, nil
}

// payloads reads each kind. It is never written to.
var payloads = map[EventKind]func([]byte) (Payload, error){
	RunOpened{}.Kind():         decoder[RunOpened],
	CheckStarted{}.Kind():      decoder[CheckStarted],
	CheckFinished{}.Kind():     decoder[CheckFinished],
	ItemConfirmed{}.Kind():     decoder[ItemConfirmed],
	ItemDecided{}.Kind():       decoder[ItemDecided],
	ItemSkipped{}.Kind():       decoder[ItemSkipped],
	ItemAcknowledged{}.Kind():  decoder[ItemAcknowledged],
	ItemOverridden{}.Kind():    decoder[ItemOverridden],
	ItemRetried{}.Kind():       decoder[ItemRetried],
	ItemNotApplicable{}.Kind(): decoder[ItemNotApplicable],
	ItemInterrupted{}.Kind():   decoder[ItemInterrupted],
	Noted{}.Kind():             decoder[Noted],
	Attached{}.Kind():          decoder[Attached],
	Signed{}.Kind():            decoder[Signed],
	RunClosed{}.Kind():         decoder[RunClosed],
	RunAborted{}.Kind():        decoder[RunAborted],
	RunExpired{}.Kind():        decoder[RunExpired],
	RunSuspended{}.Kind():      decoder[RunSuspended],
	RunResumed{}.Kind():        decoder[RunResumed],
	RunTakenOver{}.Kind():      decoder[RunTakenOver],
	DriverLeft{}.Kind():        decoder[DriverLeft],
	DriverReturned{}.Kind():    decoder[DriverReturned],

	ActionArmed{}.Kind():      decoder[ActionArmed],
	ActionRefused{}.Kind():    decoder[ActionRefused],
	ActionBarred{}.Kind():     decoder[ActionBarred],
	ActionDisarmed{}.Kind():   decoder[ActionDisarmed],
	ActionConfirmed{}.Kind():  decoder[ActionConfirmed],
	ActionClaimed{}.Kind():    decoder[ActionClaimed],
	ActionIntended{}.Kind():   decoder[ActionIntended],
	ActionStarted{}.Kind():    decoder[ActionStarted],
	ActionFinished{}.Kind():   decoder[ActionFinished],
	ActionVerified{}.Kind():   decoder[ActionVerified],
	ItemCancelling{}.Kind():   decoder[ItemCancelling],
	ItemCancelled{}.Kind():    decoder[ItemCancelled],
	ItemResolved{}.Kind():     decoder[ItemResolved],
	ItemProbed{}.Kind():       decoder[ItemProbed],
	ItemRolledBack{}.Kind():   decoder[ItemRolledBack],
	HoldStarted{}.Kind():      decoder[HoldStarted],
	HoldSampled{}.Kind():      decoder[HoldSampled],
	HoldEnded{}.Kind():        decoder[HoldEnded],
	RunAborting{}.Kind():      decoder[RunAborting],
	WindowOverridden{}.Kind(): decoder[WindowOverridden],
	ClockJumped{}.Kind():      decoder[ClockJumped],
}
