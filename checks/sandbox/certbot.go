package sandbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks/sandbox/acme"
)

var errNoCertbot = errors.New("no certbot on this machine: install it (apt install certbot), and pebble, to see certificates renewed live")

// lineageName is the sandbox's only certificate.
const lineageName = "localhost"

// keptCertificate is the sandbox's certificate as certbot keeps it. Its server
// reads it again only when it is told to, as nginx does.
type keptCertificate struct {
	dir string // of certbot, with config, work and logs in it

	mu   sync.Mutex
	read time.Time // of the signal that it was last read for
	cert *tls.Certificate
}

// keep writes a certificate as if certbot had issued it: it is due soon, which
// no fresh one is.
func keep(dir string, cert tls.Certificate) (*keptCertificate, error) {
	k := &keptCertificate{dir: dir}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("writing the sandbox's key: %w", err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	leaf, issuer := block("CERTIFICATE", cert.Certificate[0]), block("CERTIFICATE", cert.Certificate[1])
	for _, sub := range []string{"work", "logs", "config/renewal", "config/archive/" + lineageName, "config/live/" + lineageName} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("making certbot's folders: %w", err)
		}
	}
	for name, text := range map[string]string{"cert": leaf, "chain": issuer, "fullchain": leaf + issuer, "privkey": block("PRIVATE KEY", key)} {
		if err := os.WriteFile(filepath.Join(dir, "config/archive", lineageName, name+"1.pem"), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing the sandbox's certificate: %w", err)
		}
		if err := os.Symlink(filepath.Join("../../archive", lineageName, name+"1.pem"), k.live(name)); err != nil {
			return nil, fmt.Errorf("linking the sandbox's certificate: %w", err)
		}
	}
	return k, nil
}

func (k *keptCertificate) live(name string) string {
	return filepath.Join(k.dir, "config/live", lineageName, name+".pem")
}

// signal is the file that the deploy hook touches.
func (k *keptCertificate) signal() string { return filepath.Join(k.dir, "reload") }

// get is the certificate to serve.
func (k *keptCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	told := k.read
	if info, err := os.Stat(k.signal()); err == nil {
		told = info.ModTime()
	}
	if k.cert != nil && told.Equal(k.read) {
		return k.cert, nil
	}
	cert, err := tls.LoadX509KeyPair(k.live("fullchain"), k.live("privkey"))
	if err != nil {
		return k.cert, err
	}
	k.cert, k.read = &cert, told
	return k.cert, nil
}

// startCertbot gives the certificate a real certbot with an account at a real
// ACME server, whose authority is trusted from then on.
func (s *Sandbox) startCertbot(ctx context.Context, k *keptCertificate, addr *addresses) error {
	binary, err := exec.LookPath("certbot")
	if err != nil {
		return errNoCertbot
	}
	server, err := acme.Start(ctx, k.dir, s.procs.start)
	if err != nil {
		return err
	}
	if err := k.configure(server); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "register", "--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--server", server.URL,
		"--config-dir", filepath.Join(k.dir, "config"), "--work-dir", filepath.Join(k.dir, "work"), "--logs-dir", filepath.Join(k.dir, "logs"))
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + k.dir, "REQUESTS_CA_BUNDLE=" + server.CA}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("registering certbot at pebble: %w: %.400s", err, out)
	}
	trusted, err := os.OpenFile(addr.ca, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("trusting pebble's authority: %w", err)
	}
	_, err = trusted.Write(server.Root)
	if err := errors.Join(err, trusted.Close()); err != nil {
		return fmt.Errorf("trusting pebble's authority: %w", err)
	}
	addr.certbot, addr.acme = k.dir, server.CA
	return nil
}

// configure writes the renewal configuration that certbot would have written.
func (k *keptCertificate) configure(server *acme.Server) error {
	lines := []string{"version = 2.1.0", "archive_dir = " + filepath.Join(k.dir, "config/archive", lineageName)}
	for _, name := range []string{"cert", "privkey", "chain", "fullchain"} {
		lines = append(lines, name+" = "+k.live(name))
	}
	lines = append(lines, "[renewalparams]", "authenticator = standalone", "http01_address = 127.0.0.1", fmt.Sprintf("http01_port = %d", server.HTTPPort),
		"server = "+server.URL, "key_type = ecdsa", "renew_hook = touch "+k.signal())
	for _, sub := range []string{"config", "work", "logs"} {
		lines = append(lines, fmt.Sprintf("%s_dir = %s", sub, filepath.Join(k.dir, sub)))
	}
	path := filepath.Join(k.dir, "config/renewal", lineageName+".conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing certbot's configuration: %w", err)
	}
	return nil
}

// certbotSection is empty if the machine has no certbot: what the host itself
// may have of it is none of the sandbox's business.
func (a addresses) certbotSection() string {
	if a.certbot == "" {
		return ""
	}
	return fmt.Sprintf("certbot:\n  config: %[1]s/config\n  work: %[1]s/work\n  logs: %[1]s/logs\n  ca: %[2]s\n  served: {%[3]s: [%[4]q]}\n", a.certbot, a.acme, lineageName, a.tls)
}
