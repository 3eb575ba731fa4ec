package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestModulesConform(t *testing.T) { checktest.Family(t, Family()) }

func envFor(t *testing.T, dsn string) checks.Env {
	t.Helper()
	c := checks.Connection{Kind: kind, Name: "main", DSN: dsn}
	h, err := Family().Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return checks.Env{
		Site: checks.SiteFacts{Connections: []checks.Connection{c}},
		Handle: func(_, name string) (checks.Handle, error) {
			if name == "main" {
				return h, nil
			}
			return nil, errors.New("not configured")
		},
	}
}

func TestClientsThatWaitAreCountedAtARealPooler(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	port := pgtest.Pooler(t, db, "postgres")
	dsn := func(database string) string {
		return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", port, database)
	}
	env := envFor(t, dsn("pgbouncer"))
	res := checktest.Run(t, env, Pools, nil)
	if res.Level != checks.OK {
		t.Fatalf("%v: %s %v", res.Level, res.Err, res.Facts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	for range 2 { // one is served, the other waits
		go func() {
			defer func() { ended <- struct{}{} }()
			conn, err := pgconn.Connect(ctx, dsn("lms"))
			if err != nil {
				return
			}
			defer conn.Close(context.Background())          //nolint:errcheck // cancelled
			conn.Exec(ctx, "SELECT pg_sleep(30)").ReadAll() //nolint:errcheck // cancelled
		}()
	}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res = checktest.Run(t, env, Pools, nil)
		waiting, _ := res.Fact("waiting", "")
		wait, _ := res.Fact("longest_wait", "")
		if waiting.Num == 1 && wait.Num > 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("nobody waits: %v %s", res.Facts, res.Err)
		}
	}
	if len(res.Detail) == 0 {
		t.Error("transaction pooling goes unmentioned")
	}
	cancel()
	<-ended
	<-ended
}

func TestNoConsoleIsUnknownAndNoPoolerIsSkipped(t *testing.T) {
	t.Parallel()
	if res := checktest.Run(t, envFor(t, "postgres://postgres@127.0.0.1:1/pgbouncer"), Pools, nil); res.Level != checks.Unknown || res.Class != checks.Refused {
		t.Errorf("%v (%s)", res.Level, res.Class)
	}
	if res := checktest.Run(t, checks.Env{}, Pools, nil); res.Level != checks.Skipped {
		t.Errorf("%v", res.Level)
	}
}

func TestAnAnswerWithoutItsColumnsIsNotZero(t *testing.T) {
	t.Parallel()
	if _, err := sum([]map[string]string{{"database": "lms", "cl_active": "1"}}); checks.ClassOf(err) != checks.Parse {
		t.Errorf("%v", err)
	}
}

func TestWaitingTurnsAtAMinute(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]checks.Level{time.Minute: checks.OK, 61 * time.Second: checks.Warn, 6 * time.Minute: checks.Crit} {
		facts := []fact.Fact{fact.Dur("longest_wait", wait), fact.Pct("clients_used", 1)}
		if got := checks.Judge(Pools, Pools.DefaultRules(), facts); got.Level != want {
			t.Errorf("%v is %v", wait, got.Level)
		}
	}
}
