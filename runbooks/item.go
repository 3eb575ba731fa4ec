package runbooks

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Kind says what an item asks for. It is the second word of its fence;
// an item without a fence is Manual.
type Kind string

// The kinds of items.
const (
	Manual  Kind = "manual"  // somebody does it and says so
	Check   Kind = "check"   // a read-only module finds out
	Action  Kind = "action"  // a module changes something
	Confirm Kind = "confirm" // somebody gives evidence, rules judge it
	Decide  Kind = "decide"  // somebody chooses
	Hold    Kind = "hold"    // the run waits, sampling checks
)

// Human reports whether a person answers the item.
func (k Kind) Human() bool { return k == Manual || k == Confirm || k == Decide }

// An Item is one line of the checklist with its block.
type Item struct {
	ID    string // unique in its runbook; a slug of the heading path if no block names one
	Was   []string
	Title string
	Group string // ID of the sub-heading it stands under; "" for none
	Note  string // the prose below it, Markdown
	Kind  Kind

	// What a check or an action uses. Use may be empty when Service names an
	// entry of the site. With, Rules and Connection are the block's own; empty
	// rules mean the service's, the site's limits' or the module's.
	Use        string
	Service    string
	Connection string
	With       map[string]any
	Rules      checks.Rules
	Timeout    time.Duration

	// Module is the module Use names and Check its binding, as far as they are
	// known without a site: Bound says whether Check is complete; its Origin is
	// always there. A session uses Resolve.
	Module *checks.Module
	Check  checks.Check
	Bound  bool

	Needs    []Need
	Evidence []Field  // confirm
	Options  []Option // decide
	Signers  int      // other people who must sign; 0: none
	Hold     Waiting  // hold
	Danger   int
	Undo     string // item that puts it back
	Verify   string // rule over the module's facts after the action
	AnyTime  bool   // begins outside the window too
	Always   string // what the module does at the end in any case

	Guide      []int          // rows of the guide
	Extra      map[string]any // keys beginning "x-"
	References []Reference    // foreign fences: shown, copied, never executed
	Line, Col  int            // of the task line in its document
}

// A Need is another item that must have gone well before this one may start.
type Need struct {
	Item   string        `json:"item"`
	MaxAge time.Duration `json:"max_age,omitempty"` // 0: any age
	MinAge time.Duration `json:"min_age,omitempty"` // the item falls due so long after it: a follow-up
}

// A Field is one piece of evidence that a confirm asks for.
type Field struct {
	Name string    `json:"name"`
	Type FieldType `json:"type"`
}

// FieldType is the type of a piece of evidence.
type FieldType string

// The types of evidence.
const (
	TimeField   FieldType = "time"   // RFC 3339, or 2026-11-23 14:05 in the run's zone
	URLField    FieldType = "url"    // http or https
	TextField   FieldType = "text"   // anything but nothing
	NumberField FieldType = "number" // 12, 0.5
	BoolField   FieldType = "bool"   // true or false, yes or no
)

// FieldTypes lists the types of evidence.
func FieldTypes() []FieldType {
	return []FieldType{TimeField, URLField, TextField, NumberField, BoolField}
}

// Facts are what rules of a confirm may name: its fields, and for a time the
// age of it as NAME_age and its lead before the window as NAME_lead.
func (it Item) Facts() []fact.Spec {
	var specs []fact.Spec
	for _, f := range it.Evidence {
		spec := fact.Spec{Name: f.Name, Doc: "evidence: " + f.Name}
		switch f.Type {
		case TimeField:
			spec.Type = fact.Time
			specs = append(specs,
				fact.Spec{Name: f.Name + "_age", Type: fact.Duration, Doc: "time since " + f.Name},
				fact.Spec{Name: f.Name + "_lead", Type: fact.Duration, Signed: true, Worse: fact.Lower, Doc: "from " + f.Name + " to the opening of the run's window; absent outside of one"})
		case NumberField:
			spec.Type = fact.Count
		case BoolField:
			spec.Type = fact.Bool
		default:
			spec.Type = fact.Text
		}
		specs = append(specs, spec)
	}
	return specs
}

// An Option is one answer to a decide; Item is what it leads to.
type Option struct {
	Name string `json:"name"`
	Item string `json:"item,omitempty"`
}

// Waiting is what a hold waits for.
type Waiting struct {
	For   time.Duration
	Every time.Duration // how often Items are sampled meanwhile
	Items []string
}

// A Reference is a fence that is not ours: text to read and to copy.
type Reference struct {
	Lang string
	Text string
	Line int
}
