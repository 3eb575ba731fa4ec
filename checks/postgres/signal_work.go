package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// sendSQL signals one session if it is still the one that was confirmed: the
// comparison and the signal are one statement, and the signal is computed from
// the rows that passed the comparison. A third parameter that is not null asks
// for the statement to be the same too. It gives no row when there is no such
// session.
const sendSQL = `
WITH target AS MATERIALIZED (
  SELECT a.pid FROM pg_stat_activity a
  WHERE a.pid = $1 AND a.backend_start = $2::timestamptz AND a.pid <> pg_backend_pid()
    AND a.application_name NOT LIKE 'opsdeck/%%'
    AND (a.backend_type = 'client backend' OR a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%%(to prevent wraparound)%%')
    AND ($3::text IS NULL OR a.query_start = $3::timestamptz)
)
SELECT %s(pid) FROM target`

// stillSQL tells whether a session, or its statement, is still there.
const stillSQL = `
SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = $1 AND a.backend_start = $2::timestamptz
  AND ($3::text IS NULL OR a.query_start = $3::timestamptz AND a.state IN ('active', 'fastpath function call')))`

// A shot is one signal: to whom, and at which statement.
type shot struct {
	backendID
	queryBegan *string // nil: the session itself
}

// shots are the sessions that the confirmed preview showed, with the
// statements it showed them run.
func shots(ids []backendID, env checks.Env, sig signal) []shot {
	began := map[string]string{}
	for _, f := range env.Before {
		if f.Name == "query_began" {
			began[f.Label] = f.Text
		}
	}
	list := make([]shot, len(ids))
	for i, id := range ids {
		list[i] = shot{backendID: id}
		if at, ok := began[fmt.Sprint("pid ", id.PID)]; ok && sig.running {
			list[i].queryBegan = &at
		}
	}
	return list
}

// previewed holds that a cancel is of the statements that were confirmed: one
// that no preview showed would hit whatever the session runs by now.
func previewed(list []shot, sig signal) error {
	for _, at := range list {
		if sig.running && at.queryBegan == nil {
			return checks.Failed(checks.Internal, "a cancel needs a confirmed preview: it shows no statement of pid %d", at.PID)
		}
	}
	return nil
}

// A volley is what came of the signals.
type volley struct {
	signalled, before int
	left              []shot
	refused           []string // pids for which the server said that it sent nothing
	took              time.Duration
}

