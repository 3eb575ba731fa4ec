package runbooks

import (
	"bytes"
	"encoding/json"
	"time"
)

// A Decoder reads events from the bytes that Canonical made of them, one after
// the other. Names that repeat are kept once. It is not for concurrent use;
// the zero value is ready.
type Decoder struct {
	names map[string]string
	raw   []byte // of the actor that was read last
	actor Actor
}

// Event is the event of these bytes. It keeps a part of them as its Data.
func (d *Decoder) Event(body []byte) (Event, error) {
	if e, ok := d.quick(body); ok {
		return e, nil
	}
	var e Event
	err := json.Unmarshal(body, &e)
	return e, err
}

// quick reads an event as Canonical writes it: its fields in their order. It
// does not look into Data, which Payload does.
func (d *Decoder) quick(body []byte) (e Event, ok bool) {
	s := scan{rest: body}
	s.expect(`{"seq":`)
	e.Seq = s.digits()
	s.expect(`,"at":`)
	if at := s.plain(); s.failed || e.At.UnmarshalText(at) != nil {
		return e, false
	}
	s.expect(`,"mono":`)
	e.Mono = time.Duration(s.digits())
	s.expect(`,"run":`)
	e.Run = d.name(s.plain())
	if s.optional(`,"item":`) {
		e.Item = d.name(s.plain())
	}
	s.expect(`,"kind":`)
	e.Kind = EventKind(d.name(s.plain()))
	s.expect(`,"actor":`)
	actor := s.value()
	if s.optional(`,"attempt":`) {
		e.Attempt = int(s.digits())
	}
	if s.optional(`,"data":`) {
		data := s.take(nestSize(s.rest))
		e.Data = data[:len(data):len(data)]
	}
	s.expect("}")
	if s.failed || len(s.rest) > 0 {
		return e, false
	}
	e.Actor, ok = d.who(actor)
	return e, ok
}

// name is the name as a string, the same for the same bytes.
func (d *Decoder) name(raw []byte) string {
	if known, ok := d.names[string(raw)]; ok {
		return known
	}
	if d.names == nil {
		d.names = map[string]string{}
	}
	name := string(raw)
	d.names[name] = name
	return name
}

// who is the actor of these bytes, in most cases that of the event before.
func (d *Decoder) who(raw []byte) (Actor, bool) {
	if bytes.Equal(raw, d.raw) {
		return d.actor, true
	}
	var a Actor
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, false
	}
	d.raw, d.actor = bytes.Clone(raw), a
	return a, true
}
