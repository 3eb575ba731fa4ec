package postgres

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// TestLongWaitsAreJudgedByTheirLength: nobody waits a minute for a test.
func TestLongWaitsAreJudgedByTheirLength(t *testing.T) {
	check, problems := checks.NewCheck(Locks, "locks", nil, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for wait, want := range map[time.Duration]checks.Level{10 * time.Second: checks.OK, 10100 * time.Millisecond: checks.Warn, time.Minute: checks.Warn, 61 * time.Second: checks.Crit} {
		facts := []fact.Fact{fact.Dur("longest_wait", wait), fact.Number("depth", 1)}
		if v := checks.Judge(Locks, check.Rules, facts); v.Level != want {
			t.Errorf("%v: %v, want %v", wait, v.Level, want)
		}
	}
}

// Locks are seen across the whole server, so these scenes have one of their
// own, one after the other.
func TestLocks(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Options{Settings: map[string]string{"max_prepared_transactions": "5", "autovacuum": "off", "deadlock_timeout": "10s"}})
	dsn := server.DSN("postgres")
	watch := sessionWith(t, dsn, "CREATE TABLE a (n int)", "CREATE TABLE b (n int)", "CREATE TABLE c (n int)", `CREATE TABLE "D e" (n int)`,
		"INSERT INTO a VALUES (1)")
	env := envFor(t, server.DSNAs(monitor, "postgres"))

	t.Run("nobody waits", func(t *testing.T) {
		for _, role := range []string{super, monitor} {
			res := run(t, envFor(t, server.DSNAs(role, "postgres")), Locks, nil)
			expect(t, res, checks.OK, "")
			if num(t, res, "blocked", "") != 0 || num(t, res, "depth", "") != 0 || num(t, res, "longest_wait", "") != 0 {
				t.Errorf("facts: %v", res.Facts)
			}
		}
		expect(t, run(t, envFor(t, server.DSNAs(plain, "postgres")), Locks, nil), checks.Unknown, checks.Denied)
	})

	t.Run("a chain behind a session idle in a transaction", func(t *testing.T) {
		root := sessionWith(t, dsn, "BEGIN", "LOCK TABLE a")
		w1 := inBackground(t, watch, dsn, []string{"BEGIN", "LOCK TABLE b"}, "LOCK TABLE a")
		w2 := inBackground(t, watch, dsn, []string{"BEGIN", "LOCK TABLE c"}, "LOCK TABLE b")
		inBackground(t, watch, dsn, []string{"BEGIN", `LOCK TABLE "D e"`}, "LOCK TABLE c")
		res := run(t, env, Locks, nil)
		expect(t, res, checks.OK, "") // three deep is not yet more than three, and nobody waits for 10 s
		if num(t, res, "blocked", "") != 3 || num(t, res, "depth", "") != 3 || num(t, res, "frees", "") != 3 || num(t, res, "roots", "") != 1 {
			t.Errorf("facts: %v", res.Facts)
		}
		contains(t, cells(t, res, "roots"), pidOf(root)+" | 3 | idle in transaction", "LOCK TABLE a")
		contains(t, cells(t, res, "blocked"), pidOf(w1)+" | "+pidOf(root)+" | ", "public.a", pidOf(w2)+" | "+pidOf(w1), "AccessExclusiveLock")
		contains(t, factText(res, "root"), pidOf(root)+" idle in transaction for ")

		inBackground(t, watch, dsn, nil, `SELECT * FROM "D e"`)
		res = run(t, env, Locks, nil)
		expect(t, res, checks.Crit, "")
		contains(t, cells(t, res, "blocked"), `public."D e"`)
		if num(t, res, "depth", "") != 4 || num(t, res, "frees", "") != 4 {
			t.Errorf("facts: %v", res.Facts)
		}
		wait := num(t, res, "longest_wait", "")
		if again := num(t, run(t, env, Locks, nil), "longest_wait", ""); wait <= 0 || again <= wait {
			t.Errorf("the wait is %v ms, then %v ms", wait, again)
		}
		end(t, root)
	})

	t.Run("behind a prepared transaction", func(t *testing.T) {
		s := sessionWith(t, dsn, "BEGIN", "UPDATE a SET n = 2", "PREPARE TRANSACTION 'left behind'")
		end(t, s)
		inBackground(t, watch, dsn, nil, "UPDATE a SET n = 3")
		inBackground(t, watch, dsn, []string{"BEGIN"}, "LOCK TABLE a")
		res := run(t, env, Locks, nil)
		expect(t, res, checks.OK, "")
		contains(t, cells(t, res, "roots"), "0 | 2 | prepared", "left behind")
		contains(t, cells(t, res, "blocked"), "prepared")
		contains(t, factText(res, "root"), "left behind", "prepared for")
		if _, err := watch.Exec(t.Context(), "ROLLBACK PREPARED 'left behind'"); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("a statement that speaks of a password", func(t *testing.T) {
		root := sessionWith(t, dsn, "BEGIN", "LOCK TABLE pg_authid IN EXCLUSIVE MODE")
		inBackground(t, watch, dsn, nil, "ALTER ROLE "+plain+" PASSWORD 'hunter2'")
		res := run(t, env, Locks, nil)
		text := cells(t, res, "blocked")
		contains(t, text, "ALTER ROLE")
		if strings.Contains(text, "hunter2") {
			t.Errorf("a password is in the evidence:\n%s", text)
		}
		end(t, root)
	})

	t.Run("silence of the log is said", func(t *testing.T) {
		res := run(t, env, Locks, nil)
		if num(t, res, "log_lock_waits", "") != 0 {
			t.Skip("this version logs lock waits by default")
		}
		contains(t, strings.Join(res.Detail, "\n"), "log_lock_waits is off")
	})
}

func pidOf(conn *pgx.Conn) string { return strconv.Itoa(int(conn.PgConn().PID())) }

func end(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if err := conn.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func waits(pid int, by ...int32) waiter { return waiter{PID: pid, By: by} }

func TestTheLockTree(t *testing.T) {
	tests := []struct {
		name    string
		waiters []waiter
		roots   string
		depth   int
		frees   map[int]int
	}{
		{"nobody", nil, "", 0, nil},
		{"two at one root", []waiter{waits(2, 1), waits(3, 1)}, "1", 1, map[int]int{1: 2}},
		{"two roots for one", []waiter{waits(3, 1, 2)}, "1 2", 1, map[int]int{1: 1, 2: 1}},
		{"a diamond", []waiter{waits(2, 1), waits(3, 1), waits(4, 2, 3)}, "1", 2, map[int]int{1: 3, 2: 1}},
		{"a parallel group twice", []waiter{waits(2, 1, 1, 1)}, "1", 1, map[int]int{1: 1}},
		{"a queue for one lock", []waiter{waits(2, 1), waits(3, 1, 2), waits(4, 1, 2, 3), waits(5, 1, 2, 3, 4)}, "1", 1, map[int]int{1: 4}},
		{"a circle", []waiter{waits(2, 1), waits(1, 2)}, "1", 1, map[int]int{1: 1, 2: 1}},
		{"a tail on a circle", []waiter{waits(5, 4), waits(4, 5), waits(6, 5)}, "4", 2, map[int]int{4: 2}},
		{"a prepared transaction", []waiter{waits(7, 0), waits(8, 7)}, "", 2, map[int]int{0: 2}},
		{"itself", []waiter{waits(9, 9)}, "", 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := newLockTree(tt.waiters)
			var roots []string
			for _, pid := range tree.rootPIDs() {
				roots = append(roots, strconv.Itoa(pid))
			}
			if got := strings.Join(roots, " "); got != tt.roots {
				t.Errorf("roots %q, want %q", got, tt.roots)
			}
			if got := tree.depth(); got != tt.depth {
				t.Errorf("depth %d, want %d", got, tt.depth)
			}
			for pid, want := range tt.frees {
				if got := tree.frees(pid); got != want {
					t.Errorf("%d frees %d, want %d", pid, got, want)
				}
			}
		})
	}
}

// Any tangle of waits has an end and roots that hold up everybody.
func FuzzLockTree(f *testing.F) {
	f.Add([]byte{2, 1, 3, 2})
	f.Add([]byte{1, 2, 2, 1, 3, 0})
	f.Fuzz(func(t *testing.T, edges []byte) {
		var all []waiter
		for i := 0; i+1 < len(edges) && i < 200; i += 2 {
			if edges[i] != 0 {
				all = append(all, waits(int(edges[i]), int32(edges[i+1])))
			}
		}
		tree := newLockTree(all)
		reached := map[int]bool{}
		for _, root := range append(tree.rootPIDs(), 0) {
			reached[root] = true
			for pid := range tree.behind(root) {
				reached[pid] = true
			}
		}
		for pid := range tree.blockers {
			if !reached[pid] {
				t.Errorf("%d waits and no root holds it up", pid)
			}
		}
		if d := tree.depth(); d > len(tree.blockers) {
			t.Errorf("depth %d of %d waiters", d, len(tree.blockers))
		}
	})
}
