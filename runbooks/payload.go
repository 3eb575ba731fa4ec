package runbooks

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// RunOpened is the first event of every run. It pins the document and lists
// the steps, so that a run can be read without parsing anything.
type RunOpened struct {
	Site      string    `json:"site"`
	Runbook   string    `json:"runbook"`
	Title     string    `json:"title"`
	Section   string    `json:"section"`
	Period    string    `json:"period"`           // "2026-11-23", "2026-W48"; "" for a section without cadence
	Due       time.Time `json:"due,omitzero"`     // when the section is due
	Overdue   time.Time `json:"overdue,omitzero"` // due and grace
	Hash      Hash      `json:"runbook_hash"`
	Source    string    `json:"runbook_copy"`
	Path      string    `json:"path"`
	Version   string    `json:"version"` // of opsdeck
	Rehearsal bool      `json:"rehearsal,omitempty"`
	Steps     []Step    `json:"steps"`

	Mode  Mode     `json:"mode,omitempty"`
	Abort []string `json:"abort,omitempty"` // items that stay open when the run is left
}

// A Step is what a run needs to know of an item.
type Step struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Group   string   `json:"group,omitempty"` // the sub-heading's title
	Kind    Kind     `json:"kind"`
	Use     string   `json:"use,omitempty"`
	Service string   `json:"service,omitempty"`
	Needs   []Need   `json:"needs,omitempty"`
	Options []Option `json:"options,omitempty"`
	Signers int      `json:"signers,omitempty"`
	Danger  int      `json:"danger,omitempty"`
	Guide   []int    `json:"guide,omitempty"`
	Undo    string   `json:"undo,omitempty"` // item that puts it back
	Line    int      `json:"line,omitempty"`
}

// CheckStarted says that an attempt began. Module and Rules are as resolved.
type CheckStarted struct {
	Module string `json:"module"`
	Check  string `json:"check"` // id of the check
	Warn   string `json:"warn,omitempty"`
	Fail   string `json:"fail,omitempty"`
}

// CheckFinished carries the whole result of an attempt.
type CheckFinished struct {
	Result checks.Result `json:"result"`
}

// ItemConfirmed is a person's answer with evidence; Level is what the item's
// rules made of it.
type ItemConfirmed struct {
	Evidence map[string]string `json:"evidence,omitempty"`
	Level    checks.Level      `json:"level"`
	Why      []checks.Breach   `json:"why,omitempty"`
}

// ItemDecided is a choice, with what was not chosen.
type ItemDecided struct {
	Option string   `json:"option"`
	Not    []string `json:"not,omitempty"`
}

// ItemSkipped leaves an item out, for a reason and perhaps until some time.
type ItemSkipped struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"`
}

// ItemAcknowledged says that a bad result was seen. It changes no state.
type ItemAcknowledged struct {
	Note string `json:"note,omitempty"`
}

// ItemOverridden lets the run go on over a failed item until it expires. The
// result stays failed.
type ItemOverridden struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// ItemRetried puts an item back to pending; its attempts are kept.
type ItemRetried struct {
	Reason string `json:"reason,omitempty"`
}

// ItemNotApplicable is decided by the program: the site has no such thing.
type ItemNotApplicable struct {
	Reason string `json:"reason"`
}

// ItemInterrupted says that an attempt ended without an outcome.
type ItemInterrupted struct {
	Reason string `json:"reason"`
}

// Noted is a remark on an item, or on the run if Event.Item is empty.
type Noted struct {
	Text string `json:"text"`
}

// Attached keeps what a screen showed, as evidence for an item, or for the run
// if Event.Item is empty: a frame of a pane, frozen.
type Attached struct {
	Title string    `json:"title"` // which view of which pane, and what was looked at
	Seen  time.Time `json:"seen"`  // when what it shows was found out
	Text  string    `json:"text"`
}

// Signed is a signature under an item, or under the run if Event.Item is empty.
// A signature under an armed action names the preview that was seen.
type Signed struct {
	Role    string `json:"role,omitempty"`
	Preview Hash   `json:"preview_hash,omitzero"`
}

// RunClosed ends a run whose items are all decided. State is completed or
// completed_with_exceptions, as the items say.
type RunClosed struct {
	State RunState `json:"state"`
	Note  string   `json:"note,omitempty"`
}

// RunAborted gives a run up.
type RunAborted struct {
	Reason string `json:"reason"`
}

// RunExpired ends a run whose period is over.
type RunExpired struct {
	Period string `json:"period"` // the new one
}

// RunSuspended says that nobody is at the run any more.
type RunSuspended struct {
	Reason string `json:"reason,omitempty"`
}

// RunResumed says that somebody came back to it.
type RunResumed struct {
	Version string `json:"version,omitempty"`
}

// DriverLeft says that the driver's last connection ended while something goes
// on: the line dropped, or the deck was left.
type DriverLeft struct {
	Items []string `json:"items"` // what goes on
}

// DriverReturned says that the driver who had left is back.
type DriverReturned struct{}

// RunTakenOver makes Event.Actor the driver in place of From.
type RunTakenOver struct {
	From   Actor  `json:"from"`
	Reason string `json:"reason,omitempty"`
}

// Kind implements Payload, here and below.
func (RunOpened) Kind() EventKind         { return "run.opened" }
func (CheckStarted) Kind() EventKind      { return "check.started" }
func (CheckFinished) Kind() EventKind     { return "check.finished" }
func (ItemConfirmed) Kind() EventKind     { return "item.confirmed" }
func (ItemDecided) Kind() EventKind       { return "item.decided" }
func (ItemSkipped) Kind() EventKind       { return "item.skipped" }
func (ItemAcknowledged) Kind() EventKind  { return "item.acknowledged" }
func (ItemOverridden) Kind() EventKind    { return "item.overridden" }
func (ItemRetried) Kind() EventKind       { return "item.retried" }
func (ItemNotApplicable) Kind() EventKind { return "item.not_applicable" }
func (ItemInterrupted) Kind() EventKind   { return "item.interrupted" }
func (Noted) Kind() EventKind             { return "noted" }
func (Attached) Kind() EventKind          { return "attached" }
func (Signed) Kind() EventKind            { return "signed" }
func (RunClosed) Kind() EventKind         { return "run.closed" }
func (RunAborted) Kind() EventKind        { return "run.aborted" }
func (RunExpired) Kind() EventKind        { return "run.expired" }
func (RunSuspended) Kind() EventKind      { return "run.suspended" }
func (RunResumed) Kind() EventKind        { return "run.resumed" }
func (DriverLeft) Kind() EventKind        { return "driver.left" }
func (DriverReturned) Kind() EventKind    { return "driver.returned" }
func (RunTakenOver) Kind() EventKind      { return "run.taken_over" }
