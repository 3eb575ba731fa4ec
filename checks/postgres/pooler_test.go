package postgres

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// startPooler stands before the real server as PgBouncer does in its default
// configuration: it refuses start-up parameters that it does not know, with
// 08P01, and passes everything else on, after a delay. It returns a DSN.
func startPooler(t *testing.T, db pgtest.DB, delay time.Duration) string {
	t.Helper()
	socket := filepath.Join(db.Server.SocketDir(), ".s.PGSQL.5432")
	return serve(t, func(client net.Conn) { pass(client, socket, delay) }) + " user=" + monitor + " dbname=" + db.Name
}

// serve listens on a socket until the test ends and returns host and port as a DSN.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	dir := filepath.Dir(pgtest.Dir(t))
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.6432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				handle(client)
			}()
		}
	}()
	return "sslmode=disable port=6432 host=" + dir
}

func pass(client net.Conn, socket string, delay time.Duration) {
	backend := pgproto3.NewBackend(client, client)
	message, err := backend.ReceiveStartupMessage()
	start, ok := message.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	if _, ok := start.Parameters["statement_timeout"]; ok {
		refuse(backend, "08P01", "unsupported startup parameter: statement_timeout")
		return
	}
	time.Sleep(delay) // a slow network, not a synchronisation
	server, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer server.Close()
	raw, err := start.Encode(nil)
	if err != nil {
		return
	}
	if _, err := server.Write(raw); err != nil {
		return
	}
	go func() {
		io.Copy(client, server) //nolint:errcheck // ends with either side
		client.Close()
	}()
	io.Copy(server, client) //nolint:errcheck // ends with either side
}

func refuse(backend *pgproto3.Backend, code, message string) {
	backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message})
	if err := backend.Flush(); err != nil && !errors.Is(err, net.ErrClosed) {
		return // the client has gone
	}
}
