package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

const (
	viaWebhook = "webhook"
	maxAnswer  = 64 << 10 // of the answer's body; nobody needs more than its first line
	maxSaid    = 120      // bytes of it that are shown
)

// A post is the body that a webhook gets. The names "text" and "subject" are
// those that chat programs look for.
type post struct {
	Site    string    `json:"site"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Event   string    `json:"event"`
	Token   string    `json:"token"`
	At      time.Time `json:"at"`
}

// byWebhook posts the text once. A redirect is not followed: it would give the
// text to whom the site file does not name.
func (m message) byWebhook(ctx context.Context, env checks.Env, rec *record) error {
	if m.webhook == nil {
		return nil
	}
	body, err := json.Marshal(post{m.site, m.subject, m.text, m.event, env.Token, clock(env)})
	if err != nil {
		return fmt.Errorf("encoding the text for the webhook: %w", err)
	}
	if err := ctx.Err(); err != nil {
		rec.set(viaWebhook, failed, "not asked")
		return errors.Join(err, rec.save())
	}
	rec.set(viaWebhook, sending, "")
	if err := rec.save(); err != nil { // durable before the text is out
		return err
	}
	err = m.post(ctx, env, rec, body)
	return errors.Join(err, rec.save())
}

func (m message) post(ctx context.Context, env checks.Env, rec *record, body []byte) error {
	if deadline, ok := ctx.Deadline(); ok {
		soon, cancel := context.WithDeadline(ctx, deadline.Add(-slack))
		defer cancel()
		ctx = soon
	}
	reached := false // with its TLS; before that nothing can have been handed over
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached = true }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.webhook.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking the webhook: %w", unnamed(err))
	}
	req.GetBody = nil // net/http must not try again by itself
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "opsdeck")
	req.Header.Set("Idempotency-Key", rec.ID)
	env.Printf("asking the webhook at %s", m.webhook.Host)
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: env.Dialer.DialContext, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{Time: env.Now}, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		if !reached {
			rec.set(viaWebhook, failed, "not reached")
			return fmt.Errorf("asking the webhook: %w", unnamed(err))
		}
		return fmt.Errorf("the webhook gave no answer, it may have taken the text: %w", unnamed(err))
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // the status is the answer; a body that breaks off changes nothing
	rec.Response = res.Status
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		rec.set(viaWebhook, accepted, res.Status)
		return nil
	}
	rec.set(viaWebhook, refusedState, strings.TrimSpace(res.Status+" "+firstLine(said)))
	return nil
}

// unnamed is an error without the webhook's URL, which is a secret.
func unnamed(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func firstLine(body []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	return strings.ToValidUTF8(string(line[:min(len(line), maxSaid)]), "")
}
