package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Locks finds who waits for a lock and who, at the root, holds everybody up:
// a running statement, a session idle in a transaction, or a prepared
// transaction, which has no session at all.
//
// pg_blocking_pids() takes every partition of the lock manager for a moment,
// so it is called only for sessions that the server says wait for a lock.
var Locks = module(checks.Module{
	Name: "pg.locks",
	Doc:  "Finds sessions that wait for locks, how long and how deep, and the roots that block them",
	Facts: []fact.Spec{
		{Name: "blocked", Type: fact.Count, Unit: "sessions", Doc: "sessions that wait for a lock", Worse: fact.Higher},
		{Name: "longest_wait", Type: fact.Duration, Doc: "longest wait: since the wait began (14+), else since the statement did; 0 if nobody waits", Worse: fact.Higher},
		{Name: "depth", Type: fact.Count, Doc: "waits between a root and the session farthest from it; a queue for one lock is 1 deep", Worse: fact.Higher},
		{Name: "roots", Type: fact.Count, Doc: "sessions and prepared transactions that block others and wait for nobody", Worse: fact.Higher},
		{Name: "frees", Type: fact.Count, Unit: "sessions", Doc: "sessions that the worst root holds up, directly or not", Worse: fact.Higher},
		{Name: "root", Type: fact.Text, Doc: "the worst root: pid, state, age and program", Optional: true},
		{Name: "log_lock_waits", Type: fact.Bool, Doc: "the server logs lock waits; off means its log is silent about them"},
	},
	Warn: "longest_wait > 10s", Fail: "longest_wait > 60s or depth > 3", Source: "proposed",
	Timeout: 6 * time.Second,
	Example: "use: pg.locks\nfail: longest_wait > 60s or depth > 3",
	Run:     locks,
})

// waiter is a session that waits for a lock.
type waiter struct {
	PID                      int
	By                       []int32 // 0 is a prepared transaction
	Wait                     float64 // seconds
	Mode, Relation           string
	User, App, State, Client string
	Query                    []byte
	Age                      float64 // seconds: of the state
	Database, Began          string
}

// waitStart is the beginning of a wait by server version: the newest entry
// that is not newer than the server is used.
var waitStart = byVersion{
	{140000, "coalesce(l.waitstart, a.query_start, a.state_change)"},
	{0, "coalesce(a.query_start, a.state_change)"},
}

// waitersSQL names the object of a lock in the connection's own database; in
// another one its number is all that can be known from here.
const waitersSQL = `
SELECT a.pid, pg_blocking_pids(a.pid), greatest(0, extract(epoch FROM clock_timestamp() - %s))::float8,
       coalesce(l.mode, ''), CASE WHEN c.oid IS NOT NULL THEN format('%%I.%%I', n.nspname, c.relname) ELSE coalesce(l.locktype || coalesce(' ' || l.relation::text, ''), '') END,
       coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, a.backend_type, ''), coalesce(host(a.client_addr), 'local'),
       coalesce(substr(textsend(a.query), 1, 1000), ''), greatest(0, extract(epoch FROM clock_timestamp() - coalesce(a.state_change, a.backend_start)))::float8,
       coalesce(a.datname::text, ''), coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '')
FROM pg_stat_activity a
LEFT JOIN LATERAL (SELECT * FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted LIMIT 1) l ON true
LEFT JOIN pg_class c ON c.oid = l.relation AND l.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.wait_event_type = 'Lock' AND a.pid <> pg_backend_pid()
LIMIT 1000`

// holder is a root: a session, or a prepared transaction with pid 0.
type holder struct {
	PID                      int
	State                    string
	Age                      float64 // seconds: of the state, or since it was prepared
	User, App, Client, Since string
	Query                    []byte
	Database, Began          string
	Holds                    string  // the strongest lock that somebody waits for
	Blocks                   []int32 // of a prepared transaction: who waits for it
}

// node is the holder's place in the tree: see preparedNode.
func (h holder) node(i int) int {
	if h.PID == 0 && len(h.Blocks) > 0 {
		return preparedNode(i)
	}
	return h.PID
}

