package tlscert

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

const day = 24 * time.Hour

// issuer signs the certificates of the scenes.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // in PEM
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "scene CA"}, NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return issuer{cert, key, file}
}

// issue makes a certificate for a name that began and ends relative to now.
func (i issuer) issue(t *testing.T, name string, begin, end time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(begin), NotAfter: time.Now().Add(end), DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, &key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// self makes a certificate that no authority knows.
func self(t *testing.T, name string) tls.Certificate {
	t.Helper()
	i := newIssuer(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(89 * day),
		IPAddresses: []net.IP{net.ParseIP(name)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &i.key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key}
}

// listen serves connections with a function until the test ends.
func listen(t *testing.T, serve func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

func serving(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		c := tls.Server(conn, config)
		if c.Handshake() == nil {
			io.Copy(io.Discard, c)
		}
	}
}

func with(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func run(t *testing.T, env checks.Env, timeout time.Duration, raw map[string]any) checks.Result {
	t.Helper()
	check, problems := checks.NewCheck(Expiry, "cert", raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	check.Timeout = timeout
	return checktest.RunCheck(t, checks.NewRunner(env, nil), check)
}

func TestEveryCertificateHasItsVerdict(t *testing.T) {
	ca, other := newIssuer(t), newIssuer(t)
	tests := []struct {
		name    string
		serve   func(net.Conn)
		want    checks.Level
		says    string // in the note or the detail
		hasLeft bool
	}{
		{"80 days", serving(with(ca.issue(t, "127.0.0.1", -10*day, 80*day))), checks.OK, "80 d", true},
		{"21 days", serving(with(ca.issue(t, "127.0.0.1", -69*day, 21*day+time.Hour))), checks.Warn, "21 d", true},
		{"3 days", serving(with(ca.issue(t, "127.0.0.1", -87*day, 3*day+time.Hour))), checks.Crit, "3 d", true},
		{"expired", serving(with(ca.issue(t, "127.0.0.1", -90*day, -2*day))), checks.Crit, "expired", true},
		{"not yet valid", serving(with(ca.issue(t, "127.0.0.1", 2*day, 90*day))), checks.Crit, "not yet valid", true},
		{"for another name", serving(with(ca.issue(t, "other.example.com", -10*day, 80*day))), checks.Crit, "127.0.0.1", true},
		{"of an unknown authority", serving(with(other.issue(t, "127.0.0.1", -10*day, 80*day))), checks.Crit, "unknown authority", true},
		{"wants a client's certificate", serving(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", -10*day, 80*day)}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}), checks.OK, "wants a client's certificate", true},
		{"wants a client's certificate, in TLS 1.3", serving(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", -10*day, 80*day)}, ClientAuth: tls.RequireAnyClientCert}), checks.OK, "wants a client's certificate", true},
		{"wants a client's certificate, and has expired", serving(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", -90*day, -day)}, ClientAuth: tls.RequireAnyClientCert}), checks.Crit, "expired", true},
		{"signed by itself", serving(with(self(t, "127.0.0.1"))), checks.Crit, "unknown authority", true},
		{"a healthy one of 45 days", serving(with(ca.issue(t, "127.0.0.1", -25*day, 20*day))), checks.OK, "", true},
		{"14 of 45 days", serving(with(ca.issue(t, "127.0.0.1", -31*day, 14*day))), checks.Warn, "14 d", true},
		{"4 of 45 days", serving(with(ca.issue(t, "127.0.0.1", -41*day, 4*day))), checks.Crit, "4 d", true},
		{"a healthy one of 6 days", serving(with(ca.issue(t, "127.0.0.1", -3*day, 3*day))), checks.OK, "", true},
		{"a healthy one of 60 days, by the guide", serving(with(ca.issue(t, "127.0.0.1", -31*day, 29*day))), checks.Warn, "", true},
		{"plain HTTP", func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, checks.Crit, "does not answer", false},
		{"hangs up", func(net.Conn) {}, checks.Crit, "does not answer", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, tt.serve)
			res := run(t, checks.Env{Dialer: &net.Dialer{}}, 10*time.Second, map[string]any{"targets": []string{addr}, "ca": ca.file})
			if text := res.Note + strings.Join(res.Detail, "\n"); res.Level != tt.want || !strings.Contains(text, tt.says) {
				t.Errorf("%v: %s\nwant %v, ...%s", res.Level, text, tt.want, tt.says)
			}
			if _, ok := res.Fact("left", addr); ok != tt.hasLeft {
				t.Errorf("the time left is known: %v, want %v", ok, tt.hasLeft)
			}
		})
	}
}

func TestUnreachableIsNeverZeroDays(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	silent := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	res := run(t, checks.Env{Dialer: &net.Dialer{}}, time.Second, map[string]any{"targets": []string{closed, silent}})
	if res.Level != checks.Crit {
		t.Errorf("%v: %s %s", res.Level, res.Note, res.Err)
	}
	for _, f := range res.Facts {
		if f.Name == "left" {
			t.Errorf("unreachable, and yet %s left", f.Value)
		}
	}
}

func TestTheWorstOfSeveralTargetsDecides(t *testing.T) {
	ca := newIssuer(t)
	good := listen(t, serving(with(ca.issue(t, "127.0.0.1", -10*day, 80*day))))
	soon := listen(t, serving(with(ca.issue(t, "127.0.0.1", -80*day, 5*day+time.Hour))))
	res := run(t, checks.Env{Dialer: &net.Dialer{}}, 10*time.Second, map[string]any{"targets": []string{good, soon}, "ca": ca.file})
	if res.Level != checks.Crit || res.Why[0].Fact != "left" || slices.ContainsFunc(res.Why, func(b checks.Breach) bool { return b.Label != soon }) {
		t.Errorf("%v because of %+v", res.Level, res.Why)
	}
}

// smtpThenTLS speaks a real dialogue up to STARTTLS.
func smtpThenTLS(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		r := bufio.NewReader(conn)
		io.WriteString(conn, "220-mail.example.com\r\n220 ready\r\n")
		for _, reply := range []string{"250-mail.example.com\r\n250-SIZE 1000\r\n250 STARTTLS\r\n", "220 go ahead\r\n"} {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			io.WriteString(conn, reply)
		}
		serving(config)(conn)
	}
}

func postgresThenTLS(config *tls.Config, offer byte) func(net.Conn) {
	return func(conn net.Conn) {
		var request [8]byte
		if _, err := io.ReadFull(conn, request[:]); err != nil {
			return
		}
		conn.Write([]byte{offer})
		serving(config)(conn)
	}
}

func TestTLSThatBeginsInAnotherProtocol(t *testing.T) {
	ca := newIssuer(t)
	config := with(ca.issue(t, "127.0.0.1", -10*day, 80*day))
	tests := []struct {
		scheme string
		serve  func(net.Conn)
		want   checks.Level
		says   string
	}{
		{"smtp", smtpThenTLS(config), checks.OK, "80 d"},
		{"smtp", func(c net.Conn) { io.WriteString(c, "554 go away\r\n") }, checks.Crit, "554 go away"},
		{"postgres", postgresThenTLS(config, 'S'), checks.OK, "80 d"},
		{"postgres", postgresThenTLS(config, 'N'), checks.Crit, "does not offer TLS"},
	}
	for _, tt := range tests {
		target := tt.scheme + "://" + listen(t, tt.serve)
		res := run(t, checks.Env{Dialer: &net.Dialer{}}, 10*time.Second, map[string]any{"targets": []string{target}, "ca": ca.file})
		if res.Level != tt.want || !strings.Contains(res.Note, tt.says) {
			t.Errorf("%s: %v, %s", tt.scheme, res.Level, res.Note)
		}
	}
}

func TestATrustFileThatCannotBeReadIsUnknown(t *testing.T) {
	res := run(t, checks.Env{Dialer: &net.Dialer{}}, time.Second, map[string]any{"targets": []string{"localhost:1"}, "ca": "/nonexistent/ca.pem"})
	if res.Level != checks.Unknown || res.Class != checks.Missing {
		t.Errorf("%v, %q: %s", res.Level, res.Class, res.Err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if res := run(t, checks.Env{Dialer: &net.Dialer{}}, time.Second, map[string]any{"targets": []string{"localhost:1"}, "ca": empty}); res.Class != checks.Parse {
		t.Errorf("%v, %q: %s", res.Level, res.Class, res.Err)
	}
}

func TestTargetsAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"lms.example.com:443": "lms.example.com:443 lms.example.com", "lms.example.com": "lms.example.com:443 lms.example.com", "smtp://mail": "mail:587 mail",
		"postgres://db:6432": "db:6432 db", "[::1]:443": "[::1]:443 ::1", "https://x": "", "": "", "a b:1": "", "user@host:1": "",
		"h:abc": "", "h:": "", "h:0": "", "h:65536": "", "h:-1": "", "h\t:1": "", "a:b:c": "", "::1": "[::1]:443 ::1", "[::1]": "[::1]:443 ::1", "h:65535": "h:65535 h",
	} {
		got, err := parseTarget(text)
		if (err == nil) != (want != "") || err == nil && fmt.Sprintf("%s %s", got.addr, got.name) != want {
			t.Errorf("%q is %s %s, %v; want %q", text, got.addr, got.name, err, want)
		}
	}
}

func FuzzSMTPReply(f *testing.F) {
	f.Add("220-a\r\n220 b\r\n")
	f.Add("220")
	f.Fuzz(func(t *testing.T, text string) {
		if err := smtpReply(bufio.NewReader(strings.NewReader(text)), "220"); err == nil && !strings.Contains(text, "220") {
			t.Fatalf("%q was taken for 220", text)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	f.Add("smtp://mail:587")
	f.Add("[::1]")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseTarget(text); err == nil {
			host, port, err := net.SplitHostPort(got.addr)
			if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 1 || n > 65535 || host == "" {
				t.Fatalf("%q gave the address %q: %v", text, got.addr, err)
			}
		}
	})
}

// scripted is a peer that says one thing and takes everything.
type scripted struct {
	net.Conn
	answer io.Reader
}

func (s scripted) Read(b []byte) (int, error)  { return s.answer.Read(b) }
func (s scripted) Write(b []byte) (int, error) { return len(b), nil }

func FuzzPostgresAnswer(f *testing.F) {
	for _, seed := range []string{"S", "N", "E\x00\x00\x00\x04", "", "SS", "HTTP/1.1 400"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		rest := strings.NewReader(answer)
		err := startPostgres(scripted{answer: rest})
		if (err == nil) != strings.HasPrefix(answer, "S") {
			t.Fatalf("%q: %v", answer, err)
		}
		if err == nil && rest.Len() != len(answer)-1 {
			t.Fatalf("%d bytes of the handshake were taken", len(answer)-1-rest.Len())
		}
	})
}
