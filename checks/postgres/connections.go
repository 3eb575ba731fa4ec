package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Connections counts client backends against the slots that an ordinary role
// can use. Background processes take no such slot and are left out, and so is
// the session that counts.
var Connections = module(checks.Module{
	Name: "pg.connections",
	Doc:  "Counts client sessions by state against the usable slots, with the age of the oldest transaction and query",
	Facts: []fact.Spec{
		{Name: "used", Type: fact.Percent, Doc: "client sessions as a share of the usable slots", Worse: fact.Higher},
		{Name: "full", Type: fact.Bool, Doc: "the server refused a session because no slot is free", Worse: fact.Higher},
		{Name: "connections", Type: fact.Count, Unit: "sessions", Doc: "client sessions, without this one; absent when full and nobody could look", Worse: fact.Higher, Optional: true},
		{Name: "usable", Type: fact.Count, Unit: "slots", Doc: "max_connections less superuser_reserved_connections and, from 16 on, reserved_connections", Optional: true},
		{Name: "active", Type: fact.Count, Unit: "sessions", Doc: "sessions that run a statement", Worse: fact.Higher, Optional: true},
		{Name: "idle", Type: fact.Count, Unit: "sessions", Doc: "sessions that wait for their client, outside a transaction", Optional: true},
		{Name: "idle_in_tx", Type: fact.Count, Unit: "sessions", Doc: "sessions that wait for their client inside a transaction", Worse: fact.Higher, Optional: true},
		{Name: "waiting", Type: fact.Count, Unit: "sessions", Doc: "sessions that wait for a lock", Worse: fact.Higher, Optional: true},
		{Name: "idle_in_tx_age", Type: fact.Duration, Doc: "longest time that a session has been idle inside a transaction; 0 if none is", Worse: fact.Higher, Optional: true},
		{Name: "oldest_xact", Type: fact.Duration, Doc: "age of the oldest open transaction of a client; 0 if none is open", Worse: fact.Higher, Optional: true},
		{Name: "longest_query", Type: fact.Duration, Doc: "age of the longest running statement of a client; 0 if none runs", Worse: fact.Higher, Optional: true},
	},
	Warn: "used > 70% or idle_in_tx_age > 5m", Fail: "used > 90% or full == true", Source: "proposed",
	Timeout: 6 * time.Second,
	Example: "use: pg.connections\nfail: used > 90%",
	Run:     connections,
})

type slots struct{ Max, Superuser, Reserved int }

// usable never is below 1: a server with fewer slots serves nobody.
func (s slots) usable() int { return max(1, s.Max-s.Superuser-s.Reserved) }

const slotsSQL = `
SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
       coalesce(current_setting('reserved_connections', true), '0')::int`

type stateCount struct {
	State              string
	Sessions, Waiting  int
	Age, Xact, Running float64 // seconds
}

const statesSQL = `
SELECT coalesce(state, 'starting'), count(*)::int, (count(*) FILTER (WHERE wait_event_type = 'Lock'))::int,
       coalesce(max(extract(epoch FROM clock_timestamp() - state_change)), 0)::float8,
       coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8,
       coalesce(max(extract(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE state IN ('active', 'fastpath function call')), 0)::float8
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1 ORDER BY 2 DESC, 1`

type session struct {
	PID                         int
	User, Database, App, Client string
	State, Wait                 string
	Age, Xact                   float64 // seconds
	Query                       []byte
}

// sessionsSQL: those with an open transaction first, oldest first; then the
// rest by how long they have been as they are.
const sessionsSQL = `
SELECT pid, coalesce(usename::text, ''), coalesce(datname::text, ''), coalesce(application_name, ''), coalesce(host(client_addr), 'local'),
       coalesce(state, 'starting'), coalesce(wait_event_type || ':' || wait_event, ''),
       coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8,
       coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8,
       coalesce(substr(textsend(query), 1, 1000), '')
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
ORDER BY xact_start NULLS LAST, state_change NULLS LAST
LIMIT 30`

type activity struct {
	slots    slots
	states   []stateCount
	sessions []session
}

func connections(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	seen, err := s.activity(ctx)
	if !isFull(err) {
		return describe(s, seen, false), err
	}
	emergency, ok := onlyWhenFull(env)
	if !ok {
		return fullFindings(s, err), nil
	}
	seen, emergencyErr := emergency.activity(ctx)
	emergency.release(ctx)
	if emergencyErr != nil {
		f := fullFindings(s, err)
		f.Detail = append(f.Detail, "the emergency connection did not help: "+emergencyErr.Error())
		return f, nil
	}
	f := describe(s, seen, true)
	f.Detail = append(f.Detail, err.Error(), "looked through the connection "+emergency.name+", which is used only when full")
	return f, nil
}

