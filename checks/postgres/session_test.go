package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

func TestTheSessionRunsUnderWhatWasPromised(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	env := envFor(t, db.DSNAs(monitor))
	s := serverOf(t, env)
	if _, ok := s.Settings(); ok {
		t.Error("there are settings before there is a session")
	}
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	got, ok := s.Settings()
	if !ok || !got.ReadOnly || !got.ReadOnlyByDefault || got.LockTimeout != "50ms" || got.IdleInTransaction != "5s" ||
		got.SearchPath != "pg_catalog" || got.User != monitor || got.Database != db.Name || !got.MaySeeOthers || got.Version < 130000 ||
		!strings.HasPrefix(got.ApplicationName, "opsdeck/") || got.StatementTimeout == "0" || got.StartParamsRefused {
		t.Errorf("settings: %+v", got)
	}
}

// opsdeckSessions counts our sessions in one database, however many processes.
const opsdeckSessions = "(SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'opsdeck/%' AND datname = current_database())"

func TestAllChecksTogetherHoldOneSession(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	db.Exec(t, "CREATE EXTENSION pg_stat_statements")
	env := envFor(t, db.DSNAs(monitor))
	s := serverOf(t, env)
	watch := db.Connect(t)
	stop := make(chan struct{})
	worst := make(chan int, 1)
	go func() {
		most := 0
		for {
			var n int
			if err := watch.QueryRow(context.Background(), "SELECT "+opsdeckSessions).Scan(&n); err != nil {
				t.Error(err)
			}
			most = max(most, n)
			select {
			case <-stop:
				worst <- most
				return
			default:
			}
		}
	}()
	var group sync.WaitGroup
	for range 3 {
		for _, m := range polled() {
			group.Go(func() {
				if res := run(t, env, m, nil); res.Err != "" && res.Level != checks.Skipped {
					t.Errorf("%s: %s", m.Name, res.Err)
				}
			})
		}
	}
	group.Wait()
	close(stop)
	if most := <-worst; most != 1 {
		t.Errorf("up to %d sessions were open, want 1", most)
	}
	if n := s.dials.Load(); n != 1 {
		t.Errorf("%d sessions were opened, want 1", n)
	}
}

