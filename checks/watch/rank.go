package watch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// fresh is how long a change of level counts as news in the ranking.
const fresh = 30 * time.Minute

// WorstFirst lists the checks that are not well, the worst first, and behind
// each the checks that it holds. The order is: what users notice and is crit,
// what holds others, crit, unknown that was ok within the hour, warn, other
// unknown. Within one of these, news of the last half hour first, the newest
// at the top; then by how many others depend on it, then by name.
func (s Snapshot) WorstFirst(now time.Time) []State {
	held := map[string][]State{}
	var causes []State
	for _, st := range s.States {
		if !st.Known() || st.Collecting() || st.Level == checks.OK || st.Level == checks.Skipped || st.Idle(now) {
			continue
		}
		if st.HeldBy != "" {
			held[st.HeldBy] = append(held[st.HeldBy], st)
			continue
		}
		causes = append(causes, st)
	}
	slices.SortStableFunc(causes, func(a, b State) int {
		return cmp.Or(
			cmp.Compare(rank(a, len(held[a.Check.ID]), now), rank(b, len(held[b.Check.ID]), now)),
			cmp.Compare(newness(a, now), newness(b, now)),
			cmp.Compare(len(held[b.Check.ID]), len(held[a.Check.ID])),
			strings.Compare(a.Check.ID, b.Check.ID),
		)
	})
	var list []State
	for _, c := range causes {
		list = append(append(list, c), held[c.Check.ID]...)
	}
	return list
}

func rank(s State, holds int, now time.Time) int {
	switch {
	case s.Level == checks.Crit && seenByUsers(s):
		return 0
	case s.Level == checks.Crit && holds > 0:
		return 1
	case s.Level == checks.Crit:
		return 2
	case s.Level == checks.Unknown && now.Sub(s.LastOK) < time.Hour:
		return 3
	case s.Level == checks.Warn:
		return 4
	}
	return 5
}

// seenByUsers: the modules that ask what a user would ask.
func seenByUsers(s State) bool {
	return s.Check.Module != nil && (strings.HasPrefix(s.Check.Module.Name, "http.") || s.Check.Module.Name == "tcp.connect")
}

// newness orders news before the rest, the newest first; what is not news is
// equal.
func newness(s State, now time.Time) time.Duration {
	if age := now.Sub(s.Since); age < fresh {
		return age
	}
	return fresh
}

// hold marks the states whose failure another's explains: a check that is not
// well is held by the first of its needs that is crit, or by what holds that
// one. Held checks are still measured.
func hold(states []State) {
	index := make(map[string]int, len(states))
	for i, s := range states {
		index[s.Check.ID] = i
	}
	for i := range states {
		states[i].HeldBy = ""
		if l := states[i].Level; l == checks.OK || l == checks.Skipped || !states[i].Known() {
			continue
		}
		states[i].HeldBy = cause(states, index, i, map[int]bool{})
	}
}

func cause(states []State, index map[string]int, of int, visited map[int]bool) string {
	visited[of] = true
	for _, need := range states[of].Check.Needs {
		i, known := index[need]
		if !known || visited[i] || !states[i].Known() || states[i].Level != checks.Crit {
			continue
		}
		if root := cause(states, index, i, visited); root != "" {
			return root
		}
		return need
	}
	return ""
}

// Once is a snapshot of checks that were each run a single time: the sample's
// level is the level, and causes are folded as in a monitor's snapshot.
func Once(at time.Time, cs []checks.Check, results []checks.Result) Snapshot {
	states := make([]State, len(cs))
	for i, c := range cs {
		states[i] = State{
			Check: c, Result: results[i], Level: results[i].Level, Raw: results[i].Level, Since: results[i].At,
			Streak: 1, Need: 1, StaleAfter: results[i].At.Add(3 * c.Interval()),
		}
	}
	hold(states)
	return Snapshot{Seq: 1, At: at, States: states}
}
