package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Replication looks at the replicas from their primary, or from a replica at
// its own distance.
var Replication = module(checks.Module{
	Name: "pg.replication",
	Doc:  "Tells how far behind each replica is, in bytes and time, and what unused slots keep on disk; a server without any is skipped",
	Params: []checks.Param{
		{Name: "expected", Type: checks.NumberParam, Default: 0.0, Doc: "replicas there have to be; 0: those that are there"},
	},
	Facts: []fact.Spec{
		{Name: "replicas", Type: fact.Count, Worse: fact.Lower, Doc: "replicas that stream"},
		{Name: "missing", Type: fact.Count, Worse: fact.Higher, Doc: "expected replicas that do not stream"},
		{Name: "lag", Type: fact.Duration, Worse: fact.Higher, Label: "replica", Optional: true, Doc: "by which a replica's replay is behind, by replica; 0 when it has replayed everything"},
		{Name: "behind", Type: fact.Bytes, Worse: fact.Higher, Label: "replica", Optional: true, Doc: "written by the primary and not replayed, by replica"},
		{Name: "inactive_slots", Type: fact.Count, Worse: fact.Higher, Doc: "slots that nobody reads: they keep WAL until the disk is full"},
		{Name: "retained", Type: fact.Bytes, Worse: fact.Higher, Label: "slot", Optional: true, Doc: "WAL that a slot keeps, by slot"},
	},
	Warn: "lag > 30s or inactive_slots > 0", Fail: "lag > 5m or missing > 0", Source: "proposed",
	Timeout: 5 * time.Second, Every: 30 * time.Second,
	Example: "use: pg.replication\nwith: {expected: 1}",
	Run:     replication,
})

// A replica as its primary has it. Values are nil to a role that may not see them.
type replica struct {
	Name                             string
	State, Sync                      *string
	Sent, Written, Flushed, Replayed *float64 // bytes behind the primary's end of WAL
	WriteLag, FlushLag, ReplayLag    *float64 // seconds; nil when idle
}

const replicasSQL = `
SELECT coalesce(nullif(application_name, ''), '?') || coalesce('@' || host(client_addr), '') || ' #' || pid, state, sync_state,
  pg_wal_lsn_diff(at.lsn, sent_lsn)::float8, pg_wal_lsn_diff(at.lsn, write_lsn)::float8, pg_wal_lsn_diff(at.lsn, flush_lsn)::float8, pg_wal_lsn_diff(at.lsn, replay_lsn)::float8,
  extract(epoch FROM write_lag)::float8, extract(epoch FROM flush_lag)::float8, extract(epoch FROM replay_lag)::float8
FROM pg_stat_replication, LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) at
WHERE state IS NULL OR state <> 'backup' ORDER BY 1 LIMIT 100`

// A slot keeps WAL for a reader, whether that comes or not.
type slot struct {
	Name     string
	Active   bool
	Status   string
	Retained float64
}

const walSlotsSQL = `
SELECT slot_name::text, active, coalesce(wal_status, '?'),
  coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::float8
FROM pg_replication_slots WHERE NOT temporary ORDER BY 1 LIMIT 100`

// A standby measures itself: idle for as long as its primary writes nothing,
// which is no lag when everything received is replayed and it still receives.
type standby struct {
	Recovery, Receiving bool
	Lag                 *float64
	Behind              float64
}

const standbySQL = `
SELECT pg_is_in_recovery(), EXISTS (SELECT FROM pg_stat_wal_receiver),
  CASE WHEN NOT pg_is_in_recovery() THEN NULL
       WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 0
       ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8,
  CASE WHEN pg_is_in_recovery() THEN coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0) ELSE 0 END::float8`

