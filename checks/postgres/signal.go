package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// pg.cancel and pg.terminate signal the backends of sessions. A pid alone
// names nobody for long: every session is named by its pid and the moment its
// backend began, and both are compared again in the very statement that
// signals (signal_target.go). Whether the server took the signal is one fact,
// whether the session is gone another, and the second is looked at until it is
// true or the patience is over (signal_work.go).

// Cancel ends what sessions are running and leaves them connected.
var Cancel = signalling(cancelling, checks.Module{
	Name:   "pg.cancel",
	Doc:    "Cancels the statements that sessions are running; the sessions stay",
	Effect: checks.Reversible, Danger: 1,
	Crash:   "a signal is sent in an instant; whether the statement still runs tells what became of it",
	Example: "use: pg.cancel\nwith: {sessions: [\"4711@2026-11-23T02:52:01.123456Z\"], reason: holds up twelve others}",
})

// Terminate ends sessions, with the transaction they are in.
var Terminate = signalling(terminating, checks.Module{
	Name:   "pg.terminate",
	Doc:    "Ends sessions; the transactions they are in are rolled back",
	Effect: checks.Destructive, Danger: 2,
	Crash:   "a signal is sent in an instant; whether the session is still there tells what became of it",
	Example: "use: pg.terminate\nwith: {sessions: [\"4711@2026-11-23T02:52:01.123456Z\"], reason: idle in its transaction for an hour}",
})

// signalling completes a module with what both signals have in common.
func signalling(sig signal, m checks.Module) *checks.Module {
	m.Repeatable, m.Allowed = true, sig.allowed
	m.Params, m.Facts = signalParams(), signalFacts()
	m.Fail, m.Source, m.Timeout = "left > 0", "proposed", time.Minute
	m.Preview = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return previewSignal(ctx, env, args, sig)
	}
	m.Run = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return sendSignals(ctx, env, args, sig)
	}
	m.Probe = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probeSignal(ctx, env, args, sig)
	}
	return module(m)
}

// mostSignalled bounds one action: each session is a line of the preview that
// a person reads.
const mostSignalled = 100

func signalParams() []checks.Param {
	return []checks.Param{
		{
			Name: "sessions", Type: checks.TextsParam, Required: true, Check: checkBackends,
			Doc:     "the sessions, each as PID@BEGAN: the backend's pid and when it began, to the microsecond",
			Example: "[\"4711@2026-11-23T02:52:01.123456Z\"]",
		},
		{Name: "reason", Type: checks.TextParam, Required: true, Doc: "why, for the record", Check: checkReason, Example: "holds up twelve others"},
		{Name: "patience", Type: checks.DurationParam, Default: "10s", Doc: "how long to look whether they are gone"},
	}
}

func checkReason(v any) error {
	if strings.TrimSpace(v.(string)) == "" {
		return fmt.Errorf("say why: the record is read by others")
	}
	return nil
}

func signalFacts() []fact.Spec {
	return []fact.Spec{
		{Name: "sessions", Type: fact.Count, Doc: "sessions that were named and are still the same"},
		{Name: "frees", Type: fact.Count, Unit: "sessions", Optional: true, Doc: "of a preview: sessions that wait behind them for a lock, directly or not"},
		{Name: "query_began", Type: fact.Text, Label: "pid", Optional: true, Doc: "of a preview: when the statement began that is to be cancelled"},
		{Name: "signalled", Type: fact.Count, Optional: true, Doc: "signals that the server says it sent"},
		{Name: "gone_before", Type: fact.Count, Optional: true, Doc: "sessions that ended by themselves between the preview and the signal"},
		{Name: "left", Type: fact.Count, Optional: true, Worse: fact.Higher, Doc: "sessions that are still there, or still run the statement, at the end"},
		{Name: "took", Type: fact.Duration, Optional: true, Doc: "from the signal until the last of them was gone"},
		checks.DoneFact,
	}
}

// A signal is one of the two, in words and in SQL.
type signal struct {
	verb, done string // "cancel", "cancelled"
	call       string // the function that sends it
	running    bool   // it ends a statement, not a session
}

var (
	cancelling  = signal{"cancel", "cancelled", "pg_cancel_backend", true}
	terminating = signal{"terminate", "terminated", "pg_terminate_backend", false}
)

// allowed is the site's leave to signal.
func (sig signal) allowed(allow checks.Allow) error {
	if allow.KillSessions {
		return nil
	}
	return checks.Failed(checks.Denied, "this site does not let opsdeck %s sessions: allow: {kill_sessions: true} in the site file would", sig.verb)
}

// previewSignal shows the sessions as they are now, whom they hold up, and
// what speaks against it; it refuses what must not be signalled.
func previewSignal(ctx context.Context, env checks.Env, args checks.Args, sig signal) (checks.Findings, error) {
	if err := sig.allowed(env.Site.Allow); err != nil {
		return checks.Findings{}, err
	}
	s, look, err := lookAtBackends(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if err := look.refusal(sig); err != nil {
		return checks.Findings{}, err
	}
	frees := look.tree.freedBy(look.pids())
	f := checks.Findings{
		Target: look.target(), Fingerprint: look.fingerprint(s), Locks: look.locks(),
		Note:   fmt.Sprintf("%s %s, frees %d", sig.verb, look.called(), frees),
		Facts:  []fact.Fact{fact.Number("sessions", len(look.found)), fact.Number("frees", frees)},
		Tables: []checks.Table{look.table(), look.victims()},
	}
	for _, b := range look.found {
		if sig.running {
			f.Facts = append(f.Facts, fact.Word("query_began", b.QueryBegan).On(b.label()))
		}
		for _, why := range b.cautions(sig) {
			f.Detail = append(f.Detail, "careful: "+b.label()+" "+why)
		}
	}
	for _, gone := range look.gone {
		f.Detail = append(f.Detail, "careful: left out is "+gone)
	}
	return f, nil
}

// freedBy is how many sessions, beside the roots themselves, wait behind any
// of them.
func (t lockTree) freedBy(roots []int) int {
	all := map[int]bool{}
	for _, root := range roots {
		for pid := range t.behind(root) {
			if !slices.Contains(roots, pid) {
				all[pid] = true
			}
		}
	}
	return len(all)
}
