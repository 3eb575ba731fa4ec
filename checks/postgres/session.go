package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

const (
	// lockTimeout: longer in a lock queue would be a wait for everybody behind us.
	lockTimeout = "50ms"
	idleTimeout = "5s"

	defaultStatement = 5 * time.Second
	longestStatement = 30 * time.Second
)

// reading is one short read-only transaction of the session.
type reading struct {
	conn   *pgx.Conn
	began  time.Time     // after waiting for the seat
	opened time.Duration // what the session and the transaction took
	drop   bool          // the session is in no state to be used again
}

// forCatalogue is what a look at the catalogue runs under. The planner takes
// large catalogues for work that is worth compiling and sharing: half a second
// of the former for ten milliseconds of work, and workers that the applications
// wait for.
const forCatalogue = "; set local search_path = pg_catalog; set local jit = off; set local max_parallel_workers_per_gather = 0"

// readOnly reads the catalogue and commits, so that the server's count of
// rollbacks keeps its meaning.
func (s *Server) readOnly(ctx context.Context, what string, do func(context.Context, *reading) error) error {
	return s.read(ctx, what, forCatalogue, "commit", do)
}

// readOwn reads under the role's own search_path, for statements of the site
// file, and rolls back: that undoes any setting they changed.
func (s *Server) readOwn(ctx context.Context, what string, do func(context.Context, *reading) error) error {
	return s.read(ctx, what, "", "rollback", do)
}

// read takes its turn, makes sure of a session and runs do in a transaction.
// It returns within ctx's deadline. Errors are explained: see explain.
func (s *Server) read(ctx context.Context, what, more, end string, do func(context.Context, *reading) error) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := s.take(ctx, what); err != nil {
		return err
	}
	defer s.leave()
	r := &reading{began: time.Now()}
	defer func() { s.spent.Add(int64(time.Since(r.began))) }()
	if err := s.begin(ctx, more); err != nil {
		return s.failed(ctx, err)
	}
	r.conn, r.opened = s.conn, time.Since(r.began)
	if err := do(ctx, r); err != nil {
		return s.failed(ctx, errors.Join(err, s.finish(ctx, r, "rollback")))
	}
	if err := s.finish(ctx, r, end); err != nil {
		return s.failed(ctx, err)
	}
	s.wait.succeeded()
	return nil
}

// bounded ends a little before ctx does, so that the answer is there in time,
// and when the Server is closed.
func (s *Server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, func() { defer crash.Recover(); cancel() })
	done := func() { stop(); cancel() }
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(defaultStatement + time.Second)
	}
	margin := min(time.Until(deadline)/10, 200*time.Millisecond)
	ctx, cancelDeadline := context.WithDeadline(ctx, deadline.Add(-margin))
	return ctx, func() { cancelDeadline(); done() }
}

// take waits for the seat. A check never opens a second session instead.
func (s *Server) take(ctx context.Context, what string) error {
	select {
	case s.seat <- struct{}{}:
	case <-ctx.Done():
		if s.life.Err() != nil {
			return checks.Failed(checks.Other, "postgres %s is closed", s.name)
		}
		if h := s.holder.Load(); h != nil {
			return checks.Failed(checks.Timeout, "postgres %s is busy with %s for %s", s.name, h.what, s.now().Sub(h.since).Round(time.Millisecond))
		}
		return checks.Failed(checks.Timeout, "postgres %s: %w", s.name, ctx.Err())
	}
	s.holder.Store(&turn{what, s.now()})
	return nil
}

func (s *Server) leave() {
	s.holder.Store(nil)
	<-s.seat
}

// begin opens the transaction, and a session first if there is none. A session
// that died while idle is replaced once.
func (s *Server) begin(ctx context.Context, more string) error {
	kept := s.conn != nil && !s.conn.IsClosed()
	if err := s.connect(ctx); err != nil {
		return err
	}
	err := s.exec(ctx, opening(ctx)+more)
	if err == nil || !kept || ctx.Err() != nil || !s.conn.IsClosed() {
		return err
	}
	s.drop()
	if err := s.connect(ctx); err != nil {
		return err
	}
	return s.exec(ctx, opening(ctx)+more)
}

