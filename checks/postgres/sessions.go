package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Sessions lists what every session does, waits for and holds: a lock that
// others wait for, locks on tables, and the age of the snapshot that keeps
// VACUUM from cleaning. The session that looks is left out.
var Sessions = module(checks.Module{
	Name: "pg.sessions",
	Doc:  "Lists the sessions with what they run, wait for and hold, those that block others first, and names what holds back VACUUM",
	Params: []checks.Param{
		limitParam("limit", 200, "how many sessions to list", 1000),
	},
	Facts: []fact.Spec{
		{Name: "sessions", Type: fact.Count, Unit: "sessions", Doc: "client sessions, without this one", Worse: fact.Higher},
		{Name: "active", Type: fact.Count, Unit: "sessions", Doc: "client sessions that run a statement", Worse: fact.Higher},
		{Name: "waiting", Type: fact.Count, Unit: "sessions", Doc: "sessions of any kind that wait for a lock", Worse: fact.Higher},
		{Name: "idle", Type: fact.Count, Unit: "sessions", Doc: "client sessions that wait for their client, outside a transaction"},
		{Name: "idle_in_tx", Type: fact.Count, Unit: "sessions", Doc: "client sessions that wait for their client inside a transaction", Worse: fact.Higher},
		{Name: "idle_in_tx_age", Type: fact.Duration, Doc: "longest time that one of those has been so; 0 if none is", Worse: fact.Higher},
		{Name: "idle_blocker_age", Type: fact.Duration, Doc: "longest time that a session which others wait for has been idle; 0 if none is", Worse: fact.Higher},
		{Name: "oldest_xact", Type: fact.Duration, Doc: "age of the oldest transaction of a client; 0 if none is open", Worse: fact.Higher},
		{Name: "longest_query", Type: fact.Duration, Doc: "age of the longest running statement of a client, maintenance and dumps left out; 0 if none runs", Worse: fact.Higher},
		{Name: "xmin_age", Type: fact.Count, Unit: "transactions", Doc: "age of the oldest snapshot that VACUUM must respect: of a session, a prepared transaction or a slot; 0 if there is none", Worse: fact.Higher},
		{Name: "xmin_holder", Type: fact.Text, Doc: "whose it is", Optional: true},
	},
	Warn:    "idle_in_tx_age > 5m or idle_blocker_age > 30s or longest_query > 60s",
	Fail:    "idle_in_tx_age > 15m or longest_query > 5m",
	Source:  "pgmonitor (300 / 900 s), pg-healthcheck (60 / 300 s)",
	Timeout: 4 * time.Second, Every: 2 * time.Second,
	Example: "use: pg.sessions\nwarn: idle_in_tx_age > 5m",
	Run:     sessions,
})

// allSessions is one look.
type allSessions struct {
	rows    []listed
	locks   map[int]heldLocks
	holders []otherHolder
	missing partial
	tree    lockTree

	processors map[int]float64 // see Server.processors
}

func sessions(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	seen, via, err := lookAnyway(ctx, env, s, func(ctx context.Context, s *Server) (allSessions, error) { return s.allSessions(ctx) })
	if err != nil {
		return checks.Findings{Target: s.Target()}, err
	}
	seen.processors = s.processors(env, seen.rows)
	f := seen.findings()
	f.Target, f.Detail = s.Target(), slices.Concat(via.lines(), seen.missing)
	limit := args.Int("limit")
	if more := len(seen.rows) - limit; more > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("%d more sessions are not listed, idle ones first", more))
	}
	f.Tables = []checks.Table{seen.table(limit)}
	return f, nil
}

func (s *Server) allSessions(ctx context.Context) (allSessions, error) {
	seen := allSessions{}
	err := s.readOnly(ctx, "pg.sessions", func(ctx context.Context, r *reading) (err error) {
		if err := s.needOthers(); err != nil {
			return err
		}
		seen.rows, err = rows[listed](ctx, r, listedSQL)
		return err
	})
	if err != nil {
		return seen, err
	}
	var waiting []waiter
	var inTransaction []int32
	for _, b := range seen.rows {
		if len(b.By) > 0 {
			waiting = append(waiting, waiter{PID: b.PID, By: b.By})
		}
		if b.XactAge != nil && len(inTransaction) < lockHolders {
			inTransaction = append(inTransaction, int32(b.PID))
		}
	}
	seen.tree = newLockTree(waiting)
	return seen, s.holdings(ctx, &seen, inTransaction)
}

// holdings are what the sessions hold: each part may be refused by itself.
func (s *Server) holdings(ctx context.Context, seen *allSessions, of []int32) error {
	if len(of) > 0 {
		held, why, err := part[heldLocks](ctx, s, "pg.sessions locks", heldLocksSQL, of)
		if err != nil {
			return err
		}
		seen.missing.miss("locks held", why)
		if why == "" {
			seen.locks = map[int]heldLocks{}
		}
		for _, h := range held {
			seen.locks[h.PID] = h
		}
	}
	others, why, err := part[otherHolder](ctx, s, "pg.sessions holders", otherHoldersSQL)
	seen.missing.miss("prepared transactions and slots that hold back VACUUM", why)
	seen.holders = others
	return err
}

// exempt: statements that are meant to run long.
var exempt = regexp.MustCompile(`^(vacuum|analyze|create|reindex|cluster|refresh|copy|alter)$`)

// maintains reports whether the session runs maintenance or takes a dump.
func (b listed) maintains() bool {
	return exempt.MatchString(firstKeyword(string(b.Query))) || b.App == "pg_dump" || b.App == "pg_restore"
}

func (a allSessions) findings() checks.Findings {
	count := map[string]int{}
	var all, waiting int
	var idleAge, blockerAge, oldest, longest, xmin float64
	holder := ""
	for _, b := range a.rows {
		if b.Wait != "" && b.waitsForLock() {
			waiting++
		}
		if b.Xmin != nil && *b.Xmin > xmin {
			xmin, holder = *b.Xmin, b.String()
		}
		if a.tree.frees(b.PID) > 0 && b.idles() {
			blockerAge = max(blockerAge, orZero(b.StateAge))
		}
		if b.Kind != "client backend" {
			continue
		}
		all++
		count[b.group()]++
		oldest = max(oldest, orZero(b.XactAge))
		if b.group() == "idle in transaction" {
			idleAge = max(idleAge, orZero(b.StateAge))
		}
		if b.group() == "active" && !b.maintains() {
			longest = max(longest, orZero(b.QueryAge))
		}
	}
	for _, h := range a.holders {
		if h.XIDs >= xmin { // who waits for a prepared transaction is no older than it
			xmin, holder = h.XIDs, h.What
		}
	}
	f := checks.Findings{
		Note: fmt.Sprintf("%d sessions, %d active, %d waiting, %d idle in transaction", all, count["active"], waiting, count["idle in transaction"]),
		Facts: []fact.Fact{
			fact.Number("sessions", all), fact.Number("active", count["active"]), fact.Number("waiting", waiting),
			fact.Number("idle", count["idle"]), fact.Number("idle_in_tx", count["idle in transaction"]),
			fact.Dur("idle_in_tx_age", seconds(idleAge)), fact.Dur("idle_blocker_age", seconds(blockerAge)),
			fact.Dur("oldest_xact", seconds(oldest)), fact.Dur("longest_query", seconds(longest)), fact.Number("xmin_age", xmin),
		},
	}
	if holder != "" {
		f.Facts = append(f.Facts, fact.Of("xmin_holder", word(holder)))
	}
	return f
}

func orZero(n *float64) float64 {
	if n == nil {
		return 0
	}
	return *n
}
