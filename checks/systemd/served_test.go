package systemd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/nginx"
)

// issued is a certificate of its own, with its PEM form.
func issued(t *testing.T, serial int64) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

func TestCertificatesAreComparedNotTrusted(t *testing.T) {
	root := t.TempDir()
	old, oldText := issued(t, 5)
	_, newText := issued(t, 5) // the same serial of another issuer is another certificate
	write(t, root, "old.pem", oldText)
	write(t, root, "new.pem", newText)
	write(t, root, "none.pem", "-----BEGIN NOTHING-----\n")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{old}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { conn.(*tls.Conn).Handshake(); conn.Close() }() //nolint:errcheck // the client sees it
		}
	}()
	at := listener.Addr().String()
	server := func(address string, files ...string) nginx.TLSServer {
		return nginx.TLSServer{Name: "lms.test", Network: "tcp", Address: address, Certificates: files}
	}
	env := checks.Env{Root: root, Dialer: &net.Dialer{}}
	for name, c := range map[string]struct {
		server nginx.TLSServer
		stale  bool
		says   string
	}{
		"the file's":         {server(at, "/old.pem"), false, "serves what its file holds, serial 5"},
		"another's":          {server(at, "/new.pem"), true, "/new.pem holds serial 5"},
		"neither of two":     {server(at, "/new.pem", "/./new.pem"), true, "; /./new.pem holds serial 5"},
		"one of two":         {server(at, "/new.pem", "/old.pem"), false, "serves what its file holds"},
		"nobody listens":     {server("127.0.0.1:1", "/old.pem"), true, "does not answer"},
		"nobody at a socket": {nginx.TLSServer{Network: "unix", Address: "/no.sock", Certificates: []string{"/old.pem"}}, true, filepath.Join(root, "no.sock")},
	} {
		t.Run(name, func(t *testing.T) {
			found, left, err := compare(t.Context(), env, []nginx.TLSServer{c.server, {Address: "x", Unknown: "of its nature"}})
			if err != nil || len(found) != 1 || len(left) != 1 || !strings.Contains(left[0], "of its nature") {
				t.Fatalf("%v %v %v", found, left, err)
			}
			if found[0].stale() != c.stale || !strings.Contains(found[0].says(), c.says) {
				t.Errorf("stale %v: %s", found[0].stale(), found[0].says())
			}
		})
	}
	for file, want := range map[string]string{"/gone.pem": "no such file", "/none.pem": "holds no certificate"} {
		if _, _, err := compare(t.Context(), env, []nginx.TLSServer{server(at, file)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := compare(ended, env, []nginx.TLSServer{server(at, "/old.pem")}); err == nil {
		t.Error("a comparison that was given up says something")
	}
}

func TestProcessesAreReadWhateverTheyAreCalled(t *testing.T) {
	const tail = " 40 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0"
	root := t.TempDir()
	write(t, root, "proc/40/stat", "40 (nginx) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0")
	write(t, root, "proc/41/stat", "41 (a) b) S"+strings.Replace(tail, "%d", "500", 1))
	write(t, root, "proc/42/stat", "42 (nginx) S"+strings.Replace(tail, "%d", "700", 1))
	write(t, root, "proc/self/stat", "not a process")
	started, newest, err := workers(root, 40, 600)
	if started != 1 || newest != 700 || err != nil {
		t.Errorf("%d %d %v", started, newest, err)
	}
	write(t, root, "proc/43/stat", "43 (cut")
	if _, _, err := workers(root, 40, 600); err == nil {
		t.Error("half a line is a process")
	}
}
