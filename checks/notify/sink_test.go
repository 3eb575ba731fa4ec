package notify

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A sink is a mail server that keeps what it gets and misbehaves as told.
type sink struct {
	addr string
	cert tls.Certificate
	ca   string // file

	noTLS    bool              // offers no STARTTLS
	implicit bool              // TLS from the first byte
	mechs    string            // offered; "" means no AUTH
	password string            // accepted
	refuse   map[string]string // command or recipient -> answer
	hang     string            // the command after which it says nothing
	end      string            // the command after which it hangs up; "." is the end of the text

	arrived chan struct{} // gets one for every text

	mu     sync.Mutex
	mails  []string // received whole
	seen   []string // commands
	secure []bool   // whether each mail came by TLS
	conns  []net.Conn
}

func (s *sink) start(t *testing.T) *sink {
	t.Helper()
	s.certificate(t)
	s.arrived = make(chan struct{}, 16)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		all.Wait()
	})
	return s
}

// certificate makes an authority's file and the server's certificate of it.
func (s *sink) certificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// received are the mails, whole.
func (s *sink) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}

// commands are all that was said, but for the texts.
func (s *sink) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, "\n")
}

// talk is one conversation.
type talk struct {
	*sink
	conn   net.Conn
	in     *bufio.Reader
	secure bool
}

func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	t := &talk{sink: s, conn: conn}
	if s.implicit {
		t.conn, t.secure = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}}), true
	}
	t.in = bufio.NewReader(t.conn)
	if !t.stopped("connect") {
		t.say("220 sink ESMTP")
	} else {
		return
	}
	for {
		line, err := t.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.seen = append(s.seen, line)
		s.mu.Unlock()
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		if t.stopped(verb) || !t.answer(verb, line) {
			return
		}
	}
}

func (t *talk) say(lines ...string) {
	fmt.Fprint(t.conn, strings.Join(lines, "\r\n")+"\r\n")
}

// stopped hangs or hangs up, if that is what the sink does at this point.
func (t *talk) stopped(at string) bool {
	if t.hang == at {
		t.in = bufio.NewReader(t.conn)
		t.in.ReadString(0) // until the other side gives up
		return true
	}
	return t.end == at
}

func (t *talk) answer(verb, line string) bool {
	if text, ok := t.refuse[verb]; ok {
		t.say(text)
		return verb != "QUIT"
	}
	switch verb {
	case "EHLO":
		lines := []string{"250-sink", "250-8BITMIME"}
		if t.mechs != "" {
			lines = append(lines, "250-AUTH "+t.mechs)
		}
		if !t.noTLS && !t.secure {
			lines = append(lines, "250-STARTTLS")
		}
		t.say(append(lines, "250 ENHANCEDSTATUSCODES")...)
	case "STARTTLS":
		t.say("220 go on")
		t.conn, t.secure = tls.Server(t.conn, &tls.Config{Certificates: []tls.Certificate{t.cert}}), true
		t.in = bufio.NewReader(t.conn)
	case "AUTH":
		t.auth(line)
	case "RCPT":
		address := strings.TrimSuffix(strings.TrimPrefix(line, "RCPT TO:<"), ">")
		if text, ok := t.refuse[address]; ok {
			t.say(text)
			return true
		}
		t.say("250 2.1.5 ok")
	case "DATA":
		return t.data()
	case "QUIT":
		t.say("221 bye")
		return false
	default:
		t.say("250 ok")
	}
	return true
}

func (t *talk) auth(line string) {
	var given string
	switch fields := strings.Fields(line); fields[1] {
	case "PLAIN":
		raw, _ := base64.StdEncoding.DecodeString(fields[2])
		given = strings.Join(strings.Split(string(raw), "\x00")[1:], ":")
	case "LOGIN":
		for _, prompt := range []string{"Username:", "Password:"} {
			t.say("334 " + base64.StdEncoding.EncodeToString([]byte(prompt)))
			answer, _ := t.in.ReadString('\n')
			raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(answer))
			given += ":" + string(raw)
		}
		given = given[1:]
	}
	if given == "opsdeck:"+t.password {
		t.say("235 2.7.0 welcome")
		return
	}
	t.say("535 5.7.8 wrong user or password")
}

func (t *talk) data() bool {
	t.say("354 go on")
	var b strings.Builder
	for {
		line, err := t.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	t.mu.Lock()
	t.mails, t.sink.secure = append(t.mails, b.String()), append(t.sink.secure, t.secure)
	t.mu.Unlock()
	t.arrived <- struct{}{}
	if t.stopped(".") {
		return false
	}
	if text, ok := t.refuse["."]; ok {
		t.say(text)
		return true
	}
	t.say("250 2.0.0 queued as 4711")
	return true
}
