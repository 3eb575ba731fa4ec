package checks

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Effect says what running a module does to the world. It belongs to the
// module, so the author of a runbook cannot mislabel a change as a check.
type Effect uint8

// The effects. The zero value is the most careful claim a module can make
// only when it is true: the conformance suite holds read-only modules to it.
const (
	ReadOnly    Effect = iota // may be run at any time, as often as one likes
	Reversible                // changes something that can be put back
	Destructive               // what it removes is gone
)

// String is the effect's name in the catalogue.
func (e Effect) String() string {
	return [...]string{"read-only", "reversible", "destructive"}[e]
}

// Reach says what a module touches, and so which pool runs it.
type Reach uint8

// The reaches.
const (
	Local   Reach = iota // /proc, files: pool of 8
	Network              // anything with a peer: pool of 16, at most 2 at one target
)

// A Module is one kind of thing that can be found out or done. It is a
// literal: metadata is data, printed by "opsdeck modules", linted against and
// run from the same place. A module reports facts, never a verdict.
type Module struct {
	Name   string // "pg.locks": family, dot, subject
	Doc    string // one sentence in the present tense, without a final full stop
	Effect Effect
	Danger int // least danger level of an action, 0 for checks
	Reach  Reach

	// Kind is the kind of named connection the module needs ("postgres",
	// "redis", "docker"), empty if none. A site without any connection of the
	// kind does not have this thing: the result is Skipped.
	Kind string

	Params []Param
	Facts  []fact.Spec

	// Warn and Fail are the default rules; Source says where their numbers
	// come from ("guide", "Netdata", "proposed").
	Warn, Fail, Source string

	// Least and Window are for a module that judges by the difference of two
	// samples, and 0 for the others. Over less than Least there is no verdict:
	// the result is unknown and says how much more it needs. Window is the
	// longest time between the samples, beyond which the difference says
	// nothing of now. SinceReset says that counters without an earlier sample
	// are judged since their reset; such a module may do without Least.
	Least, Window time.Duration
	SinceReset    bool

	Timeout time.Duration // deadline of one run; 0 means 10 s
	Every   time.Duration // how often the monitor samples it; 0 means 10 s

	// Example is the shortest useful block for a runbook, YAML without a
	// fence. A test parses it.
	Example string

	// Run finds out. It must return within its context's deadline and must
	// not judge. An error means "could not be found out"; a watched target
	// that refuses is a fact. See Error for naming the class.
	Run func(ctx context.Context, env Env, args Args) (Findings, error)

	// Preview lists what an action would do, exactly and with counts, and
	// changes nothing; nil for read-only modules. Its Findings name the Target
	// that a person types, the Fingerprint by which the target is known again
	// and the Locks the action holds. An error means that the action cannot be
	// begun; what merely speaks against it is a line of Detail that begins
	// with "careful: ". The facts it reports reach Run and Probe as Env.Before.
	Preview func(ctx context.Context, env Env, args Args) (Findings, error)

	// Allowed is the site file's leave for an action that needs one, or why
	// there is none; nil if it needs none. A screen asks before it offers the
	// action, Preview and Run ask again.
	Allowed func(Allow) error

	// Probe looks from outside whether the action was done: after it, as its
	// independent post-check, and after a crash, to find out what came of it.
	// It changes nothing and always reports the fact "done"; nil for read-only
	// modules.
	Probe func(ctx context.Context, env Env, args Args) (Findings, error)

	// Verify is the rule that Probe's facts must satisfy after the action;
	// "" means "done == true". A runbook's verify wins.
	Verify string

	// Crash says in one sentence what becomes of the effect when the process
	// that works at it dies. It is shown in the preview and recorded with the
	// intent. Required of everything that is not read-only.
	Crash string

	// Bounded says that the end of the maintenance window may end the action as
	// its deadline does: what is at work then is cancelled where it is done.
	Bounded bool

	// Always are the words for what an action does at its end in any case, also
	// after a failure: "drop". A runbook may name one to say that it counts on it.
	Always []string

	// Repeatable says that doing it again after an interruption does no harm.
	// It is offered again then, and never done again by itself.
	Repeatable bool
}

// DoneFact is the fact that every Probe reports: whether the effect is there.
var DoneFact = fact.Spec{Name: "done", Type: fact.Bool, Optional: true, Doc: "the effect is there, as seen from outside"}

// DefaultTimeout is the deadline of a module that names none.
const DefaultTimeout = 10 * time.Second

// DefaultEvery is the sampling interval of a module that names none.
const DefaultEvery = 10 * time.Second

// ParamType is the type of a parameter; values are parsed and typed before a
// module sees them.
type ParamType uint8

// The parameter types, with the Go type Args hands out.
const (
	TextParam     ParamType = iota // string
	NumberParam                    // float64
	BoolParam                      // bool
	DurationParam                  // time.Duration: 26h, 7d, 500ms
	BytesParam                     // float64 bytes: 1GiB, 64KiB, 512
	PercentParam                   // float64: 80%
	TextsParam                     // []string
	MapParam                       // map[string]any, checked by the module's Check
)

var paramTypeNames = [...]string{"text", "number", "bool", "duration", "bytes", "percent", "list of texts", "map"}

// String is the type's name in the catalogue and in error messages.
func (t ParamType) String() string { return paramTypeNames[t] }

// A Param declares one parameter of a module.
type Param struct {
	Name     string
	Type     ParamType
	Default  any      // in the type Args hands out, or its text form ("26h"); nil: none
	Required bool     // must be given
	OneOf    []string // for texts: the only values allowed
	Doc      string
	Example  string

	// Names says that the value names an entry of the site file: "logs",
	// "queries", "backups". Lint checks it; a site without the entry makes the
	// result Skipped with the reason.
	Names string

	// Shipped are names that need no entry there: the module brings its own.
	Shipped []string

	// Check validates a value beyond its type, at load time.
	Check func(value any) error
}

// A Family is a folder of modules and the way its named connections are opened.
type Family struct {
	Name    string // the folder: "postgres"
	Doc     string // one sentence
	Modules []*Module

	// Kind and Open serve the connections of the site file that belong to the
	// family. Open must not touch the network: it dials on first use.
	Kind string
	Open func(Connection) (Handle, error)
}

// A Handle is an opened connection of a family, such as *postgres.Server.
// Modules get theirs with Connected.
type Handle interface {
	Close() error
}
