package pgbouncer

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Pools looks at every pool but the console's own.
var Pools = module(checks.Module{
	Name: "pgbouncer.pools",
	Doc:  "Tells how many clients wait for a server connection of PgBouncer, for how long, and how full it is",
	Facts: []fact.Spec{
		{Name: "pools", Type: fact.Count, Doc: "pools, each a database and a user"},
		{Name: "active", Type: fact.Count, Doc: "clients that are being served"},
		{Name: "waiting", Type: fact.Count, Worse: fact.Higher, Doc: "clients that wait for a server connection"},
		{Name: "longest_wait", Type: fact.Duration, Worse: fact.Higher, Doc: "since when the first of them waits"},
		{Name: "clients_used", Type: fact.Percent, Worse: fact.Higher, Doc: "clients of max_client_conn"},
	},
	Warn: "longest_wait > 1m or clients_used > 80%", Fail: "longest_wait > 5m or clients_used > 95%", Source: "guide (waiting for 1m); the rest proposed",
	Timeout: 5 * time.Second, Every: 30 * time.Second,
	Example: "use: pgbouncer.pools",
	Run:     pools,
})

func pools(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	c, err := checks.Connected[*console](env, kind)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: c.target()}
	shown, err := c.show(ctx, "POOLS", "CONFIG")
	if err != nil {
		return f, err
	}
	limit := 0.0
	for _, row := range shown[1] {
		if row["key"] == "max_client_conn" {
			if limit, err = number(row, "value"); err != nil {
				return f, err
			}
		}
	}
	if limit <= 0 {
		return f, checks.Failed(checks.Parse, "the console names no max_client_conn")
	}
	s, err := sum(shown[0])
	if err != nil {
		return f, err
	}
	f.Facts = []fact.Fact{
		fact.Number("pools", len(s.table.Rows)), fact.Number("active", s.active), fact.Number("waiting", s.waiting),
		fact.Dur("longest_wait", s.longest), fact.Pct("clients_used", 100*(s.active+s.waiting)/limit),
	}
	f.Tables = []checks.Table{s.table}
	f.Note = fmt.Sprintf("%s clients served, %s wait", fact.FormatNumber(s.active), fact.FormatNumber(s.waiting))
	f.Detail = s.detail
	return f, nil
}

type poolSum struct {
	active, waiting float64
	longest         time.Duration
	table           checks.Table
	detail          []string
}

func sum(rows []map[string]string) (s poolSum, err error) {
	s.table = checks.Table{Name: "pools", Columns: []checks.Column{
		{Name: "database", Type: fact.Text}, {Name: "user", Type: fact.Text}, {Name: "mode", Type: fact.Text}, {Name: "active", Type: fact.Count},
		{Name: "waiting", Type: fact.Count}, {Name: "servers", Type: fact.Count}, {Name: "idle", Type: fact.Count}, {Name: "wait", Type: fact.Duration},
	}}
	transactions := false
	for _, row := range rows {
		if row["database"] == "pgbouncer" {
			continue
		}
		n := map[string]float64{}
		for _, name := range []string{"cl_active", "cl_waiting", "sv_active", "sv_idle", "maxwait", "maxwait_us"} {
			if n[name], err = number(row, name); err != nil {
				return s, err
			}
		}
		wait := time.Duration(n["maxwait"])*time.Second + time.Duration(n["maxwait_us"])*time.Microsecond
		s.active, s.waiting, s.longest = s.active+n["cl_active"], s.waiting+n["cl_waiting"], max(s.longest, wait)
		transactions = transactions || row["pool_mode"] != "session"
		s.table.Rows = append(s.table.Rows, []fact.Value{
			fact.WordValue(row["database"]), fact.WordValue(row["user"]), fact.WordValue(row["pool_mode"]), fact.NumberValue(n["cl_active"]),
			fact.NumberValue(n["cl_waiting"]), fact.NumberValue(n["sv_active"]), fact.NumberValue(n["sv_idle"]), fact.DurValue(wait),
		})
	}
	if transactions {
		s.detail = []string{"a pool is not in session mode: what a session keeps (SET, LISTEN, advisory locks, named statements) is not the client's own there"}
	}
	return s, nil
}
