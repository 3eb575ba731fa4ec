package runbooks

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// whole decodes all that an event says.
func whole(e Event) (Payload, error) { return e.Payload() }

// brief decodes what decides about states. What takes long, the facts and
// tables of results, is left out; see Folder.Brief.
func brief(e Event) (Payload, error) {
	read, ok := briefly[e.Kind]
	if !ok {
		return e.Payload()
	}
	p, err := read(e.Data)
	if err != nil {
		return nil, fmt.Errorf("decoding event %d (%s): %w", e.Seq, e.Kind, err)
	}
	return p, nil
}

// briefly reads the kinds whose results make up most of a record. It is never
// written to.
var briefly = map[EventKind]func([]byte) (Payload, error){
	CheckFinished{}.Kind(): func(raw []byte) (Payload, error) {
		r, err := briefResultIn(raw)
		return CheckFinished{r.result()}, err
	},
	ActionVerified{}.Kind(): func(raw []byte) (Payload, error) {
		r, err := briefResultIn(raw)
		return ActionVerified{r.result()}, err
	},
	HoldSampled{}.Kind(): func(raw []byte) (Payload, error) {
		var p struct{ Results []briefResult }
		err := json.Unmarshal(raw, &p)
		sampled := HoldSampled{}
		for _, r := range p.Results {
			sampled.Results = append(sampled.Results, r.result())
		}
		return sampled, err
	},
}

// briefResult is what a list needs of a checks.Result in its JSON form.
type briefResult struct {
	ID     string       `json:"id"`
	Module string       `json:"module"`
	Level  checks.Level `json:"level"`
	Note   string       `json:"note"`
	Err    string       `json:"error"`
	TookMs float64      `json:"took_ms"`
}

func (b briefResult) result() checks.Result {
	return checks.Result{
		ID: b.ID, Module: b.Module, Level: b.Level, Note: b.Note, Err: b.Err,
		Took: time.Duration(b.TookMs * float64(time.Millisecond)),
	}
}

// briefResultIn is the result of a payload that holds one result.
func briefResultIn(raw []byte) (briefResult, error) {
	if r, ok := quickResultIn(raw); ok {
		return r, nil
	}
	var p struct{ Result briefResult }
	err := json.Unmarshal(raw, &p)
	return p.Result, err
}

// quickResultIn reads a result as its MarshalJSON writes it, and passes over
// what is not kept without a look into it.
func quickResultIn(raw []byte) (r briefResult, ok bool) {
	s := scan{rest: raw}
	s.expect(`{"result":`)
	s.members(func(name string, value []byte) bool { return r.set(name, value) })
	s.expect("}")
	return r, !s.failed && len(s.rest) == 0
}

// set keeps a member of a result; false if its value is not one for the name.
func (b *briefResult) set(name string, value []byte) bool {
	into := any(nil)
	switch name {
	case "id":
		into = &b.ID
	case "module":
		into = &b.Module
	case "level":
		into = &b.Level
	case "note":
		into = &b.Note
	case "error":
		into = &b.Err
	case "took_ms":
		into = &b.TookMs
	default:
		return true
	}
	text, isText := into.(*string)
	if n := len(value); isText && n >= 2 && value[0] == '"' && isPlain(value[1:n-1]) {
		*text = string(value[1 : n-1])
		return true
	}
	return json.Unmarshal(value, into) == nil
}
