package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// actingServer is the connection of an action: the item's own, else "maintain"
// where the site has one, else main.
func actingServer(env checks.Env) (*Server, error) { return server(env.Maintaining(kind)) }

const (
	// cancelPatience is how long a cancelled statement may take to be undone
	// before the session is closed under it.
	cancelPatience = 20 * time.Second

	// checkInterval is the setting by which the server notices, in the middle
	// of a statement, that its client is gone. Versions before 14 have none and
	// notice at the statement's end.
	checkInterval      = "client_connection_check_interval"
	checkIntervalSince = 140000

	// What the server does when nobody is left to see the end of a statement:
	// it finishes it, or gives it up and rolls back.
	finishes = "0"
	givesUp  = "1000"

	// finishesSaid and givesUpSaid say so where it is recorded: with what
	// becomes of an action whose process dies.
	finishesSaid = " (" + checkInterval + " = 0)"
	givesUpSaid  = " (" + checkInterval + " = 1 s)"
)

// A deed is what an action asks of a session of its own.
type deed struct {
	token    string               // the session's application_name
	settings map[string]string    // asked for and read back; search_path is pg_catalog unless one is here
	notice   func(*pgconn.Notice) // gets the server's warnings; may be nil
	say      func(string, ...any) // gets the settings in force, for the action's output; may be nil
}

// acting runs do in a session of its own, see act.
func (s *Server) acting(ctx context.Context, token string, settings map[string]string, do func(context.Context, *pgx.Conn) error) error {
	return s.act(ctx, deed{token: token, settings: settings}, do)
}

// act runs do in a session of its own: opened for the deed, listed by the
// server under the action's token, closed after it. The session commits each
// statement, is not read-only and has no timeouts but those of the deed, whose
// settings are in force when do begins. A Server acts once at a time; a second
// deed is refused and does not wait.
//
// When ctx ends the statement at work is cancelled at the server; the session
// is closed when that is undone, or after cancelPatience. Errors are explained.
func (s *Server) act(ctx context.Context, d deed, do func(context.Context, *pgx.Conn) error) error {
	if d.token == "" {
		return checks.Failed(checks.Internal, "postgres %s: an action without a token", s.name)
	}
	if !s.acts.CompareAndSwap(false, true) {
		return checks.Failed(checks.Refused, "postgres %s: this process already acts on it", s.name)
	}
	defer s.acts.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, func() { defer crash.Recover(); cancel() })()
	conn, err := pgx.ConnectConfig(ctx, s.actingConfig(d))
	if err != nil {
		return s.explain(ctx, err)
	}
	defer hangUp(conn)
	settings := map[string]string{"search_path": "pg_catalog"}
	maps.Copy(settings, d.settings)
	inForce, err := putInForce(ctx, conn, settings)
	if err != nil {
		return s.explain(ctx, err)
	}
	if d.say != nil {
		d.say("session %d: %s", conn.PgConn().PID(), strings.Join(inForce, ", "))
	}
	return s.explainDeed(ctx, conn, do(ctx, conn))
}

// actingConfig is the connection's with the deed's name on it, and with a
// cancel request where the session would otherwise be cut off.
func (s *Server) actingConfig(d deed) *pgx.ConnConfig {
	config := s.config.Copy()
	config.RuntimeParams["application_name"] = d.token
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelPatience}
	}
	if d.notice != nil {
		config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { d.notice(n) }
	}
	return config
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx) //nolint:errcheck // closed either way
}

// putInForce sets the settings, and reads them back in a second round trip: what
// a pooler sets may hold for another session than the one that acts. It returns
// what is in force, by name.
func putInForce(ctx context.Context, conn *pgx.Conn, settings map[string]string) (inForce []string, err error) {
	var version, pid int
	err = conn.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, pg_catalog.pg_backend_pid()").Scan(&version, &pid)
	if err != nil {
		return nil, err
	}
	if uint32(pid) != conn.PgConn().PID() {
		return nil, checks.Failed(checks.Unconfigured, "a pooler is in front of the server, and an action needs a session of its own: "+
			"name a direct connection %q in the site file", "maintain")
	}
	want := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name == checkInterval && version < checkIntervalSince {
			inForce = append(inForce, "no "+name+" before version 14")
			continue
		}
		var set string
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.set_config($1, $2, false)", name, settings[name]).Scan(&set); err != nil {
			return nil, err
		}
		want[name] = set
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		var got string
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_setting($1)", name).Scan(&got); err != nil {
			return nil, err
		}
		if got != want[name] {
			return nil, checks.Failed(checks.Other, "the server did not take %s: asked for %s, in force is %s", name, want[name], got)
		}
		inForce = append(inForce, name+" = "+got)
	}
	return inForce, nil
}

// explainDeed explains what the deed ended with. A lock timeout and a cancel
// mean something else to an action than to a check.
func (s *Server) explainDeed(ctx context.Context, conn *pgx.Conn, err error) error {
	switch {
	case err == nil || checks.ClassOf(err) != "":
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return checks.Failed(checks.Timeout, "postgres %s: %w", s.name, &saidError{"it did not end in time and was cancelled", errors.Join(ctx.Err(), err)})
	case ctx.Err() != nil:
		return checks.Failed(checks.Other, "postgres %s: %w", s.name, &saidError{"it was cancelled", errors.Join(ctx.Err(), err)})
	case hasCode(err, lockNotAvailable):
		return checks.Failed(checks.Timeout, "postgres %s: %w", s.name, &saidError{"another session holds a lock on it; gave up after the lock_timeout", err})
	case conn.IsClosed() && isCut(err):
		return checks.Failed(checks.Refused, "postgres %s: %w", s.name, &saidError{"the server closed the connection in the middle of it", err})
	}
	return s.explain(ctx, err)
}