const holdersSQL = `
SELECT pid, coalesce(state, backend_type, ''), greatest(0, extract(epoch FROM clock_timestamp() - coalesce(state_change, backend_start)))::float8,
       coalesce(usename::text, ''), coalesce(application_name, ''), coalesce(host(client_addr), 'local'),
       coalesce(to_char(xact_start, 'YYYY-MM-DD"T"HH24:MI:SSOF'), ''), coalesce(substr(textsend(query), 1, 1000), ''),
       coalesce(datname::text, ''), coalesce(to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ''),
       coalesce((SELECT (array_agg(replace(h.mode, 'Lock', '') || coalesce(' on ' || quote_ident(c.relname), '') ORDER BY h.mode = 'AccessExclusiveLock' DESC, h.mode = 'ExclusiveLock' DESC, h.mode))[1]
                 FROM pg_locks h JOIN pg_locks w ON NOT w.granted AND h.locktype = w.locktype AND h.database IS NOT DISTINCT FROM w.database
                   AND h.relation IS NOT DISTINCT FROM w.relation AND h.transactionid IS NOT DISTINCT FROM w.transactionid
                   AND h.classid IS NOT DISTINCT FROM w.classid AND h.objid IS NOT DISTINCT FROM w.objid
                 LEFT JOIN pg_class c ON c.oid = h.relation AND h.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                 WHERE h.granted AND h.pid = a.pid), ''), NULL::int[]
FROM pg_stat_activity a WHERE pid = ANY($1::int[])`

// preparedSQL finds the prepared transactions that hold what somebody waits
// for. A prepared transaction's locks have no pid; that on its own number says
// under which virtual transaction the others are kept, which has changed
// between versions.
const preparedSQL = `
SELECT 0, 'prepared', greatest(0, extract(epoch FROM clock_timestamp() - p.prepared))::float8,
       coalesce(p.owner::text, ''), '', '', to_char(p.prepared, 'YYYY-MM-DD"T"HH24:MI:SSOF'),
       textsend('PREPARE TRANSACTION ' || quote_ident(p.gid) || ' in ' || quote_ident(p.database::text)),
       p.database::text, to_char(p.prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), coalesce(b.holds, ''), b.waiting
FROM pg_prepared_xacts p
JOIN pg_locks own ON own.pid IS NULL AND own.locktype = 'transactionid' AND own.transactionid = p.transaction
CROSS JOIN LATERAL (
  SELECT array_agg(DISTINCT w.pid) AS waiting, max(replace(h.mode, 'Lock', '')) AS holds FROM pg_locks h JOIN pg_locks w ON NOT w.granted AND h.locktype = w.locktype
    AND h.database IS NOT DISTINCT FROM w.database AND h.relation IS NOT DISTINCT FROM w.relation
    AND h.transactionid IS NOT DISTINCT FROM w.transactionid AND h.page IS NOT DISTINCT FROM w.page
    AND h.tuple IS NOT DISTINCT FROM w.tuple AND h.classid IS NOT DISTINCT FROM w.classid
    AND h.objid IS NOT DISTINCT FROM w.objid AND h.objsubid IS NOT DISTINCT FROM w.objsubid
  WHERE h.granted AND h.pid IS NULL AND h.virtualtransaction = own.virtualtransaction) b
WHERE b.waiting IS NOT NULL
ORDER BY p.prepared`

type lockView struct {
	waiters       []waiter
	holders       []holder
	logsLockWaits bool
}

func locks(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	view, via, err := lookAnyway(ctx, env, s, func(ctx context.Context, s *Server) (lockView, error) { return s.lockView(ctx) })
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	f := view.findings()
	f.Target, f.Detail = s.Target(), append(via.lines(), f.Detail...)
	return f, nil
}

