package checklist

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// remark is the one thing to know of an item now.
func remark(it runbooks.ItemRun, n news, now time.Time) string {
	c := n.run.Computed(it.ID, now)
	a, tried := it.Latest()
	switch {
	case it.State == runbooks.Armed && a.Armed != nil:
		return "previewed " + ago(now.Sub(a.Started)) + " ago, not begun: x to go on" + wantsSignature(a)
	case it.State.Busy() && a.Hold != nil:
		return string(it.State) + " " + holdNote(a.Hold, now)
	case it.State.Busy() && a.Confirmed != nil:
		return strings.TrimSpace(string(it.State) + " " + ago(now.Sub(a.Confirmed.At)) + estimated(a) + " " + n.doing)
	case it.State.Busy():
		return string(it.State) + " " + ago(now.Sub(a.Started))
	case it.State == runbooks.Pending && c.Blocked != "":
		return "blocked: " + c.Blocked
	case it.State == runbooks.Pending:
		return wants(it, n)
	case it.State == runbooks.Skipped && it.Skip != nil:
		return "skipped: " + it.Skip.Text + until(it.Skip, now)
	case !tried:
		return word(it.State)
	}
	text := outcome(it, a)
	switch {
	case c.Stale != "":
		return "stale: " + c.Stale + " needs it fresher; " + text
	case !it.Override.Expired(now):
		return "overridden" + until(it.Override, now) + ": " + it.Override.Text + "; " + text
	case it.Override != nil:
		return "override has expired; " + text
	case it.Ack != nil:
		return "seen by " + it.Ack.Actor.Name + "; " + text
	}
	return text
}

func wantsSignature(a runbooks.Attempt) string {
	if missing := a.Armed.Signers - len(a.Signatures); missing > 0 {
		return fmt.Sprintf(", %d signature of another login missing", missing)
	}
	return ""
}

func estimated(a runbooks.Attempt) string {
	if a.Outcome != nil {
		return ", looking at what came of it"
	}
	if a.Armed != nil && a.Armed.Estimate > 0 {
		return " of about " + ago(a.Armed.Estimate)
	}
	return ""
}

// wants is what an item that is ready asks for.
func wants(it runbooks.ItemRun, n news) string {
	switch it.Kind {
	case runbooks.Check:
		return ""
	case runbooks.Manual:
		return "by hand: x when done"
	case runbooks.Confirm:
		item, _ := n.section.Item(it.ID)
		var names []string
		for _, f := range item.Evidence {
			names = append(names, f.Name)
		}
		return strings.TrimSpace("evidence: " + strings.Join(names, ", "))
	case runbooks.Decide:
		var names []string
		for _, o := range it.Options {
			names = append(names, o.Name)
		}
		return "decide: " + strings.Join(names, " or ")
	}
	if n.run.OnlyToAbort(it.ID) {
		return "only for a run that is left before its end"
	}
	if it.Kind == runbooks.Hold {
		item, _ := n.section.Item(it.ID)
		return "watches " + ago(item.Hold.For) + ": x begins"
	}
	return fmt.Sprintf("changes the system, danger %d: x shows what it would do", max(1, it.Danger))
}

// outcome is what came of the newest attempt.
func outcome(it runbooks.ItemRun, a runbooks.Attempt) string {
	switch {
	case it.Choice != "":
		return "chose " + it.Choice
	case a.Reason != "":
		return a.Reason
	case a.Result != nil:
		return found(*a.Result)
	case len(a.Evidence) > 0 || len(a.Why) > 0:
		var parts []string
		for _, b := range a.Why {
			parts = append(parts, breach(b))
		}
		for _, name := range slices.Sorted(maps.Keys(a.Evidence)) {
			parts = append(parts, name+"="+a.Evidence[name])
		}
		return strings.Join(parts, ", ")
	case it.State == runbooks.Passed:
		return ""
	}
	return word(it.State)
}

// found is what a check found out, with the rule that decided.
func found(r checks.Result) string {
	if r.Err != "" {
		return strings.TrimPrefix(string(r.Class)+": ", ": ") + r.Err
	}
	why := ""
	if len(r.Why) > 0 {
		why = breach(r.Why[0])
		if n := len(r.Why) - 1; n > 0 {
			why += " and " + strconv.Itoa(n) + " more"
		}
	}
	if len(r.Undecided) > 0 {
		why = "not found out: " + strings.Join(r.Undecided, ", ")
	}
	switch {
	case why == "":
		return r.Note
	case r.Note == "":
		return why
	}
	return why + "; " + r.Note
}

func breach(b checks.Breach) string {
	return strings.TrimSpace(b.Label+" "+b.Fact) + " " + b.Value.String() + " (" + b.Rule + ")"
}

func until(r *runbooks.Remark, now time.Time) string {
	switch {
	case r.Until.IsZero():
		return ""
	case r.Expired(now):
		return " (expired)"
	}
	return " for " + ago(r.Until.Sub(now))
}

// last is who dealt with the item, and when.
func last(it runbooks.ItemRun) (who, when string) {
	at := time.Time{}
	if a, ok := it.Latest(); ok {
		who, at = a.Actor.Name, a.Ended
		if at.IsZero() {
			at = a.Started
		}
	}
	if it.Skip != nil {
		who, at = it.Skip.Actor.Name, it.Skip.At
	}
	if at.IsZero() {
		return "", ""
	}
	return who, at.UTC().Format("15:04")
}

// word is a state as one reads it.
func word(s runbooks.State) string {
	switch s {
	case runbooks.Errored:
		return "unknown"
	case runbooks.NotApplicable:
		return "not applicable"
	case runbooks.RolledBack:
		return "rolled back"
	}
	return string(s)
}

// ago is a duration in one unit: "41 s", "6 m", "3 h", "12 d".
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " d"
}
