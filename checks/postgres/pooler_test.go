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

// pooler stands before a real server as PgBouncer does in its default
// configuration: it refuses start-up parameters that it does not know, with
// 08P01, and passes everything else on.
type pooler struct {
	dsn   string
	delay time.Duration // before anything is passed on
}

func startPooler(t *testing.T, db pgtest.DB) pooler {
	t.Helper()
	return startSlowPooler(t, db, 0)
}

func startSlowPooler(t *testing.T, db pgtest.DB, delay time.Duration) pooler {
	t.Helper()
	socket := filepath.Join(db.Server.SocketDir(), ".s.PGSQL.5432")
	p := pooler{delay: delay}
	p.dsn = serve(t, func(client net.Conn) { p.pass(client, socket) }) + " user=" + monitor + " dbname=" + db.Name
	return p
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

func (p pooler) pass(client net.Conn, socket string) {
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
	time.Sleep(p.delay) // a slow network, not a synchronisation
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
