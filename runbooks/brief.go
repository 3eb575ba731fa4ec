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
		var p struct{ Result briefResult }
		err := json.Unmarshal(raw, &p)
		return CheckFinished{p.Result.result()}, err
	},
	ActionVerified{}.Kind(): func(raw []byte) (Payload, error) {
		var p struct{ Result briefResult }
		err := json.Unmarshal(raw, &p)
		return ActionVerified{p.Result.result()}, err
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
