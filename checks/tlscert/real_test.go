package tlscert

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver/pgtest"
)

// TestARealPostgres: the same verdicts from a server that is not Go's, with
// and without TLS.
func TestARealPostgres(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	target := "postgres://" + l.Addr().String()
	l.Close()
	ca := newIssuer(t)
	options := pgserver.Options{Dir: pgtest.Dir(t), Port: port, Preload: []string{}}
	try := func(want checks.Level, says string) {
		t.Helper()
		server, err := pgserver.Start(t.Context(), options)
		if err != nil {
			pgtest.Missing(t, err)
		}
		res := run(t, checks.Env{Dialer: &net.Dialer{}}, 10*time.Second, map[string]any{"targets": []string{target}, "ca": ca.file})
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		if res.Level != want || !strings.Contains(res.Note, says) {
			t.Errorf("%v: %s %s; want %v, ...%s", res.Level, res.Note, res.Err, want, says)
		}
	}
	try(checks.Crit, "does not offer TLS")
	install(t, filepath.Join(options.Dir, "data"), ca.issue(t, "127.0.0.1", -69*day, 21*day+time.Hour))
	options.Settings = map[string]string{"ssl": "on"}
	try(checks.Warn, "21 d")
}

// install puts certificate and key where the server looks for them, as files
// of its own user: it refuses a key that others could read.
func install(t *testing.T, data string, cert tls.Certificate) {
	t.Helper()
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"server.crt": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "server.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}
