package postgres

import (
	"context"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Ping asks whether the server serves. A refusal, a silence, a start or a stop
// in progress and a full server are facts; a wrong password or a name that
// does not resolve says nothing about the server and gives unknown.
var Ping = module(checks.Module{
	Name: "pg.ping",
	Doc:  "Opens the shared session if there is none and asks the server for its version, role and start time",
	Facts: []fact.Spec{
		{Name: "ok", Type: fact.Bool, Doc: "the server took the session and answered", Worse: fact.Lower},
		{Name: "latency", Type: fact.Duration, Doc: "time to open a session, if there was none, and to answer", Worse: fact.Higher, Optional: true},
		{Name: "up", Type: fact.Duration, Doc: "time since the server's start", Worse: fact.Lower, Optional: true},
		{Name: "version", Type: fact.Text, Doc: "the server's version", Optional: true},
		{Name: "recovery", Type: fact.Bool, Doc: "the server is a standby, or recovers", Optional: true},
		{Name: "statement_timeout", Type: fact.Text, Doc: "of our session, as the server reported it", Optional: true},
		{Name: "lock_timeout", Type: fact.Text, Doc: "of our session, as the server reported it", Optional: true},
		{Name: "changed", Type: fact.Bool, Doc: "in the last 10 minutes the server restarted, recovered from a crash or changed between primary and standby, as seen from here", Worse: fact.Higher, Optional: true},
		{Name: "event", Type: fact.Text, Doc: "which of these it was, and when", Optional: true},
		{Name: "own", Type: fact.Percent, Doc: "the share of one session's time that all checks of the connection took since the last look: the most they can have cost", Worse: fact.Higher, Optional: true},
		{Name: "reason", Type: fact.Text, Doc: "why not, in the server's words or the network's", Optional: true},
	},
	Warn: "latency > 500ms or changed == true", Fail: "ok == false or latency > 2s", Source: "proposed",
	Timeout: 6 * time.Second,
	Example: "use: pg.ping",
	Run:     ping,
})

type pinged struct {
	Seconds  float64
	Recovery bool
}

const pingSQL = `SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8, pg_is_in_recovery()`

func ping(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	var got pinged
	var latency, opened time.Duration
	err = s.readOnly(ctx, "pg.ping", func(ctx context.Context, r *reading) (err error) {
		got, err = row[pinged](ctx, r, pingSQL)
		if latency, opened = time.Since(r.began), r.opened; err != nil {
			return err
		}
		_, err = s.noticeLife(ctx, r)
		return err
	})
	if isDown(err) {
		return checks.Findings{
			Target: s.Target(), Note: err.Error(),
			Facts: []fact.Fact{fact.Flag("ok", false), fact.Word("reason", err.Error())},
		}, nil
	}
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	settings, _ := s.Settings()
	up := seconds(got.Seconds)
	role := "primary"
	if got.Recovery {
		role = "standby"
	}
	f := checks.Findings{
		Target: s.Target(),
		Note:   "PostgreSQL " + settings.VersionText + ", " + role + ", up " + fact.FormatDuration(up),
		Facts: []fact.Fact{
			fact.Flag("ok", true), fact.Dur("latency", latency), fact.Dur("up", up),
			fact.Word("version", settings.VersionText), fact.Flag("recovery", got.Recovery),
			fact.Word("statement_timeout", settings.StatementTimeout), fact.Word("lock_timeout", settings.LockTimeout),
		},
		Phases: []checks.Phase{{Name: "session", Took: opened}, {Name: "query", Took: latency - opened}},
		Detail: settings.lines(),
	}
	own, says := s.ownCost(env.Memory)
	f.Facts = append(f.Facts, own...)
	f.Detail = append(f.Detail, says)
	event, changed := s.lives.recent(s.now())
	f.Facts = append(f.Facts, fact.Flag("changed", changed))
	if changed {
		f.Facts = append(f.Facts, fact.Word("event", event))
		f.Note += "; " + event
	}
	return f, nil
}

// lines show what the session runs under, as the server reported it.
func (s Settings) lines() []string {
	lines := []string{
		"session " + s.ApplicationName + " as " + s.User + " on " + s.Database,
		"read back: statement_timeout " + s.StatementTimeout + ", lock_timeout " + s.LockTimeout +
			", idle_in_transaction_session_timeout " + s.IdleInTransaction + ", search_path " + s.SearchPath,
	}
	if s.StartParamsRefused || !s.ReadOnlyByDefault {
		lines = append(lines, "a pooler keeps start-up parameters from the server: they are set in every transaction instead")
	}
	if !s.MaySeeOthers {
		lines = append(lines, mayNotSee(s.User))
	}
	return lines
}

func mayNotSee(role string) string {
	return "role " + role + " may not see other sessions' states and statements: GRANT pg_monitor TO " + role
}

// seconds is a duration that SQL gives as seconds. Clocks of a server can step
// back; an age never is negative.
func seconds(n float64) time.Duration {
	return max(0, time.Duration(n*float64(time.Second)))
}
