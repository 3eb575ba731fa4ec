package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A backendID names one session for good: pids are used again, a pid and the
// moment its backend began are not.
type backendID struct {
	PID   int
	Began string // as pg_stat_activity.backend_start, to the microsecond, UTC
}

// beganLayout is what beganSQL writes.
const beganLayout = "2006-01-02T15:04:05.000000Z"

func parseBackend(text string) (backendID, error) {
	pid, began, _ := strings.Cut(text, "@")
	n, err := strconv.ParseInt(pid, 10, 32)
	if err != nil || n <= 0 {
		return backendID{}, fmt.Errorf("%q names no session: PID@BEGAN is expected, such as 4711@2026-11-23T02:52:01.123456Z", text)
	}
	at, err := time.Parse(time.RFC3339Nano, began)
	if err != nil {
		return backendID{}, fmt.Errorf("%q does not say when the backend began: PID@BEGAN is expected, such as 4711@2026-11-23T02:52:01.123456Z", text)
	}
	return backendID{int(n), at.UTC().Format(beganLayout)}, nil
}

func parseBackends(texts []string) ([]backendID, error) {
	var list []backendID
	var problems []error
	for _, text := range texts {
		b, err := parseBackend(text)
		problems = append(problems, err)
		if err == nil && !slices.Contains(list, b) {
			list = append(list, b)
		}
	}
	return list, errors.Join(problems...)
}

func checkBackends(v any) error {
	list, err := parseBackends(v.([]string))
	switch {
	case err != nil:
		return err
	case len(list) == 0:
		return errors.New("no session is named")
	case len(list) > mostSignalled:
		return fmt.Errorf("%d sessions are more than %d at once", len(list), mostSignalled)
	}
	return nil
}

// arrays are the ids as the two parameters of the statements below.
func arrays(ids []backendID) (pids []int32, began []string) {
	for _, id := range ids {
		pids, began = append(pids, int32(id.PID)), append(began, id.Began)
	}
	return pids, began
}

// A backend is a session that was named, as it is now.
type backend struct {
	backendID
	Kind, State                 string
	User, Database, App, Client string
	Xact, Age                   float64 // seconds: of the transaction, of the state
	QueryBegan                  string
	Wait, Locks                 string
	Building                    bool // it builds an index, or rebuilds one
	Leader                      int  // of a parallel worker, else 0
	Own                         bool // it is the session that asks
	Super, Mine                 bool // its role is a superuser; is one of ours
	Query                       []byte
}

func (b backend) label() string { return "pid " + strconv.Itoa(b.PID) }

