package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Saturation counts client sessions by database, user, application, state and
// client against the slots that an ordinary role can use, and against the
// limits that a role or a database has of its own. When the server is full it
// looks through the site's emergency connection, if there is one.
var Saturation = module(checks.Module{
	Name: "pg.saturation",
	Doc:  "Counts client sessions by database, user, application, state and client against the usable slots and the limits of roles and databases",
	Params: []checks.Param{
		limitParam("limit", 30, "how many users, applications and so on to list, the largest first", 500),
	},
	Facts: []fact.Spec{
		{Name: "used", Type: fact.Percent, Doc: "client sessions as a share of the usable slots", Worse: fact.Higher},
		{Name: "full", Type: fact.Bool, Doc: "the server refused a session for want of a slot", Worse: fact.Higher},
		{Name: "cause", Type: fact.Text, Doc: "which slots are used up, and what would get in", Optional: true},
		{Name: "sessions", Type: fact.Count, Unit: "sessions", Doc: "client sessions, without this one; absent when nobody could look", Worse: fact.Higher, Optional: true},
		{Name: "usable", Type: fact.Count, Unit: "slots", Doc: "max_connections less the reserved ones", Optional: true},
		{Name: "reserved", Type: fact.Count, Unit: "slots", Doc: "superuser_reserved_connections and, from 16 on, reserved_connections", Optional: true},
		{Name: "limit_used", Type: fact.Percent, Label: "of", Doc: "sessions as a share of a CONNECTION LIMIT, by role or database that has one", Worse: fact.Higher, Optional: true},
		{Name: "time_to_full", Type: fact.Duration, Doc: "time until no usable slot is left, if the sessions go on to grow as since the first look of the last 15 minutes; absent unless they grow", Worse: fact.Lower, Optional: true},
	},
	Warn:    "used > 80% or limit_used > 80% or time_to_full < 10m",
	Fail:    "used > 90% or full == true or limit_used > 95%",
	Source:  "field: 75 to 80 % / 90 % of the usable slots",
	Timeout: 5 * time.Second, Every: 5 * time.Second,
	Example: "use: pg.saturation\nfail: used > 90% or full == true",
	Run:     saturation,
})

// share is how many sessions of the same kind there are.
type share struct {
	Database, User, App, Client, State string
	Sessions, Waiting                  int
}

const sharesSQL = `
SELECT coalesce(datname::text, ''), coalesce(usename::text, ''), coalesce(application_name, ''), coalesce(host(client_addr), 'local'), coalesce(state, 'starting'),
       count(*)::int, (count(*) FILTER (WHERE wait_event_type = 'Lock'))::int
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4, 5 LIMIT 5000`

// ownLimit is a CONNECTION LIMIT. The server does not hold superusers to it.
type ownLimit struct {
	Database bool
	Name     string
	Limit    int
}

const ownLimitsSQL = `
SELECT false, rolname::text, rolconnlimit FROM pg_roles WHERE rolconnlimit >= 0 AND rolcanlogin AND NOT rolsuper
UNION ALL SELECT true, datname::text, datconnlimit FROM pg_database WHERE datconnlimit >= 0`

type occupancy struct {
	slots  slots
	shares []share
	limits []ownLimit
}

func (s *Server) occupancy(ctx context.Context) (occupancy, error) {
	var seen occupancy
	err := s.readOnly(ctx, "pg.saturation", func(ctx context.Context, r *reading) (err error) {
		if err := s.needOthers(); err != nil {
			return err
		}
		if seen.slots, err = row[slots](ctx, r, slotsSQL); err != nil {
			return err
		}
		if seen.limits, err = rows[ownLimit](ctx, r, ownLimitsSQL); err != nil {
			return err
		}
		seen.shares, err = rows[share](ctx, r, sharesSQL)
		return err
	})
	return seen, err
}

func saturation(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	seen, via, err := lookAnyway(ctx, env, s, func(ctx context.Context, s *Server) (occupancy, error) { return s.occupancy(ctx) })
	if isFull(err) {
		f := fullFindings(s, err)
		f.Facts = append(f.Facts, fact.Word("cause", err.Error()))
		return f, nil
	}
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := seen.findings(args.Int("limit"))
	f.Target, f.Detail = s.Target(), append(via.lines(), f.Detail...)
	f.Facts = append(f.Facts, fact.Flag("full", isFull(via.cause)))
	if via.cause != nil {
		f.Facts = append(f.Facts, fact.Word("cause", via.cause.Error()))
	}
	if left, ok := seen.timeToFull(env.Memory, s.now()); ok {
		f.Facts = append(f.Facts, fact.Dur("time_to_full", left))
	}
	return f, nil
}

func (o occupancy) sessions() int {
	n := 0
	for _, x := range o.shares {
		n += x.Sessions
	}
	return n
}

func (o occupancy) findings(limit int) checks.Findings {
	total, usable := o.sessions(), o.slots.usable()
	f := checks.Findings{
		Note: fmt.Sprintf("%d of %d usable slots", total, usable),
		Facts: []fact.Fact{
			fact.Pct("used", 100*float64(total)/float64(usable)), fact.Number("sessions", total),
			fact.Number("usable", usable), fact.Number("reserved", o.slots.Superuser+o.slots.Reserved),
		},
		Detail: []string{fmt.Sprintf("max_connections %d, reserved for superusers %d, reserved_connections %d", o.slots.Max, o.slots.Superuser, o.slots.Reserved)},
	}
	for _, l := range o.limits {
		if n := o.under(l); n > 0 {
			f.Facts = append(f.Facts, fact.Pct("limit_used", 100*float64(n)/float64(max(1, l.Limit))).On(word(l.String()).Text))
		}
	}
	f.Tables = o.tables(limit)
	return f
}

func (l ownLimit) String() string {
	if l.Database {
		return "database " + l.Name
	}
	return "role " + l.Name
}

// under counts the sessions that a limit is about.
func (o occupancy) under(l ownLimit) int {
	n := 0
	for _, x := range o.shares {
		if l.Database && x.Database == l.Name || !l.Database && x.User == l.Name {
			n += x.Sessions
		}
	}
	return n
}

const (
	// trendWindow is how far back the growth of the sessions is looked at.
	trendWindow = 15 * time.Minute
	// trendLeast: in less time a handful of sessions looks like a flood.
	trendLeast = 30 * time.Second
)

type crowd struct {
	at       time.Time
	sessions int
}

// timeToFull is when the last usable slot goes, by the growth since the first
// of the looks that are remembered.
func (o occupancy) timeToFull(memory *checks.Memory, now time.Time) (time.Duration, bool) {
	looks, _ := checks.Remembered[[]crowd](memory, "crowd")
	for len(looks) > 0 && now.Sub(looks[0].at) > trendWindow {
		looks = looks[1:]
	}
	checks.Remember(memory, "crowd", append(append([]crowd(nil), looks...), crowd{now, o.sessions()}))
	if len(looks) == 0 || now.Sub(looks[0].at) < trendLeast {
		return 0, false
	}
	first := looks[0]
	grown := o.sessions() - first.sessions
	if grown < 2 { // one more or less is no trend
		return 0, false
	}
	left := max(0, o.slots.usable()-o.sessions())
	return time.Duration(float64(left) / float64(grown) * float64(now.Sub(first.at))), true
}
