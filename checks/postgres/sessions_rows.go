package postgres

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// A listed is one session of the list as pg_stat_activity has it. Ages are seconds, nil
// where there is none.
type listed struct {
	PID                         int
	Kind                        string
	User, Database, App, Client string
	State, Wait                 string
	XactAge, QueryAge, StateAge *float64
	Xmin                        *float64 // transactions since its snapshot, or since its own began
	By                          []int32
	Began                       string
	Query                       []byte
}

// listedSQL knows no age of what is not there: greatest(0, NULL) would be 0. It
// leaves the server's own processes out, which belong to no
// database, and asks for blockers only where the server says that a lock is
// waited for: each call takes the lock manager's partitions for a moment.
const listedSQL = `
SELECT a.pid, coalesce(a.backend_type, ''), coalesce(a.usename::text, ''), coalesce(a.datname::text, ''), coalesce(a.application_name, ''),
       coalesce(host(a.client_addr), CASE WHEN a.backend_type IN ('client backend', 'walsender') THEN 'local' ELSE '' END),
       coalesce(a.state, CASE WHEN a.backend_type = 'client backend' THEN 'starting' ELSE '' END), coalesce(a.wait_event_type || ':' || a.wait_event, ''),
       CASE WHEN a.xact_start IS NOT NULL THEN greatest(0, extract(epoch FROM clock_timestamp() - a.xact_start))::float8 END,
       CASE WHEN a.state IN ('active', 'fastpath function call') THEN greatest(0, extract(epoch FROM clock_timestamp() - a.query_start))::float8 END,
       CASE WHEN a.state_change IS NOT NULL THEN greatest(0, extract(epoch FROM clock_timestamp() - a.state_change))::float8 END,
       greatest(age(a.backend_xmin), age(a.backend_xid))::float8,
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_blocking_pids(a.pid) END,
       coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ''),
       coalesce(substr(textsend(a.query), 1, CASE WHEN a.state = 'idle' THEN 200 ELSE 4000 END), '')
FROM pg_stat_activity a
WHERE a.pid <> pg_backend_pid() AND (a.datid IS NOT NULL OR a.backend_type = 'walsender')
ORDER BY a.xact_start NULLS LAST, a.state_change NULLS LAST LIMIT 2000`

// lockHolders is for how many sessions at most locks are looked up.
const lockHolders = 300

// heldLocks are the table locks of one session: how many, and the strongest.
type heldLocks struct {
	PID      int
	Locks    int
	Strength string
}

// heldLocksSQL names a table of the connection's own database; of another one
// only its number can be known here.
const heldLocksSQL = `
SELECT l.pid, count(*)::int,
       (array_agg(replace(l.mode, 'Lock', '') || ' on ' || CASE WHEN c.oid IS NOT NULL THEN format('%I.%I', n.nspname, c.relname) ELSE 'relation ' || l.relation END
        ORDER BY array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], l.mode) DESC,
                 l.relation DESC))[1]
FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation AND l.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.granted AND l.locktype = 'relation' AND l.pid = ANY($1::int[])
GROUP BY l.pid`

// otherHolder holds back VACUUM without being a session.
type otherHolder struct {
	What string
	XIDs float64
}

const otherHoldersSQL = `
SELECT 'prepared transaction ' || quote_literal(gid) || ' in ' || quote_ident(database::text), age(transaction)::float8 FROM pg_prepared_xacts
UNION ALL SELECT 'replication slot ' || quote_ident(slot_name::text), greatest(age(xmin), age(catalog_xmin))::float8
FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
ORDER BY 2 DESC LIMIT 10`

func (b listed) waitsForLock() bool { return strings.HasPrefix(b.Wait, "Lock:") }

func (b listed) idles() bool { return strings.HasPrefix(b.State, "idle") }

// group is the state without its variants.
func (b listed) group() string {
	switch {
	case b.State == "active" || b.State == "fastpath function call":
		return "active"
	case strings.HasPrefix(b.State, "idle in transaction"):
		return "idle in transaction"
	}
	return b.State
}

