package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A job is one target of an action.
type job struct {
	oid   uint32
	label string
	size  float64 // its share of the progress
}

// labour is how an action works at its jobs, one after the other.
type labour struct {
	env      checks.Env
	upkeep   *upkeep
	jobs     []job
	settings map[string]string
	deadline time.Duration // for all jobs together; 0: the action's own

	// statements are the SQL of a job; name is the target as it is called now.
	statements func(j job, name string) []string
	// failed may add what an error leaves behind.
	failed func(j job) string
}

// outcome is what came of the jobs.
type outcome struct {
	done, failed, skipped, warnings int
	detail                          []string
	took                            time.Duration
}

// facts are those that outcomeFacts declares.
func (o outcome) facts(targets string) []fact.Fact {
	return []fact.Fact{
		fact.Number(targets, o.done), fact.Number("errors", o.failed), fact.Number("skipped", o.skipped),
		fact.Number("warnings", o.warnings), fact.Dur("duration", o.took),
	}
}

// outcomeFacts declare what came of the targets, which are tables or indexes.
func outcomeFacts(targets string) []fact.Spec {
	return []fact.Spec{
		{Name: targets, Type: fact.Count, Doc: targets + " it was done to; of a preview: it would be done to"},
		{Name: "errors", Type: fact.Count, Unit: targets, Worse: fact.Higher, Doc: targets + " it failed for, those whose lock was not to be had among them"},
		{Name: "skipped", Type: fact.Count, Unit: targets, Worse: fact.Higher, Doc: targets + " left out: not the role's own, in other hands, gone, or beyond the deadline"},
		{Name: "warnings", Type: fact.Count, Worse: fact.Higher, Doc: "warnings of the server"},
		{Name: "duration", Type: fact.Duration, Worse: fact.Higher, Doc: "how long it took"},
	}
}

// do works at the jobs until they are done, or the time or the session ends.
// What one target is refused does not keep the others from being done.
func (l *labour) do(ctx context.Context) (outcome, error) {
	o := outcome{skipped: len(l.upkeep.left), detail: l.upkeep.left}
	began := time.Now()
	if l.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.deadline)
		defer cancel()
	}
	l.settings[checkInterval] = finishes // what was begun is finished, whoever is left to see it
	if at, ok := ctx.Deadline(); ok {    // the server's own end, should nobody be left to tell it
		l.settings["statement_timeout"] = strconv.FormatInt(max(1000, time.Until(at).Milliseconds()), 10)
	}
	var mu sync.Mutex
	notice := func(n *pgconn.Notice) {
		mu.Lock()
		defer mu.Unlock()
		if n.SeverityUnlocalized != "WARNING" {
			return
		}
		o.warnings++
		o.detail = append(o.detail, "warning: "+oneLine(n.Message))
		l.env.Printf("warning: %s", oneLine(n.Message))
	}
	d := deed{token: l.env.Token, settings: l.settings, notice: notice, say: l.env.Printf}
	err := l.upkeep.server.act(ctx, d, func(ctx context.Context, conn *pgx.Conn) error {
		if err := l.upkeep.claim(ctx, conn); err != nil {
			return err
		}
		return l.each(ctx, conn, &o)
	})
	o.took = time.Since(began)
	return o, err
}

func (l *labour) each(ctx context.Context, conn *pgx.Conn, o *outcome) error {
	follow := l.follow(ctx, conn.PgConn().PID())
	defer follow.stop()
	for i, j := range l.jobs {
		name, err := currentName(ctx, conn, j.oid)
		if errors.Is(err, pgx.ErrNoRows) {
			o.skipped++
			o.detail = append(o.detail, j.label+": is gone")
			continue
		}
		if err == nil {
			follow.begin(j)
			err = l.one(ctx, conn, j, name)
		}
		if err == nil {
			o.done++
			continue
		}
		o.failed++
		said := l.upkeep.server.explainDeed(ctx, conn, err)
		o.detail = append(o.detail, j.label+": "+said.Error())
		l.env.Printf("%s: %v", j.label, said)
		if l.failed != nil {
			if left := l.failed(j); left != "" {
				o.detail = append(o.detail, left)
			}
		}
		if ctx.Err() != nil || conn.IsClosed() {
			o.skipped += len(l.jobs) - i - 1
			return fmt.Errorf("%s, after %d of %d: %w", j.label, o.done, len(l.jobs), said)
		}
	}
	l.env.Report(1, 1, "done")
	return nil
}

func (l *labour) one(ctx context.Context, conn *pgx.Conn, j job, name string) error {
	for _, sql := range l.statements(j, name) {
		l.env.Printf("%s", sql)
		began := time.Now()
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
		l.env.Printf("  took %s", fact.FormatDuration(time.Since(began)))
	}
	return nil
}

// currentName is the target as it is called at this moment, quoted.
func currentName(ctx context.Context, conn *pgx.Conn, oid uint32) (string, error) {
	var schema, name string
	err := conn.QueryRow(ctx, "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1", oid).Scan(&schema, &name)
	return ident(schema, name), err
}

// claimSpace is the first key of the advisory lock that an action holds; the
// second is the database's OID. It spells "opsd".
const claimSpace = 0x6f707364

const claimHolderSQL = `
SELECT coalesce((SELECT 'session ' || l.pid || ' (' || coalesce(a.usename, '?') || ', ' || coalesce(a.application_name, '?') || ')' || coalesce(' since ' || to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', '')
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.database = $2 AND l.classid = $1 AND l.objid = $2 AND l.pid <> pg_catalog.pg_backend_pid() LIMIT 1), '')`

// claim takes the database's advisory lock, which ends with the session: the
// lock on the target that others on this host see is not seen from another
// host, and two at once would wait for each other and need the room twice.
func (u *upkeep) claim(ctx context.Context, conn *pgx.Conn) error {
	var got bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock($1::int, $2::oid::bigint::int)", claimSpace, u.database.OID).Scan(&got); err != nil {
		return err
	}
	if got {
		return nil
	}
	var by string
	if err := conn.QueryRow(ctx, claimHolderSQL, claimSpace, u.database.OID).Scan(&by); err != nil {
		return err
	}
	return claimed(u.database.Name, by)
}

func claimed(database, by string) error {
	return checks.Failed(checks.Refused, "%s is being worked on already, by %s", database, by)
}

// unclaimed refuses in the preview what claim would refuse later.
func (u *upkeep) unclaimed(ctx context.Context, r *reading) error {
	found, err := row[struct{ By string }](ctx, r, claimHolderSQL, claimSpace, u.database.OID)
	if err == nil && found.By != "" {
		err = claimed(u.database.Name, found.By)
	}
	return err
}

// unworked is unclaimed for a survey that reads nothing more.
func unworked(ctx context.Context, u *upkeep, r *reading) error { return u.unclaimed(ctx, r) }

// deadlineParam bounds an action beyond the item's own timeout.
func deadlineParam(cut string) checks.Param {
	return checks.Param{Name: "deadline", Type: checks.DurationParam, Default: "25m", Doc: "what is not done by then is not begun, and " + cut + "; the item's timeout counts too if it is shorter", Check: checkPositive}
}

func lockTimeoutParam() checks.Param {
	return checks.Param{Name: "lock_timeout", Type: checks.DurationParam, Default: "5s", Doc: "how long to wait for a table's lock; others wait behind it meanwhile", Check: checkPositive}
}

func checkPositive(value any) error {
	if d, ok := value.(time.Duration); ok && d < time.Millisecond {
		return fmt.Errorf("%v is no time to wait", d)
	}
	return nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