func TestABusySessionIsNamedInsteadOfASecondOneOpened(t *testing.T) {
	t.Parallel()
	s := serverOf(t, envFor(t, scratch(t).DSN))
	inside, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.readOnly(context.Background(), "a long look", func(context.Context, *reading) error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := one[pinged](ctx, s, "pg.ping", pingSQL)
	if checks.ClassOf(err) != checks.Timeout || !strings.Contains(err.Error(), "busy with a long look") {
		t.Errorf("the error is %v", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAStoppedBackendDoesNotHoldUpTheDeadline(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	env := envFor(t, db.DSNAs(monitor))
	s := serverOf(t, env)
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	before, _ := s.Settings()
	if err := syscall.Kill(before.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume := sync.OnceFunc(func() { syscall.Kill(before.PID, syscall.SIGCONT) }) //nolint:errcheck // it may be gone
	t.Cleanup(resume)
	runner := checks.NewRunner(env, nil)
	check, _ := checks.NewCheck(DBSize, "size", nil, checks.Rules{})
	check.Timeout = 700 * time.Millisecond
	res := runner.Run(t.Context(), check)
	expect(t, res, checks.Unknown, checks.Timeout)
	if runner.Abandoned() != 0 {
		t.Error("the call outlived its deadline and was abandoned")
	}
	// The stopped backend keeps its slot; no second session is opened beside it.
	expect(t, run(t, env, DBSize, nil), checks.Unknown, checks.Timeout)
	resume()
	<-s.gone
	s.wait.succeeded() // the back-off has its own test
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	if after, _ := s.Settings(); after.PID == before.PID {
		t.Error("the session that broke was used again")
	}
	eventually(t, db.Connect(t), "one session is left", opsdeckSessions+" = 1")
}

func TestASessionThatDiedWhileIdleIsReplaced(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	env := envFor(t, db.DSNAs(monitor))
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	settings, _ := serverOf(t, env).Settings()
	db.Exec(t, "SELECT pg_terminate_backend("+strconv.Itoa(settings.PID)+")")
	eventually(t, db.Connect(t), "the session is gone", opsdeckSessions+" = 0")
	expect(t, run(t, env, DBSize, nil), checks.OK, "")
}

func TestNothingCanBeWrittenThroughTheSession(t *testing.T) {
	t.Parallel()
	s := serverOf(t, envFor(t, scratch(t).DSN)) // even as the superuser
	for _, sql := range []string{"CREATE TABLE t ()", "SELECT nextval('s')", "SELECT set_config('transaction_read_only', 'off', true)"} {
		err := s.readOnly(t.Context(), "a test", func(ctx context.Context, r *reading) error {
			if _, err := r.conn.Exec(ctx, "SELECT 1"); err != nil {
				return err
			}
			_, err := r.conn.Exec(ctx, sql)
			return err
		})
		if err == nil {
			t.Errorf("%s was let through", sql)
		}
	}
	if _, err := one[pinged](t.Context(), s, "pg.ping", pingSQL); err != nil {
		t.Errorf("the session does not survive a refused statement: %v", err)
	}
}

func TestAClosedServerStaysClosed(t *testing.T) {
	t.Parallel()
	s := serverOf(t, envFor(t, scratch(t).DSN))
	if _, err := one[pinged](t.Context(), s, "pg.ping", pingSQL); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := one[pinged](t.Context(), s, "pg.ping", pingSQL); err == nil {
		t.Error("a closed server answers")
	}
	<-s.seat // for the second Close, at the end of the test
}

func TestAPoolerThatRefusesStartParametersIsUsedWithoutThem(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	env := envFor(t, startPooler(t, db, 0))
	expect(t, run(t, env, Ping, nil), checks.OK, "")
	got, _ := serverOf(t, env).Settings()
	if !got.StartParamsRefused || got.ReadOnlyByDefault || !got.ReadOnly || got.LockTimeout != "50ms" {
		t.Errorf("settings: %+v", got)
	}
	expect(t, run(t, env, Connections, nil), checks.OK, "")
}

func TestBackOffGrowsAndKnowsItsCauses(t *testing.T) {
	now := time.Now()
	var b backoff
	if err := b.ready(now); err != nil {
		t.Errorf("a fresh one is not ready: %v", err)
	}
	var last time.Duration
	for range 8 {
		b.failed(now, errors.New("broken pipe"))
		wait := b.until.Sub(now)
		if wait < last/2 || wait > longestWait {
			t.Errorf("waits %s after %s", wait, last)
		}
		last = wait
	}
	if last < longestWait*4/5 {
		t.Errorf("after eight failures it waits only %s", last)
	}
	if err := b.ready(now); err == nil || !strings.Contains(err.Error(), "broken pipe (next try in ") {
		t.Errorf("not ready because of %v", err)
	}
	if err := b.ready(now.Add(longestWait)); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	b.failed(now, syscall.ECONNREFUSED)
	if wait := b.until.Sub(now); wait > 4*time.Second {
		t.Errorf("a refusal, which costs nothing, waits %s", wait)
	}
	b.succeeded()
	if b != (backoff{}) {
		t.Errorf("after a success: %+v", b)
	}
}

func TestAPasswordIsNeverInAnError(t *testing.T) {
	t.Parallel()
	const secret = "hunter2secret"
	_, err := Open(checks.Connection{Name: "main", DSN: "host=x port=nonsense password=" + secret, Password: checks.NewSecret(secret)})
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a broken DSN gives %v", err)
	}
	db := scratch(t)
	guarded := guard(t, db)
	s, err := Open(checks.Connection{Kind: kind, Name: "main", DSN: db.DSNAs(guarded), Password: checks.NewSecret(secret)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = one[pinged](t.Context(), s, "pg.ping", pingSQL)
	if checks.ClassOf(err) != checks.Auth || strings.Contains(err.Error(), secret) {
		t.Errorf("a wrong password gives %v (%s)", err, checks.ClassOf(err))
	}
	dials := s.dials.Load()
	if _, err := one[pinged](t.Context(), s, "pg.ping", pingSQL); checks.ClassOf(err) != checks.Auth || !strings.Contains(err.Error(), "next try in") {
		t.Errorf("the second time: %v", err)
	}
	if s.dials.Load() != dials {
		t.Error("a wrong password was tried again at once")
	}
}

func TestTheRightPasswordOpensTheDoor(t *testing.T) {
	t.Parallel()
	db := scratch(t)
	s, err := Open(checks.Connection{Kind: kind, Name: "main", DSN: db.DSNAs(guard(t, db)), Password: checks.NewSecret("correct horse")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := one[pinged](t.Context(), s, "pg.ping", pingSQL); err != nil {
		t.Error(err)
	}
}

var guardOnce sync.Once

// guard makes a role of the shared server that needs the password "correct horse".
func guard(t *testing.T, db pgtest.DB) string {
	t.Helper()
	const role = "opsdeck_guarded"
	guardOnce.Do(func() {
		hba := filepath.Join(dataDir(db.Server), "pg_hba.conf")
		rest, err := os.ReadFile(hba)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(hba, append([]byte("local all "+role+" scram-sha-256\n"), rest...), 0o600); err != nil {
			t.Fatal(err)
		}
		db.Exec(t, "SET password_encryption = 'scram-sha-256'", "CREATE ROLE "+role+" LOGIN PASSWORD 'correct horse'", "SELECT pg_reload_conf()")
	})
	// The reload reaches new sessions a moment later.
	for {
		conn, err := pgx.Connect(t.Context(), db.DSNAs(role)+" password=wrong")
		if err != nil {
			return role
		}
		conn.Close(context.Background()) //nolint:errcheck // not yet guarded
	}
}