// String names a session in one line: "pid 4242 (lms, sidekiq)".
func (b listed) String() string {
	who := strings.Trim(b.User+", "+b.App, ", ")
	if who == "" {
		who = b.Kind
	}
	return fmt.Sprintf("pid %d (%s)", b.PID, who)
}

// ordered puts those first that an incident is about: who holds others up, who
// waits, who works, who idles in a transaction; then the rest, the idle last.
func (a allSessions) ordered() []listed {
	rank := func(b listed) int {
		switch {
		case a.tree.frees(b.PID) > 0:
			return 0
		case b.waitsForLock():
			return 1
		case b.group() == "active":
			return 2
		case b.group() == "idle in transaction":
			return 3
		case b.State == "idle":
			return 5
		}
		return 4
	}
	age := func(b listed) float64 { return max(orZero(b.QueryAge), orZero(b.XactAge)) }
	return slices.SortedStableFunc(slices.Values(a.rows), func(x, y listed) int {
		return cmp.Or(rank(x)-rank(y), a.tree.frees(y.PID)-a.tree.frees(x.PID), cmp.Compare(age(y), age(x)),
			cmp.Compare(orZero(y.StateAge), orZero(x.StateAge)), x.PID-y.PID)
	})
}

func (a allSessions) table(limit int) checks.Table {
	t := checks.Table{Name: "sessions", Columns: []checks.Column{
		{Name: "pid", Type: fact.Count}, {Name: "state", Type: fact.Text}, {Name: "xact", Type: fact.Duration}, {Name: "query_age", Type: fact.Duration},
		{Name: "state_age", Type: fact.Duration}, {Name: "wait", Type: fact.Text}, {Name: "blocked_by", Type: fact.Text}, {Name: "frees", Type: fact.Count},
		{Name: "cpu", Type: fact.Percent}, {Name: "xmin", Type: fact.Count, Unit: "transactions"}, {Name: "locks", Type: fact.Text}, {Name: "database", Type: fact.Text}, {Name: "user", Type: fact.Text},
		{Name: "app", Type: fact.Text}, {Name: "client", Type: fact.Text}, {Name: "kind", Type: fact.Text}, {Name: "began", Type: fact.Text}, {Name: "query", Type: fact.Text},
	}}
	rows := a.ordered()
	for _, b := range rows[:min(limit, len(rows))] {
		t.Rows = append(t.Rows, []fact.Value{
			fact.NumberValue(b.PID), word(b.State), age(b.XactAge), age(b.QueryAge), age(b.StateAge), word(b.Wait), fact.WordValue(pids(b.By)),
			fact.NumberValue(a.tree.frees(b.PID)), a.cpu(b), transactions(b.Xmin), a.held(b), word(b.Database), word(b.User),
			word(b.App), word(b.Client), word(b.Kind), word(b.Began), fact.WordValue(shown(b.Query)),
		})
	}
	return t
}

// none is a cell of something that is not there. What is not known says so:
// see unknown.
var none = fact.WordValue("")

// age is one of a thing that need not be there.
func age(n *float64) fact.Value {
	if n == nil {
		return none
	}
	return fact.DurValue(seconds(*n))
}

// transactions is a count of a thing that need not be there.
func transactions(n *float64) fact.Value {
	if n == nil {
		return none
	}
	return fact.NumberValue(*n)
}

func (a allSessions) held(b listed) fact.Value {
	h, ok := a.locks[b.PID]
	switch {
	case b.XactAge == nil: // a session lock of an idle one is no table lock
		return none
	case a.locks == nil:
		return fact.WordValue("?")
	case !ok:
		return none
	}
	return word(strconv.Itoa(h.Locks) + ", " + h.Strength)
}

// unknown is a cell that nobody knows.
func unknown(t fact.Type) fact.Value { return fact.Value{Type: t, Num: math.NaN()} }
