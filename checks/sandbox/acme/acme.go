// Package acme starts pebble, the small ACME server that Let's Encrypt tests
// clients with, on loopback. It issues real certificates, of an authority that
// it makes anew at each start, to whoever answers on its HTTP-01 port.
package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrMissing says how to get what is missing.
var ErrMissing = errors.New("no pebble on this machine: go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1 to see certificates renewed live")

// patience is how long a start may take.
const patience = 10 * time.Second

// A Server is a running pebble. It ends with the process that was started.
type Server struct {
	URL      string // of its directory, for --server
	CA       string // file by which clients know the server itself: not the authority it issues from
	HTTPPort int    // where it looks for the answer to an HTTP-01 challenge
	Root     []byte // the authority it issues from, in PEM
}

// Start writes pebble's configuration into the directory, has the command
// started and waits until it answers.
func Start(ctx context.Context, dir string, start func(*exec.Cmd) error) (*Server, error) {
	binary, err := exec.LookPath("pebble")
	if err != nil {
		return nil, ErrMissing
	}
	ports, err := free(3)
	if err != nil {
		return nil, err
	}
	s := &Server{URL: fmt.Sprintf("https://localhost:%d/dir", ports[0]), CA: filepath.Join(dir, "acme.pem"), HTTPPort: ports[2]}
	if err := selfSigned(s.CA, filepath.Join(dir, "acme.key")); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "acme.json")
	if err := s.configure(config, dir, ports); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "-config", config)
	// By default it rejects nonces and reuses authorisations at random, so that a
	// renewal without an answer to its challenge succeeds every other time.
	cmd.Env = []string{"PATH=/usr/bin:/bin", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0"}
	if err := start(cmd); err != nil {
		return nil, fmt.Errorf("starting pebble: %w", err)
	}
	s.Root, err = s.root(ctx, fmt.Sprintf("https://localhost:%d/roots/0", ports[1]))
	return s, err
}

// free are ports that nobody has right now.
func free(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// configure writes what pebble is to do: certificates of 90 days, and answers
// at once.
func (s *Server) configure(path, dir string, ports []int) error {
	raw, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", ports[0]), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"certificate": s.CA, "privateKey": filepath.Join(dir, "acme.key"), "httpPort": s.HTTPPort, "tlsPort": s.HTTPPort,
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "90 days", "validityPeriod": 90 * 24 * 3600}},
	}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return fmt.Errorf("writing pebble's configuration: %w", err)
	}
	return nil
}

// root waits for the server and asks what it issues from.
func (s *Server) root(ctx context.Context, url string) ([]byte, error) {
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, fmt.Errorf("reading pebble's own certificate: %w", err)
	}
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		root, err := get(ctx, client, url)
		if err == nil {
			return root, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for pebble: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return body, err
}

// selfSigned makes the certificate of the server itself.
func selfSigned(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making pebble's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "opsdeck sandbox ACME"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("making pebble's certificate: %w", err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("writing pebble's key: %w", err)
	}
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return fmt.Errorf("writing pebble's files: %w", err)
		}
	}
	return nil
}
