package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/tlscert/trust"
)

const (
	viaMail = "mail"
	slack   = 300 * time.Millisecond // before the Runner's deadline: what hangs has its reason
	goodbye = 2 * time.Second        // for the end of a conversation whose outcome is known
	maxTalk = 1 << 20                // what a mail server may say in all
)

// bySMTP hands the text to the mail server once, for all recipients that it
// accepts. The steps of the conversation are ours, because one refused
// recipient must not keep the others from being told.
func (m message) bySMTP(ctx context.Context, env checks.Env, rec *record) error {
	if m.server == nil {
		return nil
	}
	body, err := m.mime(env, rec.ID)
	if err != nil {
		return fmt.Errorf("composing the mail: %w", err)
	}
	env.Printf("connecting to %s", m.server.address())
	client, hangUp, err := m.server.connect(ctx, env)
	if err != nil {
		rec.set(viaMail, failed, err.Error())
		return errors.Join(err, rec.save())
	}
	defer hangUp()
	if err := errors.Join(m.hand(client, body, env, rec), rec.save()); err != nil {
		return err
	}
	if client.UpdateDeadline(goodbye) == nil {
		_ = client.Quit() // the answer to the text is all that counts
	}
	return nil
}

// hand is the conversation from the sender to the answer to the text.
func (m message) hand(client *smtp.Client, body string, env checks.Env, rec *record) error {
	if err := client.Mail("<" + m.from.Address + ">"); err != nil {
		return rec.answered("the sender", err)
	}
	for i := range rec.Deliveries {
		d := &rec.Deliveries[i]
		if d.Via != viaMail {
			continue
		}
		if err := client.Rcpt("<" + d.Recipient + ">"); err != nil {
			if answer, ok := reply(err); ok {
				d.State, d.Reply, rec.Response = refusedState, answer, answer
				env.Printf("%s refused: %s", d.Recipient, answer)
				continue
			}
			return rec.answered("a recipient", err)
		}
		d.State = sending
	}
	if !slices.ContainsFunc(rec.Deliveries, func(d delivery) bool { return d.Via == viaMail && d.State == sending }) {
		return nil
	}
	if err := rec.save(); err != nil { // durable before the text is out
		rec.set(viaMail, failed, "not sent")
		return err
	}
	return m.handText(client, body, env, rec)
}

func (m message) handText(client *smtp.Client, body string, env checks.Env, rec *record) error {
	w, err := client.Data()
	if err != nil {
		return rec.answered("the text", err)
	}
	if _, err := io.WriteString(w, body); err != nil {
		return rec.answered("the text", err) // without its end it is not delivered
	}
	if err := w.Close(); err != nil {
		if _, ok := reply(err); ok {
			return rec.answered("the text", err)
		}
		return fmt.Errorf("the mail server took the text and gave no answer, it may have been delivered: %w", bare(err))
	}
	rec.Response = "250"
	if closer, ok := w.(*smtp.DataCloser); ok {
		rec.Response += " " + closer.ServerResponse()
	}
	rec.set(viaMail, accepted, rec.Response)
	env.Printf("accepted: %s", rec.Response)
	return nil
}

// answered notes what a step came to that went wrong: an answer is a refusal,
// which is a fact; anything else is an error, and nothing was delivered.
func (r *record) answered(what string, err error) error {
	if answer, ok := reply(err); ok {
		r.Response = answer
		r.set(viaMail, refusedState, answer)
		return nil
	}
	err = fmt.Errorf("handing over %s: %w", what, bare(err))
	r.set(viaMail, failed, err.Error())
	return err
}

// reply is the mail server's own answer in an error.
func reply(err error) (string, bool) {
	var answer *textproto.Error
	if !errors.As(err, &answer) {
		return "", false
	}
	return fmt.Sprintf("%d %s", answer.Code, strings.ReplaceAll(answer.Msg, "\n", " ")), true
}

// bare says what an end of the connection is.
func bare(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closed the connection")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return checks.Failed(checks.Timeout, "no answer in time")
	}
	return err
}

