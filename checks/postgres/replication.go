package postgres

import (
	"context"
	"fmt"
	"math"
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
		{Name: "lost_slots", Type: fact.Count, Worse: fact.Higher, Doc: "slots whose WAL is gone: their reader has to begin anew"},
		{Name: "hours_left", Type: fact.Duration, Worse: fact.Lower, Label: "slot", Optional: true, Doc: "time until pg_wal is full, or the slot is lost, at the present rate of WAL, by slot that nobody reads"},
		{Name: "idle", Type: fact.Bool, Optional: true, Doc: "the primary writes nothing: a replica without news is not behind"},
	},
	Warn: "lag > 30s or behind > 100MiB or inactive_slots > 0 or retained > 5GiB or hours_left < 24h",
	Fail: "lag > 5m or behind > 1GiB or missing > 0 or retained > 20GiB or lost_slots > 0 or hours_left < 3h", Source: "proposed",
	Timeout: 5 * time.Second, Every: 30 * time.Second,
	Example: "use: pg.replication\nwith: {expected: 1}",
	Run:     replication,
})

// A replica as its primary has it. Values are nil to a role that may not see them.
type replica struct {
	Name, Client                     string
	State, Sync                      *string
	Sent, Written, Flushed, Replayed *float64 // bytes behind the primary's end of WAL
	WriteLag, FlushLag, ReplayLag    *float64 // seconds; nil when idle
}

const replicasSQL = `
SELECT coalesce(nullif(application_name, ''), '?') || coalesce('@' || host(client_addr), '') || ' #' || pid, coalesce(host(client_addr), 'local'), state, sync_state,
  pg_wal_lsn_diff(at.lsn, sent_lsn)::float8, pg_wal_lsn_diff(at.lsn, write_lsn)::float8, pg_wal_lsn_diff(at.lsn, flush_lsn)::float8, pg_wal_lsn_diff(at.lsn, replay_lsn)::float8,
  extract(epoch FROM write_lag)::float8, extract(epoch FROM flush_lag)::float8, extract(epoch FROM replay_lag)::float8
FROM pg_stat_replication, LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) at
WHERE state IS NULL OR state <> 'backup' ORDER BY 1 LIMIT 100`

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
	var self standby
	err = s.readOnly(ctx, "pg.replication", func(ctx context.Context, r *reading) (err error) {
		if self, err = row[standby](ctx, r, standbySQL); err != nil {
			return err
		}
		replicas, err = rows[replica](ctx, r, replicasSQL)
		return err
	})
	f := checks.Findings{Target: s.Target()}
	if err != nil {
		return f, err
	}
	slots, err := s.slots(ctx, env)
	if err != nil {
		return f, err
	}
	expected := args.Int("expected")
	if expected == 0 && len(replicas) == 0 && len(slots.all) == 0 && !self.Recovery {
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
	slots.describe(&f)
	if self.Recovery {
		f.Detail = append(f.Detail, "this server is a replica itself")
		f.Facts = append(f.Facts, fact.Size("behind", max(0, self.Behind)).On("this server"))
		if self.Lag == nil {
			return f, checks.Failed(checks.NoData, "this replica has not replayed any transaction yet: its lag is not known")
		}
		f.Facts = append(f.Facts, fact.Dur("lag", seconds(*self.Lag)).On("this server"))
	}
	f.Facts = append(f.Facts, fact.Number("replicas", streaming), fact.Number("missing", max(0, expected-streaming)))
	f.Tables = []checks.Table{t, slots.table()}
	f.Note = fmt.Sprintf("%d replicas stream, %d slots of %d without a reader", streaming, slots.inactive(), len(slots.all))
	if slots.known && slots.rate == 0 {
		f.Note += "; the primary writes nothing"
	}
	return f, nil
}

// facts: a replica that has replayed everything has no lag, whatever the last
// measured one was. One that has not and gives no time is not said to have none.
func (x replica) facts() []fact.Fact {
	if x.Replayed == nil {
		return nil
	}
	facts := []fact.Fact{fact.Of("behind", behind(x.Replayed)).On(x.Name)}
	if lag := x.lag(); !math.IsNaN(lag.Num) {
		facts = append(facts, fact.Of("lag", lag).On(x.Name))
	}
	return facts
}

func replicaTable() checks.Table {
	t := checks.Table{Name: "replicas", Columns: []checks.Column{
		{Name: "name", Type: fact.Text}, {Name: "client", Type: fact.Text}, {Name: "state", Type: fact.Text}, {Name: "sync", Type: fact.Text},
		{Name: "lag", Type: fact.Duration}, {Name: "lag_bytes", Type: fact.Bytes},
	}}
	for _, name := range []string{"write_lag", "flush_lag", "replay_lag"} {
		t.Columns = append(t.Columns, checks.Column{Name: name, Type: fact.Text})
	}
	for _, name := range []string{"sent", "write", "flush"} {
		t.Columns = append(t.Columns, checks.Column{Name: name, Type: fact.Bytes})
	}
	return t
}

// lag is how far the replica's replay is behind; the server measures none
// while there is nothing new, and one that has not replayed all and gives no
// time is not said to have none.
func (x replica) lag() fact.Value {
	switch {
	case x.Replayed != nil && *x.Replayed <= 0:
		return fact.DurValue(0)
	case x.Replayed != nil && x.ReplayLag != nil:
		return fact.DurValue(seconds(*x.ReplayLag))
	}
	return unknown(fact.Duration)
}

func (x replica) cells() []fact.Value {
	sync := ""
	if x.Sync != nil {
		sync = *x.Sync
	}
	cells := []fact.Value{word(x.Name), word(x.Client), word(*x.State), word(sync), x.lag(), behind(x.Replayed)}
	for _, n := range []*float64{x.WriteLag, x.FlushLag, x.ReplayLag} {
		lag := "idle"
		if n != nil {
			lag = fact.FormatDuration(seconds(*n))
		}
		cells = append(cells, fact.WordValue(lag))
	}
	return append(cells, behind(x.Sent), behind(x.Written), behind(x.Flushed))
}

func behind(n *float64) fact.Value {
	if n == nil {
		return unknown(fact.Bytes)
	}
	return fact.SizeValue(max(0, *n))
}
