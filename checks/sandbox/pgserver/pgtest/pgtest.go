// Package pgtest gives tests a real PostgreSQL: one scratch server for a test
// binary, one database for a test. It is test support and must not be linked
// into the program.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		db := pgtest.Database(t)
//		conn, err := pgx.Connect(t.Context(), db.DSN)
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// prefix of the directories, with the test binary's pid behind it.
const prefix = "opsdeck-pgtest-"

// settings make the shared server roomy enough for parallel tests and able to
// hold prepared transactions.
var settings = map[string]string{"max_connections": "100", "max_prepared_transactions": "10", "autovacuum": "off"}

var shared struct {
	sync.Mutex
	running bool // within Main
	server  *pgserver.Server
	dir     string
	err     error
}

var databases atomic.Int64

// Main runs a package's tests and stops the server they used, if any.
func Main(m *testing.M) int {
	shared.Lock()
	shared.running = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := errors.Join(shared.server.Stop(), os.RemoveAll(shared.dir)); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the test server:", err)
			return max(code, 1)
		}
	}
	return code
}

// Server is the server of this test binary, started by its first user. A
// machine without PostgreSQL skips the test, or fails it where
// OPSDECK_REQUIRE_REAL=1.
func Server(t testing.TB) *pgserver.Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.running {
		t.Fatal("pgtest: the package needs func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }")
	}
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = start()
	}
	if shared.err != nil {
		Missing(t, shared.err)
	}
	return shared.server
}

// Missing skips the test because of a component that is not there, or fails
// it where OPSDECK_REQUIRE_REAL=1 or where the component is there and broken.
func Missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" || !errors.Is(err, pgserver.ErrNotFound) {
		t.Fatal(err)
	}
	t.Skip(err)
}

func start() (*pgserver.Server, error) {
	sweep()
	shared.dir = filepath.Join(os.TempDir(), prefix+strconv.Itoa(os.Getpid()))
	return pgserver.Start(context.Background(), pgserver.Options{Dir: shared.dir, Settings: settings})
}

// Dir is a directory for a cluster of the test's own, removed after it. Unlike
// that of t.TempDir it can be entered by the user that root's servers run as.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "opsdeck-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pg")
}

// sweep removes the directories of test binaries that were killed.
func sweep() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return // the pattern is a constant
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		os.RemoveAll(dir) //nolint:errcheck // another run may be sweeping too
	}
}

// A DB is a database of one test.
type DB struct {
	Name   string
	DSN    string // as the superuser
	Server *pgserver.Server
}

// Database makes a database for the test, with the clauses given (for example
// "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"), and drops it after.
func Database(t testing.TB, clauses ...string) DB {
	t.Helper()
	server := Server(t)
	db := DB{Name: fmt.Sprintf("test%d", databases.Add(1)), Server: server}
	db.DSN = server.DSN(db.Name)
	admin(t, server, "CREATE DATABASE "+db.Name+" "+strings.Join(clauses, " "))
	t.Cleanup(func() { admin(t, server, "DROP DATABASE IF EXISTS "+db.Name+" WITH (FORCE)") })
	return db
}

// DSNAs is the database's DSN for another role.
func (db DB) DSNAs(role string) string { return db.Server.DSNAs(role, db.Name) }

// Connect opens a session as the superuser, closed at the end of the test.
func (db DB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	return Connect(t, db.DSN)
}

// Connect opens a session that is closed at the end of the test.
func Connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close(context.Background()) //nolint:errcheck // the server may be gone already
	})
	return conn
}

// Exec runs statements as the superuser and fails the test if one fails.
func (db DB) Exec(t testing.TB, statements ...string) {
	t.Helper()
	conn := Connect(t, db.DSN)
	defer conn.Close(context.Background()) //nolint:errcheck // done with it
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func admin(t testing.TB, server *pgserver.Server, sql string) {
	t.Helper()
	DB{DSN: server.DSN("postgres")}.Exec(t, sql)
}