func replication(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	var replicas []replica
	var slots []slot
	var self standby
	err = s.readOnly(ctx, "pg.replication", func(ctx context.Context, r *reading) (err error) {
		if self, err = row[standby](ctx, r, standbySQL); err != nil {
			return err
		}
		if replicas, err = rows[replica](ctx, r, replicasSQL); err != nil {
			return err
		}
		slots, err = rows[slot](ctx, r, walSlotsSQL)
		return err
	})
	f := checks.Findings{Target: s.Target()}
	if err != nil {
		return f, err
	}
	expected := args.Int("expected")
	if expected == 0 && len(replicas) == 0 && len(slots) == 0 && !self.Recovery {
		return f, checks.NotHere{What: "no replica and no replication slot at " + s.Target()}
	}
	streaming := 0
	t := replicaTable()
	for _, x := range replicas {
		if x.State == nil {
			return f, checks.Failed(checks.Denied, "this role may not see how replicas are: GRANT pg_monitor")
		}
		if *x.State == "streaming" {
			streaming++
		}
		f.Facts = append(f.Facts, x.facts()...)
		t.Rows = append(t.Rows, x.cells())
	}
	idle := 0
	for _, x := range slots {
		f.Facts = append(f.Facts, fact.Size("retained", max(0, x.Retained)).On(x.Name))
		if !x.Active {
			idle++
			f.Detail = append(f.Detail, fmt.Sprintf("slot %s has no reader and keeps %s (%s)", x.Name, fact.FormatBytes(max(0, x.Retained)), x.Status))
		}
	}
	if self.Recovery {
		f.Detail = append(f.Detail, "this server is a replica itself")
		f.Facts = append(f.Facts, fact.Size("behind", max(0, self.Behind)).On("this server"))
		if self.Lag == nil {
			return f, checks.Failed(checks.NoData, "this replica has not replayed any transaction yet: its lag is not known")
		}
		f.Facts = append(f.Facts, fact.Dur("lag", seconds(*self.Lag)).On("this server"))
	}
	f.Facts = append(f.Facts, fact.Number("replicas", streaming), fact.Number("missing", max(0, expected-streaming)), fact.Number("inactive_slots", idle))
	f.Tables = []checks.Table{t}
	f.Note = fmt.Sprintf("%d replicas stream, %d slots of %d without a reader", streaming, idle, len(slots))
	return f, nil
}

// facts: a replica that has replayed everything has no lag, whatever the last
// measured one was. One that has not and gives no time is not said to have none.
func (x replica) facts() []fact.Fact {
	if x.Replayed == nil {
		return nil
	}
	facts := []fact.Fact{fact.Size("behind", max(0, *x.Replayed)).On(x.Name)}
	switch {
	case x.ReplayLag != nil && *x.Replayed > 0:
		facts = append(facts, fact.Dur("lag", seconds(*x.ReplayLag)).On(x.Name))
	case *x.Replayed <= 0:
		facts = append(facts, fact.Dur("lag", 0).On(x.Name))
	}
	return facts
}

func replicaTable() checks.Table {
	t := checks.Table{Name: "replicas", Columns: []checks.Column{{Name: "replica", Type: fact.Text}, {Name: "state", Type: fact.Text}, {Name: "sync", Type: fact.Text}}}
	for _, name := range []string{"sent", "write", "flush", "replay"} {
		t.Columns = append(t.Columns, checks.Column{Name: name, Type: fact.Bytes})
	}
	for _, name := range []string{"write_lag", "flush_lag", "replay_lag"} {
		t.Columns = append(t.Columns, checks.Column{Name: name, Type: fact.Text})
	}
	return t
}

func (x replica) cells() []fact.Value {
	sync := ""
	if x.Sync != nil {
		sync = *x.Sync
	}
	cells := []fact.Value{fact.WordValue(x.Name), fact.WordValue(*x.State), fact.WordValue(sync)}
	for _, n := range []*float64{x.Sent, x.Written, x.Flushed, x.Replayed} {
		behind := 0.0
		if n != nil {
			behind = max(0, *n)
		}
		cells = append(cells, fact.SizeValue(behind))
	}
	for _, n := range []*float64{x.WriteLag, x.FlushLag, x.ReplayLag} {
		lag := "idle"
		if n != nil {
			lag = fact.FormatDuration(seconds(*n))
		}
		cells = append(cells, fact.WordValue(lag))
	}
	return cells
}