// opening starts a read-only transaction with its timeouts, in one round trip.
func opening(ctx context.Context) string {
	return "/* opsdeck */ begin read only" +
		"; set local statement_timeout = " + strconv.FormatInt(statementTimeout(ctx).Milliseconds(), 10) +
		"; set local lock_timeout = '" + lockTimeout + "'" +
		"; set local idle_in_transaction_session_timeout = '" + idleTimeout + "'"
}

// statementTimeout is what is left of the deadline less a margin, so that the
// server gives up before we do and the session survives.
func statementTimeout(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return defaultStatement
	}
	left := time.Until(deadline)
	return max(10*time.Millisecond, min(left-min(left/4, time.Second), longestStatement))
}

// finish ends the transaction. The error of a session that is gone is nil:
// whatever broke it has been reported, and failed drops it.
func (s *Server) finish(ctx context.Context, r *reading, end string) error {
	if r.drop {
		s.cancelAndDrop()
		return nil
	}
	if s.conn.IsClosed() {
		return nil
	}
	if end == "commit" {
		s.commits.Add(1)
	} else {
		s.rollbacks.Add(1)
	}
	return s.exec(ctx, end)
}

func (s *Server) exec(ctx context.Context, sql string) error {
	_, err := s.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// failed explains an error and drops a session that it broke.
func (s *Server) failed(ctx context.Context, err error) error {
	if s.conn != nil && s.conn.IsClosed() {
		s.drop()
		if !ourDoing(ctx, err) {
			s.wait.failed(s.now(), err)
		}
	}
	return s.explain(ctx, err)
}

// ourDoing: nobody has to wait because we cut an answer off, or were told to stop.
func ourDoing(ctx context.Context, err error) bool {
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	return errors.As(err, &tooLong) || errors.Is(ctx.Err(), context.Canceled)
}

// cancelAndDrop ends a query that still sends, and the session with it.
func (s *Server) cancelAndDrop() {
	ctx, cancel := context.WithTimeout(s.life, time.Second)
	defer cancel()
	s.conn.PgConn().CancelRequest(ctx) //nolint:errcheck // the server notices the closed socket anyway
	s.drop()
}

// drop closes the session. It is gone when s.gone is closed.
func (s *Server) drop() { s.dropWithin(200 * time.Millisecond) }

// dropWithin waits so long for the server to end its part: until then the slot
// is taken.
func (s *Server) dropWithin(patience time.Duration) {
	if s.conn == nil {
		return
	}
	s.gone = s.conn.PgConn().CleanupDone()
	if !s.conn.IsClosed() {
		awaitEnd(s.conn.PgConn(), patience)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.conn.Close(ctx) //nolint:errcheck // closed either way
	s.conn = nil
}

// awaitEnd takes leave and reads until the server hangs up, which it does when
// the slot is free. The driver would close its own end and not look back.
func awaitEnd(conn *pgconn.PgConn, patience time.Duration) {
	conn.Frontend().Send(&pgproto3.Terminate{})
	if err := conn.Conn().SetDeadline(time.Now().Add(patience)); err != nil {
		return // it is closed
	}
	if err := conn.Frontend().Flush(); err != nil {
		return // it is gone
	}
	io.Copy(io.Discard, conn.Conn()) //nolint:errcheck // ends with the session, or with our patience
}

// connect makes sure of a session. After a failure it does not try again
// before the back-off has passed.
func (s *Server) connect(ctx context.Context) error {
	if s.conn != nil && !s.conn.IsClosed() {
		return nil
	}
	s.drop()
	if err := s.wait.ready(s.now()); err != nil {
		return err
	}
	if s.gone != nil {
		select {
		case <-s.gone:
		case <-ctx.Done():
			return checks.Failed(checks.Timeout, "the last session has not ended yet: %w", ctx.Err())
		}
	}
	conn, err := s.dial(ctx)
	if err == nil {
		s.conn = conn
		err = s.readBack(ctx)
	}
	if err != nil {
		s.drop()
		s.wait.failed(s.now(), err)
	}
	return err
}

// dial opens a session. A pooler that refuses the start-up parameters
// (08P01) gets a bare one; every transaction sets its own anyway.
func (s *Server) dial(ctx context.Context) (*pgx.Conn, error) {
	config := s.config.Copy()
	if !s.bare {
		for name, value := range startParams() {
			config.RuntimeParams[name] = value
		}
	}
	s.dials.Add(1)
	conn, err := pgx.ConnectConfig(ctx, config)
	var refused *pgconn.PgError
	if !s.bare && errors.As(err, &refused) && refused.Code == protocolViolation {
		s.bare = true
		return s.dial(ctx)
	}
	return conn, err
}

const readBackSQL = `
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       current_user::text, current_database()::text, pg_backend_pid(), current_setting('application_name'),
       current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
       current_setting('transaction_read_only') = 'on', current_setting('default_transaction_read_only') = 'on',
       current_setting('search_path'), pg_has_role('pg_read_all_stats', 'usage'),
       current_setting('track_counts') = 'on', current_setting('track_activities') = 'on'`

// readBack asks the server what it really runs us under. A transaction that is
// not read-only is refused: that must never happen, and would matter.
func (s *Server) readBack(ctx context.Context) error {
	if err := s.exec(ctx, opening(ctx)+"; set local search_path = pg_catalog"); err != nil {
		return err
	}
	got := Settings{StartParamsRefused: s.bare}
	err := s.conn.QueryRow(ctx, readBackSQL).Scan(&got.Version, &got.VersionText, &got.User, &got.Database, &got.PID,
		&got.ApplicationName, &got.StatementTimeout, &got.LockTimeout, &got.IdleInTransaction,
		&got.ReadOnly, &got.ReadOnlyByDefault, &got.SearchPath, &got.MaySeeOthers, &got.TrackCounts, &got.Tracked)
	if err != nil {
		return fmt.Errorf("reading the session's settings back: %w", err)
	}
	if _, err := s.noticeLife(ctx, &reading{conn: s.conn}); err != nil {
		return fmt.Errorf("asking which server this is: %w", err)
	}
	s.commits.Add(1)
	if err := s.exec(ctx, "commit"); err != nil {
		return err
	}
	if !got.ReadOnly {
		return checks.Failed(checks.Other, "the server did not give a read-only transaction")
	}
	s.settings.Store(&got)
	return nil
}

// rows runs one of our queries and scans each row into a T, by position.
func rows[T any](ctx context.Context, r *reading, sql string, args ...any) ([]T, error) {
	found, err := r.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByPos[T])
}

// row runs a query that gives exactly one row.
func row[T any](ctx context.Context, r *reading, sql string, args ...any) (T, error) {
	found, err := r.conn.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectExactlyOneRow(found, pgx.RowToStructByPos[T])
}

// one runs a query in a transaction of its own that gives exactly one row.
func one[T any](ctx context.Context, s *Server, what, sql string, args ...any) (found T, err error) {
	err = s.readOnly(ctx, what, func(ctx context.Context, r *reading) error {
		found, err = row[T](ctx, r, sql, args...)
		return err
	})
	return found, err
}

// many runs a query in a transaction of its own.
func many[T any](ctx context.Context, s *Server, what, sql string, args ...any) (found []T, err error) {
	err = s.readOnly(ctx, what, func(ctx context.Context, r *reading) error {
		found, err = rows[T](ctx, r, sql, args...)
		return err
	})
	return found, err
}

// release ends the session of a connection that is not to be kept open.
func (s *Server) release(ctx context.Context) {
	if err := s.take(ctx, "release"); err != nil {
		return // somebody uses it; whoever is last releases it
	}
	defer s.leave()
	s.dropWithin(releasePatience)
}

// releasePatience: a session of the emergency connection that has not ended
// yet is one more on a server that is full.
const releasePatience = 2 * time.Second
