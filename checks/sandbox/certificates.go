package sandbox

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// dueIn is how long the sandbox's certificate still has: inside the guide's 30
// days of warning, outside the last week.
const dueIn = 12*24*time.Hour + 6*time.Hour

// authority is the sandbox's own certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the sandbox's CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "opsdeck sandbox CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the sandbox's CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the sandbox's CA back: %w", err)
	}
	return &authority{cert, key}, nil
}

// issue makes a server certificate for localhost that ends after left.
func (a *authority) issue(now time.Time, left time.Duration) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a server key: %w", err)
	}
	end := now.Add(left)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: end.AddDate(0, 0, -90), NotAfter: end,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issuing a server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
}

// save writes the authority's certificate where the site file can name it.
func (a *authority) save(dir string) (path string, err error) {
	path = filepath.Join(dir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		return "", fmt.Errorf("writing the sandbox's CA: %w", err)
	}
	return path, nil
}

// serveTLS answers handshakes with the certificate until ctx ends and returns
// the address, by the name that every certificate of the sandbox has.
func serveTLS(ctx context.Context, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (addr string, err error) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: cert})
	if err != nil {
		return "", fmt.Errorf("starting the sandbox's TLS listener: %w", err)
	}
	context.AfterFunc(ctx, func() { defer crash.Recover(); l.Close() })
	go func() {
		defer crash.Recover()
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go func() { defer crash.Recover(); shake(conn) }()
			}
		}
	}()
	return fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port), nil
}

func shake(conn net.Conn) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return
	}
	var one [1]byte
	conn.Read(one[:]) //nolint:errcheck // reading drives the handshake; the peer hangs up when it has seen enough
}
