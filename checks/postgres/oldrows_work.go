package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// removal is a run of pg.archive or pg.purge.
type removal struct {
	env     checks.Env
	plan    *oldRowsPlan
	batch   int
	maxLag  time.Duration
	gone    int64
	batches int
	stopped string // why it ended before its end
	detail  []string
}

// removeOldRows works through the entries, a transaction a batch.
func removeOldRows(ctx context.Context, env checks.Env, args checks.Args, p *oldRowsPlan, name string) (checks.Findings, error) {
	w := &removal{env: env, plan: p, batch: args.Int("batch"), maxLag: args.Duration("max_lag")}
	for _, o := range p.sets {
		if before, known := env.BeforeFact("oid", o.entry.Name); known && before.Num != float64(o.table.OID) {
			return checks.Findings{}, checks.Failed(checks.Refused, "%s is not the table of the preview any more", o.table.Label)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, args.Duration("deadline"))
	defer cancel()
	err := p.server.act(ctx, deed{token: env.Token, settings: map[string]string{
		"lock_timeout": milliseconds(args.Duration("lock_timeout")), "statement_timeout": milliseconds(args.Duration("statement_timeout")),
		"idle_in_transaction_session_timeout": idleTimeout, "row_security": "off", checkInterval: givesUp,
	}, say: env.Printf}, func(ctx context.Context, conn *pgx.Conn) error {
		if err := p.upkeep.claim(ctx, conn); err != nil {
			return err
		}
		return w.all(ctx, conn)
	})
	f := checks.Findings{Target: p.database.Name, Detail: w.detail}
	f.Facts = []fact.Fact{
		fact.Number(name, w.gone), fact.Number("batches", w.batches), fact.Flag("stopped", w.stopped != ""),
		fact.Number("due", max(0, p.due()-float64(w.gone))),
	}
	f.Note = fmt.Sprintf("%s rows %s in %d batches", fact.FormatNumber(float64(w.gone)), name, w.batches)
	if w.stopped != "" {
		f.Note += ", then stopped: " + w.stopped
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", f.Note, err)
	}
	left, err := planLeft(ctx, p)
	if err != nil {
		return f, fmt.Errorf("%s, but what is left cannot be counted: %w", f.Note, err)
	}
	f.Facts[len(f.Facts)-1] = fact.Number("due", left)
	return f, nil
}

func planLeft(ctx context.Context, p *oldRowsPlan) (left float64, err error) {
	err = p.server.readOnly(ctx, "old rows", func(ctx context.Context, r *reading) error {
		for _, o := range p.sets {
			if err := o.count(ctx, r); err != nil {
				return err
			}
		}
		left = p.due()
		return nil
	})
	return left, err
}

func (w *removal) all(ctx context.Context, conn *pgx.Conn) error {
	total := w.plan.due()
	for _, o := range w.plan.sets {
		for w.stopped == "" {
			more, err := w.one(ctx, conn, o)
			if err != nil {
				return fmt.Errorf("%s: %w", o.table.Label, err)
			}
			if !more {
				break
			}
			w.env.Report(float64(w.gone), total, o.table.Label)
		}
	}
	return nil
}

const laggingSQL = `
SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8, count(*) FILTER (WHERE state IS NULL)::int
FROM pg_catalog.pg_stat_replication WHERE application_name <> 'pg_basebackup'`

// lags stops in front of a batch that the replicas could not follow.
func (w *removal) lags(ctx context.Context, conn *pgx.Conn) error {
	var lag float64
	var unseen int
	if err := conn.QueryRow(ctx, laggingSQL).Scan(&lag, &unseen); err != nil {
		return err
	}
	if unseen > 0 && w.batches == 0 {
		w.detail = append(w.detail, fmt.Sprintf("careful: the lag of %d replicas cannot be seen by this role: pg_monitor can", unseen))
	}
	if behind := seconds(lag); behind > w.maxLag {
		w.stopped = "a replica is " + fact.FormatDuration(behind) + " behind"
	}
	return nil
}

const waitingForUsSQL = `
SELECT count(*)::int FROM pg_catalog.pg_locks l
WHERE NOT l.granted AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(l.pid))`

// one moves one batch in a transaction of its own. It commits only what was
// proven: as many rows came to rest as left.
func (w *removal) one(ctx context.Context, conn *pgx.Conn, o *oldRows) (more bool, err error) {
	if err := w.lags(ctx, conn); err != nil || w.stopped != "" {
		return false, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit there is nothing to undo
	gone, kept, err := o.leave(ctx, tx, w.batch)
	if err != nil {
		return false, err
	}
	if gone != kept {
		return false, checks.Failed(checks.Other, "%d rows would leave %s and %d arrive in the archive: a trigger or a rule keeps them out; the batch was undone", gone, o.table.Label, kept)
	}
	var waiting int
	if err := tx.QueryRow(ctx, waitingForUsSQL).Scan(&waiting); err != nil {
		return false, err
	}
	if err := tx.Commit(ctx); err != nil {
		return false, err
	}
	if gone == 0 {
		return false, nil
	}
	w.gone += gone
	w.batches++
	w.env.Printf("%s: %d rows", o.table.Label, gone)
	if waiting > 0 {
		w.stopped = fmt.Sprintf("%d sessions waited for a batch", waiting)
	}
	return true, nil
}
