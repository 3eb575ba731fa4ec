package checks

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A Check is a module bound to its arguments, its connection and its rules.
type Check struct {
	ID         string
	Title      string
	Module     *Module
	Args       Args
	Connection string // "" means main
	Target     string // what it looks at, for lists; "" lets the module say
	Rules      Rules
	Every      time.Duration // 0: the module's
	Timeout    time.Duration // 0: the module's
	Confirm    int           // bad samples before the monitor raises; 0 means 3
	Clear      int           // good samples before it clears; 0 means 2
	Needs      []string      // ids of checks that explain this one's failure
	Origin     string        // "opsdeck.yaml:31:5", "daily.md:44"
	OnDemand   bool          // the monitor samples it only while somebody looks at it
}

// Class names why a check could not find out. Empty means it could.
type Class string

// The classes of errors.
const (
	Timeout      Class = "timeout"
	Refused      Class = "refused"
	DNS          Class = "dns"
	TLS          Class = "tls"
	Auth         Class = "auth"
	Denied       Class = "denied"  // no permission here
	Missing      Class = "missing" // a tool, a file or a setting is not there
	Parse        Class = "parse"
	NoData       Class = "no data"
	Limit        Class = "limit" // a bound of ours was hit
	Unconfigured Class = "not configured"
	Other        Class = "error"    // an error of no class above
	Internal     Class = "internal" // a bug of ours: a panic, a broken module
)

// An Error is an error with its class, for modules that know it better than
// the Runner could guess.
type Error struct {
	Class Class
	Err   error
}

// Error is the wrapped error's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// Failed makes an Error: checks.Failed(checks.NoData, "no sample in %s", window).
func Failed(class Class, format string, a ...any) error {
	return &Error{class, fmt.Errorf(format, a...)}
}

// ClassOf is the class of an error made by Failed, or of one of package hostfs
// that says what is the matter with a file, or "".
func ClassOf(err error) Class {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Class
	case errors.As(err, new(*hostfs.TooLargeError)), errors.As(err, new(*hostfs.TooManyError)):
		return Limit
	case errors.As(err, new(*hostfs.KindError)), errors.As(err, new(*hostfs.LinkError)),
		errors.As(err, new(*hostfs.MountError)), errors.As(err, new(*hostfs.ChangedError)):
		return Other
	}
	return ""
}

// A Breach is one comparison that decided a verdict.
type Breach struct {
	Fact   string
	Label  string
	Value  fact.Value
	Rule   string // the comparison: "used > 80%"
	Level  Level
	Source string // where the rule comes from: "guide", "opsdeck.yaml:40:12"
}

type breachWire struct {
	Fact   string `json:"fact"`
	Label  string `json:"label,omitempty"`
	Value  any    `json:"value"`
	Type   string `json:"type"`
	Rule   string `json:"rule"`
	Level  Level  `json:"level"`
	Source string `json:"source"`
}

// MarshalJSON writes the documented form.
func (b Breach) MarshalJSON() ([]byte, error) {
	return unescaped(breachWire{b.Fact, b.Label, b.Value.JSON(), b.Value.Type.String(), b.Rule, b.Level, b.Source})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Breach) UnmarshalJSON(raw []byte) error {
	var w breachWire
	if err := json.Unmarshal(raw, &w); err != nil {
		return fmt.Errorf("decoding a breach: %w", err)
	}
	var f fact.Fact
	inner, err := json.Marshal(map[string]any{"name": w.Fact, "value": w.Value, "type": w.Type})
	if err != nil {
		return fmt.Errorf("decoding a breach: %w", err)
	}
	if err := json.Unmarshal(inner, &f); err != nil {
		return err
	}
	*b = Breach{w.Fact, w.Label, f.Value, w.Rule, w.Level, w.Source}
	return nil
}

// A Result is what came of running a check: a plain value, journaled,
// rendered and exported as it is. Every text in it is clean and redacted.
type Result struct {
	ID, Module, Target string
	Level              Level
	Facts              []fact.Fact
	Why                []Breach // the comparisons that decided; empty when ok
	Undecided          []string // facts a rule needed and did not get
	Note               string
	Err                string
	Class              Class
	At                 time.Time // when the run ended, with zone
	Took               time.Duration
	Over               time.Duration // between the samples of a check by difference; 0 for the others
	Since              time.Time     // from when counters were judged that have no earlier sample
	Collecting         bool          // Over is too short for a verdict: the level is Unknown
	Waited             time.Duration // in the queue before it started
	Phases             []Phase
	Detail             []string
	Tables             []Table
	Warn, Fail         string // the rules that judged
	RuleSource         string
	Fingerprint        string   // of an action's preview
	Locks              []string // of an action's preview
}

// Fact returns the first fact of that name and label.
func (r Result) Fact(name, label string) (fact.Fact, bool) {
	for _, f := range r.Facts {
		if f.Name == name && f.Label == label {
			return f, true
		}
	}
	return fact.Fact{}, false
}

// Table returns the table of that name.
func (r Result) Table(name string) (Table, bool) {
	for _, t := range r.Tables {
		if t.Name == name {
			return t, true
		}
	}
	return Table{}, false
}
