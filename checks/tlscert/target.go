package tlscert

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// A target is where a certificate is served, and how TLS begins there.
type target struct {
	text  string // as it was written
	addr  string // host:port
	name  string // asked for and expected
	start func(net.Conn) error
}

// schemes begin TLS in the middle of another protocol.
var schemes = map[string]struct {
	port  string
	start func(net.Conn) error
}{
	"smtp":     {"587", startSMTP},
	"postgres": {"5432", startPostgres},
}

func checkTargets(value any) error {
	texts, _ := value.([]string)
	if len(texts) == 0 {
		return errors.New("no targets")
	}
	for _, t := range texts {
		if _, err := parseTarget(t); err != nil {
			return err
		}
	}
	return nil
}

// CheckTarget is an error if the text is not a target of this family.
func CheckTarget(text string) error {
	_, err := parseTarget(text)
	return err
}

func parseTarget(text string) (target, error) {
	t := target{text: text, addr: text}
	port := "443"
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		s, known := schemes[scheme]
		if !known {
			return t, fmt.Errorf("%q begins with %q, expected host:port, smtp:// or postgres://", text, scheme)
		}
		t.addr, t.start, port = strings.TrimSuffix(rest, "/"), s.start, s.port
	}
	host, given, err := net.SplitHostPort(t.addr)
	if err != nil {
		host, given = strings.Trim(t.addr, "[]"), port
	}
	if !isHost(host) || !isPort(given) {
		return t, fmt.Errorf("%q is not a target, expected host:port", text)
	}
	t.addr, t.name = net.JoinHostPort(host, given), host
	return t, nil
}

// isHost accepts a name or an address; only an address may have colons.
func isHost(text string) bool {
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("/@[]{}", r)
	}
	if text == "" || strings.ContainsFunc(text, odd) {
		return false
	}
	_, err := netip.ParseAddr(text)
	return err == nil || !strings.Contains(text, ":")
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// handshake connects and begins TLS. answered: the peer spoke TLS, whatever
// came of it. The error of a chain that is refused is a
// *tls.CertificateVerificationError.
func (t target) handshake(ctx context.Context, dialer *net.Dialer, config *tls.Config) (answered bool, err error) {
	raw, err := dialer.DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return false, err
	}
	defer raw.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(deadline.Add(-100 * time.Millisecond)); err != nil {
			return false, err
		}
	}
	stop := context.AfterFunc(ctx, func() { defer crash.Recover(); raw.Close() })
	defer stop()
	if t.start != nil {
		if err := t.start(raw); err != nil {
			return false, err
		}
	}
	peer := &listener{Conn: raw}
	err = tls.Client(peer, config).HandshakeContext(ctx)
	return peer.spokeTLS(), err
}

// A listener keeps the first bytes that come: a server that is too old for us,
// or refuses us, says so in a TLS record, a server of another protocol does not.
type listener struct {
	net.Conn
	head []byte
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.head = append(l.head, b[:min(n, 2-len(l.head))]...)
	return n, err
}

// spokeTLS: the first record is an alert or a handshake, of SSL 3 or later.
func (l *listener) spokeTLS() bool {
	const alert, handshake, version = 21, 22, 3
	return len(l.head) == 2 && (l.head[0] == alert || l.head[0] == handshake) && l.head[1] == version
}

// maxDialogue bounds what is read before TLS begins.
const maxDialogue = 8 << 10

// startSMTP says EHLO and STARTTLS. It sends no mail.
func startSMTP(conn net.Conn) error {
	r := bufio.NewReader(io.LimitReader(conn, maxDialogue))
	if err := smtpReply(r, "220"); err != nil {
		return fmt.Errorf("smtp greeting: %w", err)
	}
	for _, step := range []struct{ command, code string }{{"EHLO opsdeck", "250"}, {"STARTTLS", "220"}} {
		if _, err := io.WriteString(conn, step.command+"\r\n"); err != nil {
			return fmt.Errorf("smtp %s: %w", step.command, err)
		}
		if err := smtpReply(r, step.code); err != nil {
			return fmt.Errorf("smtp %s: %w", step.command, err)
		}
	}
	if r.Buffered() > 0 {
		return checks.Failed(checks.TLS, "the server sent more before TLS began")
	}
	return nil
}

// smtpReply reads a reply of one or more lines and expects its code.
func smtpReply(r *bufio.Reader, code string) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 || !strings.HasPrefix(line, code) {
			return fmt.Errorf("the server answered %.80q, expected %s", line, code)
		}
		if len(line) == 3 || line[3] == ' ' {
			return nil
		}
	}
}

// startPostgres sends an SSLRequest and expects an S.
func startPostgres(conn net.Conn) error {
	request := []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}
	if _, err := conn.Write(request); err != nil {
		return fmt.Errorf("postgres SSLRequest: %w", err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("postgres SSLRequest: %w", err)
	}
	switch answer[0] {
	case 'S':
		return nil
	case 'N':
		return checks.Failed(checks.TLS, "the server does not offer TLS")
	}
	return checks.Failed(checks.TLS, "the server answered %q to SSLRequest, expected S or N", answer[:])
}