// connect opens a conversation that is encrypted and authenticated as the site
// file says. It ends with ctx; hangUp ends it before.
func (s *server) connect(ctx context.Context, env checks.Env) (client *smtp.Client, hangUp func(), err error) {
	roots, err := trust.Roots(s.ca)
	if err != nil {
		return nil, nil, err
	}
	conn, err := env.Dialer.DialContext(ctx, "tcp", s.address())
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to the mail server: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline.Add(-slack))
	}
	stop := context.AfterFunc(ctx, func() {
		defer crash.Recover()
		_ = conn.Close() // a conversation in flight ends with an error, which is reported
	})
	hangUp = func() {
		stop()
		_ = conn.Close() // said what was to say
	}
	if err == nil {
		client, err = s.greet(bounded(conn), &tls.Config{ServerName: s.host, RootCAs: roots, MinVersion: tls.VersionTLS12, Time: env.Now})
	}
	if err != nil {
		hangUp()
		return nil, nil, err
	}
	return client, hangUp, nil
}

func (s *server) greet(conn net.Conn, config *tls.Config) (*smtp.Client, error) {
	if s.policy == wholeTLS {
		secure := tls.Client(conn, config)
		if err := secure.Handshake(); err != nil {
			return nil, fmt.Errorf("TLS with the mail server: %w", bare(err))
		}
		conn = secure
	}
	client, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return nil, fmt.Errorf("waiting for the mail server's greeting: %w", bare(err))
	}
	if err := client.Hello(hostname()); err != nil {
		return nil, fmt.Errorf("greeting the mail server: %w", bare(err))
	}
	if s.policy == startTLS {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return nil, checks.Failed(checks.TLS, "the mail server offers no STARTTLS, and nothing is sent in clear (tls=none in the site file would)")
		}
		if err := client.StartTLS(config); err != nil {
			return nil, fmt.Errorf("STARTTLS with the mail server: %w", bare(err))
		}
	}
	if s.user == "" {
		return client, nil
	}
	if err := s.login(client); err != nil {
		return nil, err
	}
	return client, nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// login proves who we are, without giving the password away where that can be
// had. None of the ways sends it over an open network.
func (s *server) login(client *smtp.Client) error {
	_, offered := client.Extension("AUTH")
	ways := map[string]smtp.Auth{
		"SCRAM-SHA-256": smtp.ScramSHA256Auth(s.user, s.password.Reveal()),
		"PLAIN":         smtp.PlainAuth("", s.user, s.password.Reveal(), s.host, false),
		"LOGIN":         smtp.LoginAuth(s.user, s.password.Reveal(), s.host, false),
	}
	for _, way := range []string{"SCRAM-SHA-256", "PLAIN", "LOGIN"} {
		if !slices.Contains(strings.Fields(offered), way) {
			continue
		}
		if err := client.Auth(ways[way]); err != nil {
			if answer, ok := reply(err); ok {
				return checks.Failed(checks.Auth, "the mail server refuses the login of %s: %s", s.user, answer)
			}
			return fmt.Errorf("logging in to the mail server: %w", bare(err))
		}
		return nil
	}
	return checks.Failed(checks.Auth, "the mail server offers no way to log in that is safe: %q", offered)
}

// mime is the mail as it goes over the wire.
func (m message) mime(env checks.Env, id string) (string, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(m.from)
	msg.ToMailAddress(m.to...)
	msg.Subject(m.subject)
	_, domain, _ := strings.Cut(m.from.Address, "@")
	msg.SetMessageIDWithValue(id + "@" + domain)
	msg.SetDateWithValue(clock(env))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // nobody's absence answers
	msg.SetGenHeader("X-Opsdeck-Event", m.event)
	msg.SetGenHeader("X-Opsdeck-Token", env.Token)
	msg.SetBodyString(mail.TypeTextPlain, m.text)
	var b strings.Builder
	if _, err := msg.WriteTo(&b); err != nil {
		return "", err
	}
	return b.String(), nil
}

// bounded is a connection on which the other side can say only so much.
func bounded(conn net.Conn) net.Conn {
	return &boundedConn{conn, io.LimitedReader{R: conn, N: maxTalk}}
}

type boundedConn struct {
	net.Conn
	limit io.LimitedReader
}

// Read reads what is left of the bound.
func (c *boundedConn) Read(p []byte) (int, error) {
	if c.limit.N <= 0 {
		return 0, checks.Failed(checks.Limit, "the mail server talks without end")
	}
	return c.limit.Read(p)
}
