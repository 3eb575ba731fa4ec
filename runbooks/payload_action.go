package runbooks

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// The events of an action, in the order in which they must become durable.
// What is not in the journal was not begun: ActionIntended stands there before
// anything is changed, ActionFinished before anybody is told.

// ActionArmed is what an action would do, shown to whoever is to confirm it.
type ActionArmed struct {
	Module     string         `json:"module"`
	Check      string         `json:"check"`
	Connection string         `json:"connection,omitempty"`
	With       map[string]any `json:"with,omitempty"` // parameters as resolved; they hold no secrets
	Warn       string         `json:"warn,omitempty"`
	Fail       string         `json:"fail,omitempty"`
	Verify     string         `json:"verify,omitempty"`
	Danger     int            `json:"danger"`
	Signers    int            `json:"signers,omitempty"` // other people who must sign first
	Crash      string         `json:"crash"`
	Timeout    time.Duration  `json:"timeout"`
	Estimate   time.Duration  `json:"estimate,omitempty"` // median of earlier runs; 0: none
	Preview    checks.Result  `json:"preview"`
	Hash       Hash           `json:"preview_hash"`
	Gates      []Gate         `json:"gates,omitempty"`
	Site       string         `json:"site_hash,omitempty"` // of the site file under which it was previewed
}

// A Gate is a need as it stood when the action was armed.
type Gate struct {
	Item     string        `json:"item"`
	State    State         `json:"state"`
	Age      time.Duration `json:"age,omitempty"`
	Override string        `json:"override,omitempty"` // the reason, if the need is open by one
}

// ActionRefused is a preview that said that the action cannot be begun, and why.
type ActionRefused struct {
	Result checks.Result `json:"result"`
}

// ActionBarred is a try to begin an action that the clock forbade: it is
// outside the window, or past its abort point. Nothing was done.
type ActionBarred struct {
	Reason string `json:"reason"`
}

// ActionDisarmed takes back what was armed: nothing was done.
type ActionDisarmed struct {
	Reason string `json:"reason"`
}

// ActionConfirmed is a person's word that it be done, with what was typed and
// which preview was seen.
type ActionConfirmed struct {
	Typed   string `json:"typed,omitempty"`
	Preview Hash   `json:"preview_hash"`
}

// ActionClaimed holds the targets for this attempt.
type ActionClaimed struct {
	Locks       []string `json:"locks,omitempty"`
	Fingerprint string   `json:"fingerprint,omitempty"`
}

// ActionIntended is recorded before anything is changed. From here on the
// effect may be there, whatever else is lost.
type ActionIntended struct {
	Token    string    `json:"token"` // marks all that the action makes
	Step     string    `json:"step"`  // the step's folder
	Version  string    `json:"version"`
	Crash    string    `json:"crash"`
	Deadline time.Time `json:"deadline"`
}

// ActionStarted names the process that does it: a process id means nothing
// without its start time and the boot it belongs to.
type ActionStarted struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
}

// ActionFinished is what came of it, as the step's result file says.
type ActionFinished struct {
	Result     checks.Result `json:"result"`
	Cancelled  bool          `json:"cancelled,omitempty"`
	Output     int64         `json:"output_bytes"`
	OutputHash Hash          `json:"output_hash,omitzero"` // of the part that was kept
	Truncated  bool          `json:"truncated,omitempty"`
	Tail       string        `json:"tail,omitempty"` // its last lines
	Left       []string      `json:"left_behind,omitempty"`
	Started    time.Time     `json:"started,omitzero"`
	Ended      time.Time     `json:"ended,omitzero"`
	Took       time.Duration `json:"took,omitempty"` // by the step's monotonic clock
	CPU        time.Duration `json:"cpu,omitempty"`
	MaxRSS     int64         `json:"max_rss,omitempty"` // bytes

	// Untouched says that nothing was begun that could have changed anything.
	Untouched bool `json:"untouched,omitempty"`
}

// ActionVerified is the independent look from outside, after the outcome.
type ActionVerified struct {
	Result checks.Result `json:"result"`
}

// ItemCancelling says that somebody asked for a running item to be stopped.
type ItemCancelling struct {
	Reason string `json:"reason"`
}

// ItemCancelled says that a check or a hold that was asked to stop is gone. An
// action that was cancelled has an outcome instead.
type ItemCancelled struct {
	Reason string `json:"reason,omitempty"`
}

// ItemResolved says what became of an interrupted item: Probe is set if the
// module's look from outside told, else Evidence is a person's finding.
type ItemResolved struct {
	Level    checks.Level   `json:"level"`
	Evidence string         `json:"evidence,omitempty"`
	Probe    *checks.Result `json:"probe,omitempty"`
}

// ItemProbed keeps a look from outside that could not tell.
type ItemProbed struct {
	Result checks.Result `json:"result"`
}

// ItemRolledBack says that the item that undoes this one passed.
type ItemRolledBack struct {
	By string `json:"by"`
}

// HoldStarted begins a watch. Until is by the wall clock, so that it holds
// over a reboot.
type HoldStarted struct {
	Until time.Time     `json:"until"`
	Every time.Duration `json:"every,omitempty"`
	Items []string      `json:"items,omitempty"`
}

// HoldSampled is one look at the items of a hold.
type HoldSampled struct {
	Results []checks.Result `json:"results"`
}

// HoldEnded ends a watch: by time, or early because a sample failed.
type HoldEnded struct {
	Level  checks.Level `json:"level"`
	Reason string       `json:"reason"`
}

// RunAborting begins the way out: only what undoes and what the section lists
// under abort may still be started.
type RunAborting struct {
	Reason string `json:"reason"`
}

// WindowOverridden lets actions begin outside the window, or after its abort
// point, until some time.
type WindowOverridden struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// ClockJumped records that the wall clock moved against the monotonic one.
type ClockJumped struct {
	By time.Duration `json:"by"`
}

// Kind implements Payload, here and below.
func (ActionArmed) Kind() EventKind      { return "action.armed" }
func (ActionRefused) Kind() EventKind    { return "action.refused" }
func (ActionBarred) Kind() EventKind     { return "action.barred" }
func (ActionDisarmed) Kind() EventKind   { return "action.disarmed" }
func (ActionConfirmed) Kind() EventKind  { return "action.confirmed" }
func (ActionClaimed) Kind() EventKind    { return "action.claimed" }
func (ActionIntended) Kind() EventKind   { return "action.intent" }
func (ActionStarted) Kind() EventKind    { return "action.started" }
func (ActionFinished) Kind() EventKind   { return "action.outcome" }
func (ActionVerified) Kind() EventKind   { return "action.verified" }
func (ItemCancelling) Kind() EventKind   { return "item.cancelling" }
func (ItemCancelled) Kind() EventKind    { return "item.cancelled" }
func (ItemResolved) Kind() EventKind     { return "item.resolved" }
func (ItemProbed) Kind() EventKind       { return "item.probed" }
func (ItemRolledBack) Kind() EventKind   { return "item.rolled_back" }
func (HoldStarted) Kind() EventKind      { return "hold.started" }
func (HoldSampled) Kind() EventKind      { return "hold.sampled" }
func (HoldEnded) Kind() EventKind        { return "hold.ended" }
func (RunAborting) Kind() EventKind      { return "run.aborting" }
func (WindowOverridden) Kind() EventKind { return "window.overridden" }
func (ClockJumped) Kind() EventKind      { return "clock.jumped" }
