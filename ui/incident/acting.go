package incident

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
)

// deeds does what the document's action does: nothing, in the time that
// Desk.Wait gives it, with a line of output a second.
type deeds struct {
	desk  *Desk
	begun atomic.Pointer[time.Time]
	ended atomic.Bool // cancelled
}

// actions are those of a desk's session.
func (d *Desk) actions() *runbooks.Actions {
	do := &deeds{desk: d}
	return &runbooks.Actions{
		Prober: do, Deeds: do, NewToken: func() string { return "opsdeck/k3vq" },
		Refuse: func() string { return d.MayNot },
	}
}

// Preview implements runbooks.Prober.
func (a *deeds) Preview(_ context.Context, c checks.Check, _ checks.Own) checks.Result {
	if a.desk.Refuses != "" {
		return checks.Result{ID: c.ID, Module: c.Module.Name, Level: checks.Unknown, At: a.desk.Clock(), Err: a.desk.Refuses}
	}
	return checks.Result{
		ID: c.ID, Module: c.Module.Name, Level: checks.OK, At: a.desk.Clock(), Target: "advanced_lms_prod",
		Note: "set log_statement from all to none", Fingerprint: "7312/16384@db1", Locks: []string{"postgres:advanced_lms_prod"},
		Detail: []string{"careful: 2 sessions have it set for themselves", "no restart is needed"},
		Facts:  []fact.Fact{fact.Number("sessions", 41), fact.Number("danger", a.desk.Danger)},
		Tables: []checks.Table{{Name: "settings", Columns: []checks.Column{{Name: "setting", Type: fact.Text}, {Name: "now", Type: fact.Text}, {Name: "then", Type: fact.Text}},
			Rows: [][]fact.Value{{fact.WordValue("log_statement"), fact.WordValue("all"), fact.WordValue("none")}}}},
	}
}

// Probe implements runbooks.Prober.
func (a *deeds) Probe(_ context.Context, c checks.Check, _ checks.Own, _ checks.Rule) checks.Result {
	if a.desk.Blind {
		return checks.Result{ID: c.ID, Level: checks.Unknown, At: a.desk.Clock(), Err: "the server is away"}
	}
	level := checks.OK
	if a.ended.Load() {
		level = checks.Crit
	}
	return checks.Result{ID: c.ID, Level: level, At: a.desk.Clock(), Note: "log_statement is none", Facts: []fact.Fact{fact.Flag("done", !a.ended.Load())}}
}

// Prepare implements runbooks.Deeds, as do those below.
func (a *deeds) Prepare(runbooks.Deed) (string, error) { return "step", nil }

// Start begins.
func (a *deeds) Start(string) (runbooks.ActionStarted, error) {
	now := a.desk.Clock()
	a.begun.Store(&now)
	return runbooks.ActionStarted{PID: 4711, Start: 99, Boot: "b"}, nil
}

// since is how long it has been doing it.
func (a *deeds) since() time.Duration { return a.desk.Clock().Sub(*a.begun.Load()) }

// Look says how it stands.
func (a *deeds) Look(string) runbooks.DeedStatus {
	switch {
	case a.desk.Dies.Load():
		return runbooks.DeedStatus{State: runbooks.DeedGone}
	case a.ended.Load():
		res := checks.Result{Level: checks.Unknown, At: a.desk.Clock(), Err: "cancelled"}
		return runbooks.DeedStatus{State: runbooks.DeedFinished, Outcome: runbooks.ActionFinished{Result: res, Cancelled: true}}
	case a.since() < time.Duration(a.desk.Wait["pg.set"])*time.Second:
		return runbooks.DeedStatus{State: runbooks.DeedRunning}
	}
	res := checks.Result{Level: checks.OK, At: a.desk.Clock(), Note: "log_statement is none"}
	return runbooks.DeedStatus{State: runbooks.DeedFinished, Outcome: runbooks.ActionFinished{Result: res, Output: 42, Tail: "ALTER SYSTEM\npg_reload_conf\n"}}
}

// Cancel ends it.
func (a *deeds) Cancel(context.Context, string) error {
	a.ended.Store(true)
	return nil
}

// Scratch is nowhere.
func (a *deeds) Scratch(string) string { return "" }

// Live is a line a second.
func (a *deeds) Live(_ string, from int64) (runbooks.Live, error) {
	at := int64(a.since().Seconds())
	text := ""
	for i := from; i < at; i++ {
		text += fmt.Sprintf("reloading backend %d\n", i+1)
	}
	return runbooks.Live{Text: text, Next: at, Total: at, At: a.desk.Clock(), Progress: checks.Progress{Done: float64(at), Total: 10, What: "reloading"}}, nil
}
