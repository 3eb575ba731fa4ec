package watch

import (
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

const (
	keptTicks  = 60 // levels kept for the history of a check
	keptTrend  = 60 // samples kept of every numeric fact
	keptErrors = 5
	maxSeries  = 200 // facts of one check whose trend is kept
)

// State is what is known of one check. States in a Snapshot are never
// modified.
type State struct {
	Check  checks.Check
	Result checks.Result // newest; zero At if it never ran

	Level checks.Level // confirmed
	Raw   checks.Level // of the newest sample
	Since time.Time    // first sample of Level

	// Streak counts the samples that confirm the newest level, up to Need:
	// "2 of 3" while a change is being confirmed, Need of Need otherwise.
	Streak, Need int

	Flapping bool
	HeldBy   string    // id of the check whose failure explains this one
	Running  time.Time // start of the run in flight; zero if none
	Stuck    bool      // in flight beyond its deadline
	Looked   bool      // somebody looks at it: a check on demand is sampled

	StaleAfter time.Time // from then on the result is old
	LastOK     time.Time
	Errors     []Failure            // newest last
	Ticks      []Tick               // newest last
	Trend      map[string][]float64 // by TrendKey, newest last
}

// A Failure is a run that could not find out.
type Failure struct {
	At    time.Time
	Class checks.Class
	Err   string
}

// A Tick is the level of one sample.
type Tick struct {
	At    time.Time
	Level checks.Level
}

// TrendKey is the key of a fact's samples in State.Trend.
func TrendKey(factName, label string) string {
	if label == "" {
		return factName
	}
	return factName + "|" + label
}

// Known reports whether the check has run at all.
func (s State) Known() bool { return !s.Result.At.IsZero() }

// Collecting reports whether a check by difference has values and not yet
// enough of them for a first level. Lists and counts leave it out, as one that
// has not run yet.
func (s State) Collecting() bool { return s.Result.Collecting && s.Level == checks.Unknown }

// Stale reports whether the newest result is too old to be trusted.
func (s State) Stale(now time.Time) bool { return s.Known() && now.After(s.StaleAfter) }

// Age is how old the newest result is; 0 if there is none.
func (s State) Age(now time.Time) time.Duration {
	if !s.Known() {
		return 0
	}
	return max(0, now.Sub(s.Result.At))
}

// Confirming reports whether the newest sample says something else than the
// confirmed level, and is still alone with it.
func (s State) Confirming() bool { return s.Known() && s.Raw != s.Level }

// Idle reports whether the check is sampled on demand and nobody looks at it,
// and it knows nothing that still holds. It then says nothing about the site:
// lists and counts leave it out.
func (s State) Idle(now time.Time) bool {
	return s.Check.OnDemand && !s.Looked && s.Running.IsZero() && (!s.Known() || s.Stale(now))
}

// A Snapshot is everything the monitor knows at one moment.
type Snapshot struct {
	Seq       uint64
	At        time.Time
	States    []State // in the order of the checks
	Abandoned int     // calls that ignore their deadline and were given up
}

// State returns what is known of the check of that id.
func (s Snapshot) State(id string) (State, bool) {
	for _, st := range s.States {
		if st.Check.ID == id {
			return st, true
		}
	}
	return State{}, false
}

// Counts counts the checks by confirmed level. A check held by a cause is not
// counted (see Held), nor one that has not run yet or that is idle; a stale one
// is unknown.
func (s Snapshot) Counts(now time.Time) map[checks.Level]int {
	counts := map[checks.Level]int{}
	for _, st := range s.States {
		switch {
		case !st.Known() || st.Collecting() || st.HeldBy != "" || st.Idle(now):
		case st.Stale(now):
			counts[checks.Unknown]++
		default:
			counts[st.Level]++
		}
	}
	return counts
}

// Held counts the checks whose failure another's explains.
func (s Snapshot) Held() int {
	held := 0
	for _, st := range s.States {
		if st.HeldBy != "" && !st.Idle(s.At) {
			held++
		}
	}
	return held
}
