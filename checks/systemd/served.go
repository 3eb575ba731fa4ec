package systemd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/nginx"
)

const (
	// handshakeTime is how long one server has to show its certificate.
	handshakeTime = 3 * time.Second

	// mostServers bounds the servers whose certificates are compared.
	mostServers = 200
)

// A comparison is what a server serves beside what its file holds.
type comparison struct {
	server nginx.TLSServer
	files  []*x509.Certificate
	served *x509.Certificate // nil if it does not answer
	err    error             // why it does not
}

// compare asks every server of the configuration for its certificate, at the
// address where it listens on this host. One whose file cannot be read is an
// error; one of which nobody can say what it should serve is left out.
func compare(ctx context.Context, env checks.Env, servers []nginx.TLSServer) (found []comparison, left []string, err error) {
	if len(servers) > mostServers {
		return nil, nil, checks.Failed(checks.Limit, "nginx has %d servers with TLS, more than %d", len(servers), mostServers)
	}
	for _, s := range servers {
		if s.Unknown != "" {
			left = append(left, fmt.Sprintf("%s: not compared: %s", label(s), s.Unknown))
			continue
		}
		c := comparison{server: s}
		for _, file := range s.Certificates {
			cert, err := leaf(filepath.Join(env.Root, file))
			if err != nil {
				return nil, nil, err
			}
			c.files = append(c.files, cert)
		}
		found = append(found, c)
	}
	if len(found) > 0 && env.Dialer == nil {
		return nil, nil, checks.Failed(checks.Unconfigured, "nothing to connect with")
	}
	var all sync.WaitGroup
	for i := range found {
		all.Go(func() { defer crash.Recover(); found[i].ask(ctx, env) })
	}
	all.Wait()
	return found, left, ctx.Err()
}

// maxFile bounds a file of certificates and one of /proc, in bytes.
const maxFile = 1 << 20

// leaf is the first certificate of a file.
func leaf(path string) (*x509.Certificate, error) {
	text, err := hostfs.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate of nginx: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, checks.Failed(checks.Parse, "%s holds no certificate", path)
}

// ask takes whatever certificate is shown: it is compared, not trusted.
func (c *comparison) ask(ctx context.Context, env checks.Env) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	address := c.server.Address
	if c.server.Network == "unix" {
		address = filepath.Join(env.Root, address)
	}
	raw, err := env.Dialer.DialContext(ctx, c.server.Network, address)
	if err != nil {
		c.err = err
		return
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{ServerName: c.server.Name, InsecureSkipVerify: true}) //nolint:gosec // see above
	if err := conn.HandshakeContext(ctx); err != nil && len(conn.ConnectionState().PeerCertificates) == 0 {
		c.err = err
		return
	}
	if shown := conn.ConnectionState().PeerCertificates; len(shown) > 0 {
		c.served = shown[0]
	}
}

// stale is a server that serves none of its files.
func (c comparison) stale() bool {
	for _, file := range c.files {
		if c.served != nil && c.served.Equal(file) {
			return false
		}
	}
	return true
}

// says names the serials and the ends, as a person compares them.
func (c comparison) says() string {
	if c.served == nil {
		return fmt.Sprintf("%s does not answer: %v", label(c.server), c.err)
	}
	if !c.stale() {
		return fmt.Sprintf("%s serves what its file holds, %s", label(c.server), one(c.served))
	}
	text := fmt.Sprintf("%s serves %s", label(c.server), one(c.served))
	for i, file := range c.files {
		text += fmt.Sprintf("; %s holds %s", c.server.Certificates[i], one(file))
	}
	return text
}

func one(c *x509.Certificate) string {
	return fmt.Sprintf("serial %X until %s", c.SerialNumber, c.NotAfter.UTC().Format(time.DateOnly))
}

func label(s nginx.TLSServer) string {
	if s.Name == "" {
		return s.Address
	}
	return s.Name + " at " + s.Address
}