const beganSQL = `to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

// backendsSQL gives every pid that was named and is in use, whoever has it
// now: one that another session has got is told from one that is gone.
const backendsSQL = `
SELECT a.pid, coalesce(` + beganSQL + `, ''), coalesce(a.backend_type, ''), coalesce(a.state, ''),
       coalesce(a.usename::text, ''), coalesce(a.datname::text, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'local'),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8,
       coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0)::float8,
       coalesce(to_char(a.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ''),
       coalesce(a.wait_event_type || ':' || a.wait_event, ''),
       (SELECT count(*) || CASE WHEN bool_or(l.mode = 'AccessExclusiveLock') THEN ', AccessExclusive' ELSE '' END FROM pg_locks l WHERE l.pid = a.pid AND l.granted),
       EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.pid = a.pid),
       coalesce(a.leader_pid, 0), a.pid = pg_backend_pid(),
       coalesce(r.rolsuper, false), coalesce(pg_has_role(a.usesysid, 'USAGE'), false),
       coalesce(substr(textsend(a.query), 1, 4000), '')
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.pid = ANY($1::int[])
ORDER BY a.pid`

// signallerSQL is what the role that signals may do.
const signallerSQL = `
SELECT current_user::text, r.rolsuper, pg_has_role('pg_signal_backend', 'USAGE'), (SELECT system_identifier::text FROM pg_control_system())
FROM pg_roles r WHERE r.rolname = current_user`

type signaller struct {
	Role              string
	Super, MaySignal  bool
	ClusterIdentifier string
}

// A backendsLook is the named sessions, whoever waits behind them, and the
// role that would signal.
type backendsLook struct {
	asked   []backendID
	found   []backend // those that are still the same
	gone    []string  // the others, with what became of them
	who     signaller
	tree    lockTree
	waiters []waiter
}

// lookAtBackends reads all that an action decides by through the connection
// that would signal. On a server without a free slot it takes the connection
// that is kept for that.
func lookAtBackends(ctx context.Context, env checks.Env, args checks.Args) (*Server, backendsLook, error) {
	asked, err := parseBackends(args.Texts("sessions"))
	if err != nil {
		return nil, backendsLook{}, checks.Failed(checks.Parse, "%w", err)
	}
	s, err := actingServer(env)
	if err != nil {
		return nil, backendsLook{}, err
	}
	look, err := s.backends(ctx, asked)
	if isFull(err) {
		if emergency, ok := onlyWhenFull(env); ok {
			look, err = emergency.backends(ctx, asked)
			emergency.release(ctx)
			s = emergency
		}
	}
	return s, look, err
}

func (s *Server) backends(ctx context.Context, asked []backendID) (backendsLook, error) {
	look := backendsLook{asked: asked}
	err := s.readOnly(ctx, "sessions to signal", func(ctx context.Context, r *reading) (err error) {
		if err := s.needOthers(); err != nil {
			return err
		}
		if look.who, err = row[signaller](ctx, r, signallerSQL); err != nil {
			return err
		}
		settings, _ := s.Settings()
		if look.waiters, err = rows[waiter](ctx, r, fmt.Sprintf(waitersSQL, waitStart.at(settings.Version))); err != nil {
			return err
		}
		pids, _ := arrays(asked)
		seen, err := rows[backend](ctx, r, backendsSQL, pids)
		look.sort(seen)
		return err
	})
	look.tree = newLockTree(look.waiters)
	return look, err
}

// sort tells the sessions that are still the same from those that are not.
func (l *backendsLook) sort(seen []backend) {
	for _, id := range l.asked {
		i := slices.IndexFunc(seen, func(b backend) bool { return b.PID == id.PID })
		switch {
		case i < 0:
			l.gone = append(l.gone, fmt.Sprintf("pid %d: it is gone", id.PID))
		case seen[i].Began != id.Began:
			l.gone = append(l.gone, fmt.Sprintf("pid %d: another session has that number now, begun %s", id.PID, seen[i].Began))
		default:
			l.found = append(l.found, seen[i])
		}
	}
}

// refusal is why none of it may be done: one session that must not be
// signalled refuses all, so that what is done is what was asked.
func (l backendsLook) refusal(sig signal) error {
	if len(l.found) == 0 {
		return checks.Failed(checks.Missing, "nothing to %s: %s", sig.verb, strings.Join(l.gone, "; "))
	}
	var reasons []string
	for _, b := range l.found {
		if why := b.never(sig); why != "" {
			reasons = append(reasons, b.label()+" "+why)
		}
	}
	if len(reasons) > 0 {
		return checks.Failed(checks.Refused, "not signalled: %s", strings.Join(reasons, "; "))
	}
	for _, b := range l.found {
		if why := l.who.mayNot(b); why != "" {
			reasons = append(reasons, b.label()+" "+why)
		}
	}
	if len(reasons) > 0 {
		return checks.Failed(checks.Denied, "%s may not: %s", l.who.Role, strings.Join(reasons, "; "))
	}
	return nil
}

// never is why a session is not signalled by whoever asks, "" if it may be.
func (b backend) never(sig signal) string {
	vacuum := b.Kind == "autovacuum worker"
	switch {
	case b.Own || strings.HasPrefix(b.App, "opsdeck/"):
		return "is a session of opsdeck itself"
	case vacuum && strings.Contains(string(b.Query), "(to prevent wraparound)"):
		return "is the autovacuum that keeps the server from wraparound: it would only begin again"
	case b.Leader != 0 && b.Leader != b.PID:
		return "is a parallel worker: signal its leader, pid " + strconv.Itoa(b.Leader)
	case b.Kind == "walsender":
		return "sends WAL to a replica: end it at the replica"
	case vacuum && sig.running:
		return ""
	case b.Kind != "client backend":
		return "is a " + b.Kind + ", no client"
	case sig.running && b.State != "active" && b.State != "fastpath function call":
		return "runs no statement (" + b.State + "): a cancel would do nothing, terminate ends it"
	}
	return ""
}

// mayNot is why the role may not signal the session, "" if it may.
func (w signaller) mayNot(b backend) string {
	switch {
	case w.Super || b.Mine && !b.Super:
		return ""
	case b.Super:
		return "belongs to the superuser " + b.User + ": only a superuser may signal it"
	case w.MaySignal:
		return ""
	}
	return "belongs to " + b.User + ": GRANT pg_signal_backend TO " + ident(w.Role)
}

// cautions speak against signalling a session, and forbid nothing.
func (b backend) cautions(sig signal) []string {
	var list []string
	query := strings.ToLower(strings.TrimSpace(string(b.Query)))
	switch {
	case b.App == "pg_dump" || b.App == "pg_dumpall" || strings.HasPrefix(query, "copy "):
		list = append(list, "copies data, perhaps a backup: what it has written so far is of no use then")
	case b.Building:
		list = append(list, "builds an index: one that is built concurrently stays behind invalid and has to be dropped")
	case b.Kind == "autovacuum worker":
		list = append(list, "is an autovacuum: what it has done so far is done again")
	}
	if xact := seconds(b.Xact); xact >= time.Minute {
		list = append(list, "has been in its transaction for "+fact.FormatDuration(xact)+": undoing it may take a while")
	}
	if !sig.running && b.State == "idle" {
		list = append(list, "is idle: it holds a slot and nothing else")
	}
	return list
}

func (l backendsLook) pids() []int {
	list := make([]int, len(l.found))
	for i, b := range l.found {
		list[i] = b.PID
	}
	return list
}

// target is what a person types: the pid, or how many.
func (l backendsLook) target() string {
	if len(l.found) == 1 {
		return strconv.Itoa(l.found[0].PID)
	}
	return fmt.Sprintf("%d sessions", len(l.found))
}

// called is the target as a sentence names it.
func (l backendsLook) called() string {
	if len(l.found) > 1 {
		return l.target()
	}
	b := l.found[0]
	return fmt.Sprintf("%s of %s (%s, %s)", b.label(), word(b.User).Text, word(b.App).Text, b.State)
}

// fingerprint is the server and the sessions: what a person confirmed is what
// is signalled.
func (l backendsLook) fingerprint(s *Server) string {
	sum := fnv.New64a()
	for _, b := range l.found {
		fmt.Fprintf(sum, "%d@%s ", b.PID, b.Began) //nolint:errcheck // a hash does not fail
	}
	return fmt.Sprintf("%s@%s %d sessions %x", l.who.ClusterIdentifier, s.Target(), len(l.found), sum.Sum64())
}

// locks keep two people from signalling one session at a time. The lock of the
// database is not among them: who holds up a VACUUM must be ended during it.
func (l backendsLook) locks() []string {
	list := make([]string, len(l.found))
	for i, b := range l.found {
		list[i] = fmt.Sprintf("postgres-session:%s/%d", l.who.ClusterIdentifier, b.PID)
	}
	return list
}

func (l backendsLook) table() checks.Table {
	t := checks.Table{Name: "sessions", Columns: []checks.Column{
		{Name: "pid", Type: fact.Count}, {Name: "frees", Type: fact.Count}, {Name: "state", Type: fact.Text}, {Name: "age", Type: fact.Duration}, {Name: "transaction", Type: fact.Duration},
		{Name: "locks", Type: fact.Text}, {Name: "wait", Type: fact.Text}, {Name: "user", Type: fact.Text}, {Name: "database", Type: fact.Text}, {Name: "app", Type: fact.Text},
		{Name: "client", Type: fact.Text}, {Name: "began", Type: fact.Text}, {Name: "query", Type: fact.Text},
	}}
	for _, b := range l.found {
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(b.PID), fact.NumberValue(l.tree.frees(b.PID)), word(b.State), fact.DurValue(seconds(b.Age)), fact.DurValue(seconds(b.Xact)),
			word(b.Locks), word(b.Wait), word(b.User), word(b.Database), word(b.App), word(b.Client), word(b.Began), fact.WordValue(shown(b.Query)),
		})
	}
	return t
}

// victims are those who wait behind the sessions.
func (l backendsLook) victims() checks.Table {
	var behind []waiter
	for _, w := range l.waiters {
		for _, pid := range l.pids() {
			if l.tree.behind(pid)[w.PID] {
				behind = append(behind, w)
				break
			}
		}
	}
	t := blockedTable(behind)
	t.Name = "freed"
	return t
}