func (s *Server) activity(ctx context.Context) (activity, error) {
	var seen activity
	err := s.readOnly(ctx, "pg.connections", func(ctx context.Context, r *reading) (err error) {
		if err := s.needOthers(); err != nil {
			return err
		}
		if seen.slots, err = row[slots](ctx, r, slotsSQL); err != nil {
			return err
		}
		if seen.states, err = rows[stateCount](ctx, r, statesSQL); err != nil {
			return err
		}
		seen.sessions, err = rows[session](ctx, r, sessionsSQL)
		return err
	})
	return seen, err
}

// needOthers: without pg_read_all_stats the states of other roles' sessions
// are NULL, and every count made of them is too low.
func (s *Server) needOthers() error {
	settings, _ := s.Settings()
	if !settings.MaySeeOthers {
		return checks.Failed(checks.Denied, "%s", mayNotSee(settings.User))
	}
	if !settings.Tracked {
		return checks.Failed(checks.Missing, "track_activities is off: the server does not know what its sessions do")
	}
	return nil
}

func fullFindings(s *Server, err error) checks.Findings {
	return checks.Findings{
		Target: s.Target(), Note: "no slot is free",
		Facts: []fact.Fact{fact.Pct("used", 100), fact.Flag("full", true)},
		Detail: []string{err.Error(),
			"who holds the slots cannot be seen from here; a connection with use: only-when-full and a superuser's role could"},
	}
}

func describe(s *Server, seen activity, full bool) checks.Findings {
	if seen.slots.Max == 0 {
		return checks.Findings{Target: s.Target()}
	}
	total := stateCount{}
	count := map[string]int{}
	var idleAge float64
	for _, st := range seen.states {
		total.Sessions += st.Sessions
		total.Waiting += st.Waiting
		total.Xact = max(total.Xact, st.Xact)
		total.Running = max(total.Running, st.Running)
		state, aborted := strings.CutSuffix(st.State, " (aborted)")
		count[state] += st.Sessions
		if state == "idle in transaction" || aborted {
			idleAge = max(idleAge, st.Age)
		}
	}
	used := 100 * float64(total.Sessions) / float64(seen.slots.usable())
	return checks.Findings{
		Target: s.Target(),
		Note:   fmt.Sprintf("%d of %d slots, %d active, %d idle in transaction", total.Sessions, seen.slots.usable(), count["active"], count["idle in transaction"]),
		Facts: []fact.Fact{
			fact.Pct("used", used), fact.Flag("full", full),
			fact.Number("connections", total.Sessions), fact.Number("usable", seen.slots.usable()),
			fact.Number("active", count["active"]+count["fastpath function call"]), fact.Number("idle", count["idle"]),
			fact.Number("idle_in_tx", count["idle in transaction"]), fact.Number("waiting", total.Waiting),
			fact.Dur("idle_in_tx_age", seconds(idleAge)), fact.Dur("oldest_xact", seconds(total.Xact)),
			fact.Dur("longest_query", seconds(total.Running)),
		},
		Detail: []string{fmt.Sprintf("max_connections %d, reserved for superusers %d, reserved_connections %d",
			seen.slots.Max, seen.slots.Superuser, seen.slots.Reserved)},
		Tables: []checks.Table{statesTable(seen.states), sessionsTable(seen.sessions)},
	}
}

func statesTable(states []stateCount) checks.Table {
	t := checks.Table{Name: "by_state", Columns: []checks.Column{
		{Name: "state", Type: fact.Text}, {Name: "sessions", Type: fact.Count},
		{Name: "waiting", Type: fact.Count}, {Name: "longest", Type: fact.Duration},
	}}
	for _, st := range states {
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(st.State), fact.NumberValue(st.Sessions), fact.NumberValue(st.Waiting), fact.DurValue(seconds(st.Age)),
		})
	}
	return t
}

func sessionsTable(sessions []session) checks.Table {
	t := checks.Table{Name: "sessions", Columns: []checks.Column{
		{Name: "pid", Type: fact.Count}, {Name: "user", Type: fact.Text}, {Name: "database", Type: fact.Text},
		{Name: "app", Type: fact.Text}, {Name: "client", Type: fact.Text}, {Name: "state", Type: fact.Text},
		{Name: "age", Type: fact.Duration}, {Name: "transaction", Type: fact.Duration}, {Name: "wait", Type: fact.Text}, {Name: "query", Type: fact.Text},
	}}
	for _, x := range sessions {
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(x.PID), word(x.User), word(x.Database), word(x.App), word(x.Client), word(x.State),
			fact.DurValue(seconds(x.Age)), fact.DurValue(seconds(x.Xact)), word(x.Wait), fact.WordValue(shown(x.Query)),
		})
	}
	return t
}

// word is a name as the server has it: names need not be valid UTF-8.
func word(name string) fact.Value { return fact.WordValue(strings.ToValidUTF8(name, "\uFFFD")) }
