package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/watch"
	"github.com/advanced-lms/opsdeck/ui/pane"
	tea "github.com/charmbracelet/bubbletea"
)

// worstSpec is region 0: every check, worst first. It is a pane like the
// others, except that the deck always has it.
var worstSpec = pane.Spec{
	ID: "worst", Title: "WORST FIRST", Order: 0, Min: pane.Size{W: 16, H: 1},
	Needs: func(s watch.Snapshot) []string {
		var ids []string
		for _, st := range s.States {
			if !st.Idle(s.At) {
				ids = append(ids, st.Check.ID)
			}
		}
		return ids
	},
	New: func(pane.Deps) pane.Pane {
		return &worst{Table: pane.Table{
			Marks: true, Empty: "no check has been configured",
			Columns: []pane.Column{
				{Title: "check", Min: 8, Max: 20, Keep: 9},
				{Title: "what", Min: 18, Keep: 8, Fill: true},
				{Title: "since", Min: 5, Max: 6, Right: true, Keep: 7},
				{Title: "sure", Min: 3, Max: 5, Keep: 3},
				{Title: "history", Min: 12, Max: 12, Keep: 1},
			},
		}}
	},
}

type worst struct{ pane.Table }

// Show ranks the checks anew.
func (w *worst) Show(s watch.Snapshot) {
	ranked := ranked(s)
	held := heldBy(s)
	rows := make([]pane.Row, len(ranked))
	for i, st := range ranked {
		level := shownLevel(st, s.At)
		rows[i] = pane.Row{
			ID: st.Check.ID, Level: level, Faint: level == checks.OK || level == checks.Skipped || st.HeldBy != "",
			Cells: []pane.Cell{{Text: st.Check.ID}, {Text: sentence(st, s.At)}, {Text: since(st, s.At)}, {Text: sure(st)}, {Ticks: st.Ticks}},
			Sub:   holds(held[st.Check.ID]),
		}
	}
	w.SetRows(rows)
}

// ranked is every check: those that are not well as the monitor ranks them,
// those that do not answer, those that a cause explains, those that are well,
// and the rest. One that is sampled on demand and that nobody looks at is none.
func ranked(s watch.Snapshot) []watch.State {
	list := s.WorstFirst(s.At)
	listed := make(map[string]bool, len(list))
	for _, st := range list {
		listed[st.Check.ID] = true
	}
	for _, st := range s.States {
		if !listed[st.Check.ID] && !st.Idle(s.At) {
			list = append(list, st)
		}
	}
	slices.SortStableFunc(list, func(a, b watch.State) int { return class(a, s.At) - class(b, s.At) })
	return list
}

func class(s watch.State, now time.Time) int {
	switch l := shownLevel(s, now); {
	case (!s.Known() || s.Collecting()) && !s.Stuck:
		return 4
	case l == checks.Skipped:
		return 5
	case l == checks.OK:
		return 3
	case s.HeldBy != "":
		return 2
	case s.Level == checks.OK:
		return 1 // stuck or old
	}
	return 0
}

// shownLevel is the level a list shows: what is stuck or old is not known,
// whatever it was.
func shownLevel(s watch.State, now time.Time) checks.Level {
	if s.Stuck || s.Stale(now) {
		return checks.Unknown
	}
	return s.Level
}

// sentence is what is wrong, in words: never only a colour.
func sentence(s watch.State, now time.Time) string {
	r := s.Result
	switch {
	case s.HeldBy != "":
		return "held: " + s.HeldBy + " explains it"
	case s.Stuck:
		return fmt.Sprintf("no answer for %s (limit %s)", age(now.Sub(s.Running).Truncate(5*time.Second)), age(s.Check.Deadline()))
	case !s.Known():
		return "not run yet"
	case s.Stale(now):
		return "old: last answer " + age(now.Sub(r.At)) + " ago"
	case r.Collecting:
		return r.Err
	case r.Err != "":
		return strings.TrimPrefix(string(r.Class)+": ", ": ") + r.Err
	}
	return judged(r)
}

func judged(r checks.Result) string {
	why := ""
	if len(r.Why) > 0 {
		b := r.Why[0]
		why = strings.TrimSpace(b.Label+" ") + " " + b.Fact + " " + b.Value.String() + " (" + b.Rule + ")"
		why = strings.TrimSpace(why)
	}
	switch {
	case r.Note == "":
		return why
	case why == "":
		return r.Note
	}
	return r.Note + "; " + why
}

// since is when the level began: a clock time for today, an age for older.
func since(s watch.State, now time.Time) string {
	switch passed := now.Sub(s.Since); {
	case s.Since.IsZero() || !s.Known():
		return "-"
	case passed >= 20*time.Hour:
		return age(passed)
	}
	return s.Since.UTC().Format("15:04")
}

// sure is how well the level is confirmed.
func sure(s watch.State) string {
	switch {
	case s.Flapping:
		return "flaps"
	case s.Need == 0 || !s.Known():
		return ""
	case s.Streak >= s.Need:
		return "yes"
	}
	return fmt.Sprintf("%d/%d", s.Streak, s.Need)
}

// age is a duration in one or two letters: "41s", "6m", "3h", "12d".
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// heldBy lists, per check, the checks its failure explains.
func heldBy(s watch.Snapshot) map[string][]string {
	held := map[string][]string{}
	for _, st := range s.States {
		if st.HeldBy != "" {
			held[st.HeldBy] = append(held[st.HeldBy], st.Check.ID)
		}
	}
	return held
}

func holds(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return fmt.Sprintf("holds back %d: %s", len(ids), strings.Join(ids, ", "))
}

// Handle takes nothing: the list asks for nothing.
func (w *worst) Handle(any) tea.Cmd { return nil }

// Actions are the movements; enter, r and y are the deck's.
func (w *worst) Actions() []pane.Action { return w.Moves() }

// Summary says how many checks there are.
func (w *worst) Summary() string {
	shown, all := w.Len()
	if shown != all {
		return fmt.Sprintf("%d of %d match /%s", shown, all, w.Filter())
	}
	return fmt.Sprintf("%d checks", all)
}

// Point is the check under the cursor.
func (w *worst) Point() pane.Point {
	row, ok := w.Selected()
	if !ok {
		return pane.Point{}
	}
	return pane.Point{Check: row.ID, Value: row.Cells[1].Text, Line: row.ID + ": " + row.Cells[1].Text + " since " + row.Cells[2].Text}
}
