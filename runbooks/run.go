package runbooks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A Run is one walk through a section, folded from its events. It is a value:
// Apply returns a new one, and nothing edits a Run in place.
type Run struct {
	ID     string
	Opened RunOpened
	State  RunState
	Reason string // why it was aborted, what was noted when it was closed

	OpenedAt time.Time
	ClosedAt time.Time // zero while the run is open or suspended
	OpenedBy Actor
	Driver   Actor

	Items      []ItemRun // in the order of the document
	Notes      Entries[Remark]
	Exhibits   []Exhibit
	Signatures []Remark

	Absences Entries[Absence] // of the driver, while something went on

	Aborting *Remark // why the run is being left; nil while it is not
	Window   *Remark // the override of the window, with its end

	clock  time.Duration  // by how much the wall clock was set since the run was opened
	places map[string]int // of the items; never written to after the run was opened
	alone  bool           // nobody else holds Items: it is changed in place

	Seq  uint64    // of the newest event
	Last time.Time // when it was recorded
}

// An ItemRun is what happened to one item.
type ItemRun struct {
	Step
	State    State
	Attempts Entries[Attempt]
	Late     Entries[Attempt] // results that came after a decision: evidence, no more
	Choice   string           // of a decide

	Ack      *Remark // a bad result that was seen
	Override *Remark // a failed result that does not hold up the rest until it expires
	Skip     *Remark // why it was left out
	Notes    Entries[Remark]
	Exhibits []Exhibit
	Barred   Entries[Remark] // tries to begin it that the clock or the place forbade

	Signatures []Remark

	begun bool // an attempt was intended
}

// An Attempt is one try at an item.
type Attempt struct {
	N        int
	Actor    Actor
	Started  time.Time
	Ended    time.Time // zero while it runs
	State    State
	Check    CheckStarted      // of a check
	Result   *checks.Result    // of a check that ended
	Evidence map[string]string // of a confirm
	Why      []checks.Breach   // rules that judged the evidence
	Reason   string            // why it was interrupted, cancelled or does not apply

	// Of an action, in the order in which they come to be.
	Armed      *ActionArmed
	Signatures []Remark // under the preview
	Typed      string
	Confirmed  *Remark
	Claim      *ActionClaimed
	Intent     *ActionIntended
	Process    *ActionStarted
	Outcome    *ActionFinished
	Verified   *checks.Result // the look from outside
	Resolved   *Remark        // who or what told what became of an interrupted one

	Hold *Watch // of a hold

	clock time.Duration // the run's when the attempt began or ended
}

// A Remark is something a person said: a note, an acknowledgement, an
// override, a skip, a signature.
type Remark struct {
	At    time.Time
	Actor Actor
	Text  string    // the note, the reason, the role of a signature
	Until time.Time // when it expires; zero: never
}

// Expired reports whether the remark has ceased to hold.
func (r *Remark) Expired(now time.Time) bool {
	return r == nil || !r.Until.IsZero() && !now.Before(r.Until)
}

// Took is how long the attempt took: by the monotonic clock of whoever did it,
// else by the wall clock, which may have been set, and never less than nothing.
func (a Attempt) Took() time.Duration {
	switch {
	case a.Outcome != nil && a.Outcome.Took > 0:
		return a.Outcome.Took
	case a.Armed == nil && a.Result != nil && a.Result.Took > 0:
		return a.Result.Took
	}
	return max(0, a.Ended.Sub(a.Started))
}

// Latest is the newest attempt.
func (it ItemRun) Latest() (Attempt, bool) {
	return it.Attempts.Newest()
}

// Result is the newest attempt's result, nil if it has none.
func (it ItemRun) Result() *checks.Result {
	a, _ := it.Latest()
	return a.Result
}

// Item returns the item of that id.
func (r Run) Item(id string) (ItemRun, bool) {
	if i := r.index(id); i >= 0 {
		return r.Items[i], true
	}
	return ItemRun{}, false
}

func (r Run) index(id string) int {
	if r.places != nil {
		if i, ok := r.places[id]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(r.Items, func(it ItemRun) bool { return it.ID == id })
}

// FactOf is the value of "item.fact" in the newest result of an item, in the
// form that a parameter takes: numbers as they are kept, times in RFC 3339.
func (r Run) FactOf(name string) (string, bool) {
	id, factName, ok := strings.Cut(name, ".")
	it, known := r.Item(id)
	if !ok || !known || it.Result() == nil {
		return "", false
	}
	f, found := it.Result().Fact(factName, "")
	if !found {
		return "", false
	}
	return fmt.Sprint(f.JSON()), true
}
