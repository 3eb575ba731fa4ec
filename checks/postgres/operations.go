package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Progress shows how far the long operations are that the server reports on.
// What is done is the share of the phase that it is in: the server does not
// know how long the phases to come will take, and neither do we.
var Progress = module(checks.Module{
	Name: "pg.progress",
	Doc:  "Shows the progress of VACUUM, ANALYZE, CREATE INDEX, CLUSTER and VACUUM FULL, COPY and base backups, and how many autovacuum workers are at work",
	Facts: []fact.Spec{
		{Name: "operations", Type: fact.Count, Doc: "operations that report their progress"},
		{Name: "oldest", Type: fact.Duration, Doc: "age of the statement that has run longest; 0 if there is none"},
		{Name: "workers", Type: fact.Count, Unit: "workers", Doc: "autovacuum workers at work"},
		{Name: "workers_used", Type: fact.Percent, Doc: "these as a share of autovacuum_max_workers: at 100 % tables queue", Worse: fact.Higher},
		{Name: "wraparound", Type: fact.Count, Unit: "workers", Doc: "autovacuum workers that run to prevent wraparound: they do not give way to locks", Worse: fact.Higher},
	},
	Timeout: 4 * time.Second, Every: 2 * time.Second,
	Example: "use: pg.progress",
	Run:     operations,
})

// operation is one that reports its progress.
type operation struct {
	Command  string
	PID      int
	Relation string
	Phase    string
	Done     *float64 // percent of the phase; nil: the server does not say
	Age      *float64 // seconds
	Detail   string
	User     string
	Query    []byte
}

// operationsSQL has a place for the views of this version. The name of a
// relation is known in the connection's own database only.
const operationsSQL = `
SELECT p.command, p.pid, CASE WHEN p.relid = 0 THEN '' WHEN c.oid IS NOT NULL THEN format('%%I.%%I', n.nspname, c.relname) ELSE coalesce(quote_ident(d.datname::text) || ' ', '') || p.relid END,
       p.phase, p.done::float8, greatest(0, extract(epoch FROM clock_timestamp() - coalesce(a.query_start, a.xact_start, a.backend_start)))::float8,
       coalesce(p.detail, ''), coalesce(a.usename::text, a.backend_type, ''), coalesce(substr(textsend(a.query), 1, 4000), '')
FROM (%s) p
LEFT JOIN pg_stat_activity a ON a.pid = p.pid LEFT JOIN pg_database d ON d.oid = p.datid
LEFT JOIN pg_class c ON c.oid = p.relid AND (d.oid IS NULL OR d.datname = current_database()) LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.pid <> pg_backend_pid()
ORDER BY 6 DESC NULLS LAST, 2 LIMIT 200`

const workersSQL = `
SELECT (count(*) FILTER (WHERE backend_type = 'autovacuum worker'))::int, (count(*) FILTER (WHERE backend_type = 'autovacuum worker' AND query LIKE '%(to prevent wraparound)%'))::int,
       current_setting('autovacuum_max_workers')::int
FROM pg_stat_activity`

type autovacuumWorkers struct{ Working, Wraparound, Max int }

func operations(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	var found []operation
	var workers autovacuumWorkers
	err = s.readOnly(ctx, "pg.progress", func(ctx context.Context, r *reading) (err error) {
		if err := s.needOthers(); err != nil {
			return err
		}
		settings, _ := s.Settings()
		if found, err = rows[operation](ctx, r, fmt.Sprintf(operationsSQL, progressViews(settings.Version))); err != nil {
			return err
		}
		workers, err = row[autovacuumWorkers](ctx, r, workersSQL)
		return err
	})
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := checks.Findings{Target: s.Target(), Note: "nothing that reports its progress", Tables: []checks.Table{operationsTable(found)}}
	oldest := 0.0
	for _, o := range found {
		oldest = max(oldest, orZero(o.Age))
	}
	if len(found) > 0 {
		f.Note = fmt.Sprintf("%d at work, %s %s since %s", len(found), found[0].Command, word(found[0].Relation).Text, fact.FormatDuration(seconds(orZero(found[0].Age))))
	}
	f.Facts = []fact.Fact{
		fact.Number("operations", len(found)), fact.Dur("oldest", seconds(oldest)), fact.Number("workers", workers.Working),
		fact.Pct("workers_used", 100*float64(workers.Working)/float64(max(1, workers.Max))), fact.Number("wraparound", workers.Wraparound),
	}
	if workers.Working >= workers.Max {
		f.Detail = append(f.Detail, fmt.Sprintf("all %d autovacuum workers are at work: other tables wait for one", workers.Max))
	}
	return f, nil
}

func operationsTable(found []operation) checks.Table {
	t := checks.Table{Name: "operations", Columns: []checks.Column{
		{Name: "command", Type: fact.Text}, {Name: "pid", Type: fact.Count}, {Name: "relation", Type: fact.Text}, {Name: "phase", Type: fact.Text},
		{Name: "done", Type: fact.Percent}, {Name: "age", Type: fact.Duration}, {Name: "detail", Type: fact.Text}, {Name: "user", Type: fact.Text}, {Name: "query", Type: fact.Text},
	}}
	for _, o := range found {
		done := unknown(fact.Percent)
		if o.Done != nil {
			done = fact.PctValue(min(100, *o.Done))
		}
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(o.Command), fact.NumberValue(o.PID), word(o.Relation), word(o.Phase), done, age(o.Age), word(o.Detail), word(o.User), fact.WordValue(shown(o.Query)),
		})
	}
	return t
}