func (s *Server) lockView(ctx context.Context) (lockView, error) {
	var view lockView
	err := s.readOnly(ctx, "pg.locks", func(ctx context.Context, r *reading) (err error) {
		if err := s.needOthers(); err != nil {
			return err
		}
		type setting struct{ On bool }
		logs, err := row[setting](ctx, r, "SELECT current_setting('log_lock_waits') = 'on'")
		if err != nil {
			return err
		}
		view.logsLockWaits = logs.On
		settings, _ := s.Settings()
		view.waiters, err = rows[waiter](ctx, r, fmt.Sprintf(waitersSQL, waitStart.at(settings.Version)))
		if err != nil || len(view.waiters) == 0 {
			return err
		}
		tree := newLockTree(view.waiters)
		if view.holders, err = rows[holder](ctx, r, holdersSQL, tree.rootPIDs()); err != nil {
			return err
		}
		if len(tree.prepared()) == 0 {
			return nil
		}
		prepared, err := rows[holder](ctx, r, preparedSQL)
		view.holders = append(view.holders, prepared...)
		return err
	})
	return view, err
}

func (v lockView) findings() checks.Findings {
	tree := newLockTree(v.waitersOfNodes())
	var longest float64
	for _, w := range v.waiters {
		longest = max(longest, w.Wait)
	}
	f := checks.Findings{
		Note:   "nobody waits for a lock",
		Tables: []checks.Table{v.treeTable(tree), rootsTable(v.holders, tree), blockedTable(v.waiters)},
	}
	frees := 0
	for i, h := range v.holders {
		frees = max(frees, tree.frees(h.node(i)))
	}
	f.Facts = []fact.Fact{
		fact.Number("blocked", len(v.waiters)), fact.Dur("longest_wait", seconds(longest)),
		fact.Number("depth", tree.depth()), fact.Number("roots", len(v.holders)),
		fact.Number("frees", frees), fact.Flag("log_lock_waits", v.logsLockWaits),
	}
	if len(v.waiters) > 0 {
		f.Note = fmt.Sprintf("%d wait, longest %s", len(v.waiters), fact.FormatDuration(seconds(longest)))
	}
	if worst, ok := tree.worst(v.holders); ok {
		f.Facts = append(f.Facts, fact.Word("root", worst.String()))
		f.Note += "; " + worst.String()
	}
	if !v.logsLockWaits {
		f.Detail = append(f.Detail, "log_lock_waits is off: the server's log says nothing about lock waits")
	}
	return f
}

// String names a root in one line: "4242 idle in transaction for 6 m 12 s (backend)".
func (h holder) String() string {
	who := fmt.Sprint(h.PID)
	if h.PID == 0 {
		who = shown(h.Query)
	}
	text := who + " " + h.State + " for " + fact.FormatDuration(seconds(h.Age))
	if h.App != "" {
		text += " (" + word(h.App).Text + ")"
	}
	return text
}

func rootsTable(holders []holder, tree lockTree) checks.Table {
	t := checks.Table{Name: "roots", Columns: []checks.Column{
		{Name: "pid", Type: fact.Count}, {Name: "frees", Type: fact.Count}, {Name: "state", Type: fact.Text}, {Name: "age", Type: fact.Duration},
		{Name: "user", Type: fact.Text}, {Name: "app", Type: fact.Text}, {Name: "client", Type: fact.Text}, {Name: "since", Type: fact.Text}, {Name: "query", Type: fact.Text},
	}}
	for _, i := range tree.byFrees(holders) {
		h := holders[i]
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(h.PID), fact.NumberValue(tree.frees(h.node(i))), word(h.State), fact.DurValue(seconds(h.Age)),
			word(h.User), word(h.App), word(h.Client), word(h.Since), fact.WordValue(shown(h.Query)),
		})
	}
	return t
}

func blockedTable(waiters []waiter) checks.Table {
	t := checks.Table{Name: "blocked", Columns: []checks.Column{
		{Name: "pid", Type: fact.Count}, {Name: "blocked_by", Type: fact.Text}, {Name: "wait", Type: fact.Duration}, {Name: "mode", Type: fact.Text},
		{Name: "relation", Type: fact.Text}, {Name: "user", Type: fact.Text}, {Name: "app", Type: fact.Text}, {Name: "query", Type: fact.Text},
	}}
	for _, w := range byWait(waiters) {
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(w.PID), fact.WordValue(pids(w.By)), fact.DurValue(seconds(w.Wait)), word(w.Mode),
			word(w.Relation), word(w.User), word(w.App), fact.WordValue(shown(w.Query)),
		})
	}
	return t
}