// sendSignals signals, one session after the other, and looks until all are
// gone or the patience is over.
func sendSignals(ctx context.Context, env checks.Env, args checks.Args, sig signal) (checks.Findings, error) {
	s, look, err := lookAtBackends(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	if err := sig.allowed(env.Site.Allow); err != nil {
		return checks.Findings{}, err
	}
	if len(look.found) > 0 {
		if err := look.refusal(sig); err != nil {
			return checks.Findings{}, err
		}
	}
	ids := make([]backendID, len(look.found))
	for i, b := range look.found {
		ids[i] = b.backendID
	}
	aimed := shots(ids, env, sig)
	if err := previewed(aimed, sig); err != nil {
		return checks.Findings{}, err
	}
	s.release(ctx) // on a full server the slot is needed for the session that signals
	var v volley
	err = s.acting(ctx, env.Token, map[string]string{"statement_timeout": "5s", "lock_timeout": lockTimeout}, func(ctx context.Context, conn *pgx.Conn) error {
		return v.fire(ctx, conn, aimed, sig, args.Duration("patience"))
	})
	v.before += len(look.gone)
	return v.findings(look, sig), err
}

// fire sends and waits.
func (v *volley) fire(ctx context.Context, conn *pgx.Conn, shots []shot, sig signal, patience time.Duration) error {
	began := time.Now()
	for _, at := range shots {
		var sent bool
		err := conn.QueryRow(ctx, fmt.Sprintf(sendSQL, sig.call), at.PID, at.Began, at.queryBegan).Scan(&sent)
		switch {
		case err == pgx.ErrNoRows: //nolint:errorlint // pgx returns it bare
			v.before++
			continue
		case err != nil:
			return fmt.Errorf("signalling pid %d: %w", at.PID, err)
		case sent:
			v.signalled++
		default:
			v.refused = append(v.refused, fmt.Sprint(at.PID))
		}
		v.left = append(v.left, at)
	}
	return v.wait(ctx, conn, began, patience)
}

// wait looks until all are gone: at once, then ever less often.
func (v *volley) wait(ctx context.Context, conn *pgx.Conn, began time.Time, patience time.Duration) error {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		var left []shot
		for _, at := range v.left {
			var still bool
			if err := conn.QueryRow(ctx, stillSQL, at.PID, at.Began, at.queryBegan).Scan(&still); err != nil {
				return fmt.Errorf("looking whether pid %d is gone: %w", at.PID, err)
			}
			if still {
				left = append(left, at)
			}
		}
		v.left, v.took = left, time.Since(began)
		if len(left) == 0 || v.took >= patience {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (v volley) findings(look backendsLook, sig signal) checks.Findings {
	f := checks.Findings{
		Target: fmt.Sprintf("%d sessions", len(look.asked)),
		Facts: []fact.Fact{
			fact.Number("sessions", len(look.found)), fact.Number("signalled", v.signalled),
			fact.Number("gone_before", v.before), fact.Number("left", len(v.left)), fact.Dur("took", v.took),
		},
		Note: fmt.Sprintf("%d %s and gone in %s", v.signalled-len(v.left), sig.done, fact.FormatDuration(v.took)),
	}
	if len(look.asked) == 1 {
		f.Target = fmt.Sprint(look.asked[0].PID)
	}
	if v.signalled == 0 && len(v.left) == 0 {
		f.Note = "nothing was signalled: they were gone already"
	}
	for _, at := range v.left {
		f.Detail = append(f.Detail, fmt.Sprintf("pid %d is still there after %s: the server ends it when it next can", at.PID, fact.FormatDuration(v.took)))
	}
	if len(v.left) > 0 {
		f.Note = fmt.Sprintf("%d signalled, %d still there after %s", v.signalled, len(v.left), fact.FormatDuration(v.took))
	}
	if len(v.refused) > 0 {
		f.Detail = append(f.Detail, "the server says that it sent no signal to "+strings.Join(v.refused, ", "))
	}
	f.Detail = append(f.Detail, look.gone...)
	return f
}

// probeSignal looks from outside: is any of them still there?
func probeSignal(ctx context.Context, env checks.Env, args checks.Args, sig signal) (checks.Findings, error) {
	ids, err := parseBackends(args.Texts("sessions"))
	if err != nil {
		return checks.Findings{}, checks.Failed(checks.Parse, "%w", err)
	}
	s, err := actingServer(env)
	if err != nil {
		return checks.Findings{}, err
	}
	left, err := s.stillThere(ctx, shots(ids, env, sig))
	if isFull(err) {
		if emergency, ok := onlyWhenFull(env); ok {
			left, err = emergency.stillThere(ctx, shots(ids, env, sig))
			emergency.release(ctx)
		}
	}
	if err != nil {
		return checks.Findings{}, err
	}
	note := "none of them is there any more"
	if len(left) > 0 {
		note = "still there: " + strings.Join(left, ", ")
	}
	return checks.Findings{Note: note, Facts: []fact.Fact{fact.Flag("done", len(left) == 0), fact.Number("left", len(left))}}, nil
}

func (s *Server) stillThere(ctx context.Context, list []shot) (left []string, err error) {
	err = s.readOnly(ctx, "signalled sessions", func(ctx context.Context, r *reading) error {
		if err := s.needOthers(); err != nil {
			return err
		}
		type answer struct{ Still bool }
		for _, at := range list {
			found, err := row[answer](ctx, r, stillSQL, at.PID, at.Began, at.queryBegan)
			if err != nil {
				return err
			}
			if found.Still {
				left = append(left, fmt.Sprint("pid ", at.PID))
			}
		}
		return nil
	})
	return left, err
}
