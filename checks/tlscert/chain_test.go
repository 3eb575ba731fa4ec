package tlscert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// below makes an authority that this one signs, ending as told.
func (i issuer) below(t *testing.T, name string, end time.Duration) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return i.signs(t, name, key, end)
}

func (i issuer) signs(t *testing.T, name string, key *ecdsa.PrivateKey, end time.Duration) issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().Add(end),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, &key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{cert: cert, key: key}
}

// sending adds certificates to those that are sent.
func sending(cert tls.Certificate, more ...issuer) *tls.Config {
	for _, i := range more {
		cert.Certificate = append(cert.Certificate, i.cert.Raw)
	}
	return with(cert)
}

func TestEachPartOfTheChainIsJudgedForItself(t *testing.T) {
	ca, other := newIssuer(t), newIssuer(t)
	soon, late := ca.below(t, "scene soon", 20*day+time.Hour), ca.below(t, "scene late", 300*day)
	cross := ca.signs(t, "scene soon", soon.key, 200*day) // the same authority, certified twice
	gone := ca.below(t, "scene gone", -day)
	yes, no := "true", "false"
	tests := []struct {
		name               string
		serve              *tls.Config
		want               checks.Level
		left               string // "" is not told
		valid, chain, host string
		says               string
	}{
		{"an expired certificate that no path needs", sending(ca.issue(t, "127.0.0.1", -10*day, 80*day+time.Hour), gone), checks.OK, "80 d 1 h", yes, yes, yes, "80 d"},
		{"an intermediate ends before the leaf", sending(soon.issue(t, "127.0.0.1", -10*day, 80*day), soon), checks.Warn, "20 d 1 h", yes, yes, yes, "CN=scene soon ends first"},
		{"two paths, the longer counts", sending(soon.issue(t, "127.0.0.1", -10*day, 80*day+time.Hour), soon, cross), checks.OK, "80 d 1 h", yes, yes, yes, "80 d"},
		{"an intermediate that ends later", sending(late.issue(t, "127.0.0.1", -10*day, 80*day+time.Hour), late), checks.OK, "80 d 1 h", yes, yes, yes, "80 d"},
		{"an intermediate that has ended", sending(gone.issue(t, "127.0.0.1", -10*day, 80*day), gone), checks.Crit, "", no, no, yes, "CN=scene gone ends first"},
		{"expired, of a known authority", sending(ca.issue(t, "127.0.0.1", -90*day, -2*day)), checks.Crit, "-2 d", no, yes, yes, "expired"},
		{"expired, of an unknown authority", sending(other.issue(t, "127.0.0.1", -90*day, -2*day)), checks.Crit, "-2 d", no, no, yes, "expired"},
		{"another name, of a known authority", sending(ca.issue(t, "x.example.com", -10*day, 80*day)), checks.Crit, "", no, yes, no, "refused"},
		{"another name, of an unknown authority", sending(other.issue(t, "x.example.com", -10*day, 80*day)), checks.Crit, "", no, no, no, "refused"},
		{"not yet valid, of a known authority", sending(ca.issue(t, "127.0.0.1", 2*day, 80*day)), checks.Crit, "", no, yes, yes, "refused"},
		{"an intermediate that is not sent", sending(late.issue(t, "127.0.0.1", -10*day, 80*day)), checks.Crit, "", no, no, yes, "unknown authority"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, serving(tt.serve))
			res := run(t, checks.Env{Dialer: &net.Dialer{}, Now: newNow()}, 10*time.Second, map[string]any{"targets": []string{addr}, "ca": ca.file})
			text := res.Note + "\n" + strings.Join(res.Detail, "\n")
			if res.Level != tt.want || !strings.Contains(text, tt.says) {
				t.Errorf("%v: %s\nwant %v, ...%s", res.Level, text, tt.want, tt.says)
			}
			for name, want := range map[string]string{"left": tt.left, "valid": tt.valid, "chain_ok": tt.chain, "name_ok": tt.host} {
				if f, ok := res.Fact(name, addr); !ok || want != "" && f.Value.String() != want {
					t.Errorf("%s is %s, want %s", name, f.Value, want)
				}
			}
		})
	}
}

// newNow is a clock that stands, so that the time left is exact to the hour.
func newNow() func() time.Time {
	now := time.Now()
	return func() time.Time { return now }
}

// oldHello is a ServerHello of TLS 1.0, as a server sends that knows no more.
func oldHello() []byte {
	hello := append([]byte{2, 0, 0, 38, 3, 1}, make([]byte, 36)...)
	hello[len(hello)-2], hello[len(hello)-3] = 0x2f, 0 // RSA with AES-128
	return append([]byte{22, 3, 1, 0, byte(len(hello))}, hello...)
}

func TestAServerThatIsTooOldIsReachedAndRefused(t *testing.T) {
	ca := newIssuer(t)
	old := with(ca.issue(t, "127.0.0.1", -10*day, 80*day))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for name, serve := range map[string]func(net.Conn){
		"by an alert": serving(old),
		"by its hello": func(c net.Conn) {
			c.Write(oldHello())
			io.Copy(io.Discard, c)
		},
	} {
		addr := listen(t, serve)
		res := run(t, checks.Env{Dialer: &net.Dialer{}}, 5*time.Second, map[string]any{"targets": []string{addr}, "ca": ca.file})
		reachable, _ := res.Fact("reachable", addr)
		valid, ok := res.Fact("valid", addr)
		problem, _ := res.Fact("problem", addr)
		if res.Level != checks.Crit || !reachable.Bool() || !ok || valid.Bool() || !strings.Contains(problem.Text, "protocol version") {
			t.Errorf("%s: %v, reachable %s, valid %s, %q", name, res.Level, reachable.Value, valid.Value, problem.Text)
		}
		if _, ok := res.Fact("left", addr); ok {
			t.Errorf("%s: no certificate was seen, and yet there is time left", name)
		}
	}
}

func TestATrustFileIsNeverWaitedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "ca.pem")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	res := run(t, checks.Env{Dialer: &net.Dialer{}}, 5*time.Second, map[string]any{"targets": []string{"localhost:1"}, "ca": pipe})
	if res.Level != checks.Unknown || !strings.Contains(res.Err, "not a regular file") {
		t.Errorf("%v, %q: %s", res.Level, res.Class, res.Err)
	}
}
