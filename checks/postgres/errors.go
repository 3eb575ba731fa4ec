package postgres

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/advanced-lms/opsdeck/checks"
)

// The SQLSTATEs that mean something to us.
const (
	protocolViolation    = "08P01"
	readOnlyTransaction  = "25006"
	noSuchDatabase       = "3D000"
	denied               = "42501"
	tooManyConnections   = "53300"
	objectNotInState     = "55000"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
	idleInTransactionEnd = "25P03"
)

func isAuth(code string) bool { return strings.HasPrefix(code, "28") }

// explain turns a driver's error into one line with a class: what the server
// said and what it means. Errors that have a class keep it.
func (s *Server) explain(ctx context.Context, err error) error {
	if class := checks.ClassOf(err); class != "" {
		return checks.Failed(class, "postgres %s: %w", s.name, err)
	}
	var answered *pgconn.PgError
	if errors.As(err, &answered) {
		class, text := meaning(answered)
		return checks.Failed(class, "postgres %s: %w", s.name, &saidError{text + retryNote(err), err})
	}
	class, text := s.networkMeaning(ctx, err)
	if text == "" {
		return checks.Failed(class, "postgres %s: %w", s.name, &saidError{withoutPassword(oneLine(err.Error()), s.config.Password), err})
	}
	return checks.Failed(class, "postgres %s: %w", s.name, &saidError{text + retryNote(err), err})
}

// saidError has a text of its own and keeps the cause for errors.As.
type saidError struct {
	text  string
	cause error
}

func (e *saidError) Error() string { return e.text }
func (e *saidError) Unwrap() error { return e.cause }

// meaning is the class and the plain words of what the server answered.
func meaning(e *pgconn.PgError) (checks.Class, string) {
	said := oneLine(e.Message)
	switch {
	case isAuth(e.Code):
		return checks.Auth, said + " (" + e.Code + ")"
	case e.Code == tooManyConnections:
		return checks.Refused, full(e)
	case e.Code == denied:
		return checks.Denied, said
	case e.Code == lockNotAvailable:
		return checks.Timeout, "another session holds a lock on what this reads (gave up after " + lockTimeout + ")"
	case e.Code == queryCanceled:
		return checks.Timeout, said
	case e.Code == readOnlyTransaction:
		return checks.Denied, "refused, because it would write: " + said
	case e.Code == cannotConnectNow, e.Code == adminShutdown, e.Code == crashShutdown, e.Code == noSuchDatabase:
		return checks.Refused, said
	case e.Code == objectNotInState, strings.HasPrefix(e.Code, "42P"), e.Code == "42883", e.Code == "42703":
		return checks.Missing, said
	case strings.HasPrefix(e.Code, "22"), e.Code == "42601":
		return checks.Parse, said
	}
	return checks.Other, said + " (" + e.Code + ")"
}

// full says which of the four causes of 53300 it is: the message alone does
// not help an operator, and may be in any language. The routine that raised it
// is not translated.
func full(e *pgconn.PgError) string {
	message := strings.ToLower(e.Message)
	switch {
	case strings.Contains(message, "reserved"), e.Routine == "InitPostgres":
		return "full: only slots reserved for superusers (and from 16 on for pg_use_reserved_connections) are left; " +
			"a superuser, or a connection with use: only-when-full, still gets in: " + oneLine(e.Message)
	case strings.Contains(message, "for role"), e.Routine == "InitializeSessionUserId":
		return "the role's own CONNECTION LIMIT is used up; ALTER ROLE ... CONNECTION LIMIT raises it: " + oneLine(e.Message)
	case strings.Contains(message, "for database"), e.Routine == "CheckMyDatabase":
		return "the database's own CONNECTION LIMIT is used up; another database or a superuser still gets in: " + oneLine(e.Message)
	}
	return "full: every slot of max_connections is used, the reserved ones too; somebody must disconnect first: " + oneLine(e.Message)
}

// hasCode reports whether the server answered with this SQLSTATE.
func hasCode(err error, code string) bool {
	var answered *pgconn.PgError
	return errors.As(err, &answered) && answered.Code == code
}

// isFull reports whether the server itself has no slot for us.
func isFull(err error) bool {
	var answered *pgconn.PgError
	if !errors.As(err, &answered) || answered.Code != tooManyConnections {
		return false
	}
	return strings.HasPrefix(full(answered), "full")
}

func (s *Server) networkMeaning(ctx context.Context, err error) (checks.Class, string) {
	var dns *net.DNSError
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	switch {
	case s.life.Err() != nil:
		return checks.Other, "closed"
	case errors.As(err, &dns):
		return checks.DNS, "cannot resolve " + s.config.Host + ": " + dns.Err
	case errors.As(err, &tooLong):
		return checks.Limit, "one row of the answer is larger than 16 MiB"
	case errors.Is(err, syscall.ECONNREFUSED):
		return checks.Refused, "nothing listens at " + s.Target()
	case isSocketGone(err):
		return checks.Refused, "no server at the socket in " + s.config.Host
	case errors.Is(err, fs.ErrPermission):
		return checks.Denied, "may not open the socket in " + s.config.Host
	case isTimeout(ctx, err):
		return checks.Timeout, "no answer in time"
	case isCut(err):
		return checks.Refused, "the server closed the connection"
	}
	return "", ""
}

// isRefused: the machine is there and nobody serves, which costs nothing to ask.
func isRefused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || isSocketGone(err)
}

func isSocketGone(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Net == "unix" && errors.Is(err, fs.ErrNotExist)
}

func isTimeout(ctx context.Context, err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() || ctx.Err() != nil
}

func isCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || isClosedBefore(err)
}

// isClosedBefore: the driver found the session closed when it wanted to send,
// because the server had gone between two statements. It has no name for that.
func isClosedBefore(err error) bool {
	return err != nil && pgconn.SafeToRetry(err) && strings.Contains(err.Error(), "conn closed")
}

// isDown reports whether an explained error means that the server does not
// serve: refused, full, starting, stopping, silent. A wrong password or a name
// that does not resolve says nothing about the server.
func isDown(err error) bool {
	class := checks.ClassOf(err)
	var answered *pgconn.PgError
	if errors.As(err, &answered) {
		return class == checks.Refused
	}
	return class == checks.Refused || class == checks.Timeout ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// retryNote keeps the back-off's "(next try in 3 s)" at the end.
func retryNote(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, " (next try in "); i >= 0 && strings.HasSuffix(text, ")") {
		return text[i:]
	}
	return ""
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func withoutPassword(text, password string) string {
	if password == "" {
		return text
	}
	return strings.ReplaceAll(text, password, "[redacted]")
}
