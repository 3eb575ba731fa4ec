package maintenance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

const (
	patience  = 10 * time.Second       // for the page to change: a reload lets old workers finish
	pollEvery = 200 * time.Millisecond // as often as a person would notice
	oneLook   = 3 * time.Second        // for one answer
	slack     = 300 * time.Millisecond // before the Runner's deadline: what hangs is a fact
	steady    = 3                      // good looks in a row after a reload, during which old and new workers answer by turns
	maxHint   = 366 * 24 * time.Hour   // beyond it a Retry-After is nonsense
)

// A view is the site as its users see it.
type view struct {
	answered bool
	status   int
	hint     bool
	after    time.Duration
	exemptOK bool
	reasons  []string
}

// outside asks the page and the exempt URL over connections of their own. Only
// what keeps us from asking is an error.
func (p *page) outside(ctx context.Context, env checks.Env) (view, error) {
	var v view
	res, err := ask(ctx, env, p.url)
	if err := ours(ctx, err); err != nil {
		return v, err
	}
	if err != nil {
		v.reasons = append(v.reasons, "the page does not answer: "+reason(err))
	} else {
		v.answered, v.status = true, res.StatusCode
		v.after, v.hint = retryAfter(res.Header.Get("Retry-After"), clock(env))
	}
	res, err = ask(ctx, env, p.exempt)
	if err := ours(ctx, err); err != nil {
		return v, err
	}
	switch {
	case err != nil:
		v.reasons = append(v.reasons, "the exempt URL does not answer: "+reason(err))
	case res.StatusCode != http.StatusOK:
		v.reasons = append(v.reasons, fmt.Sprintf("the exempt URL answers %d", res.StatusCode))
	default:
		v.exemptOK = true
	}
	return v, nil
}

// ask gets the head of an answer; of its body nobody wants anything.
func ask(ctx context.Context, env checks.Env, u *url.URL) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, oneLook)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "opsdeck")
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: env.Dialer.DialContext, DisableKeepAlives: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{Time: env.Now}, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the web server logs a whole answer; nothing hangs on it
	return res, res.Body.Close()
}

// ours is the error that says nothing about the site: we were told to stop, or
// the resolver fails. One that answers "no such name" does not.
func ours(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && !dns.IsNotFound {
		return checks.Failed(checks.DNS, "the resolver fails, the site cannot be seen from outside: %w", dns)
	}
	return nil
}

func reason(err error) string {
	var (
		operation *net.OpError
		wrapped   *url.Error
		timeout   interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &operation) && operation.Op == "dial":
		return "cannot connect: " + operation.Err.Error()
	case errors.As(err, &wrapped):
		return wrapped.Err.Error()
	}
	return err.Error()
}

// retryAfter reads a number of seconds or a date; ok is false if it is neither.
func retryAfter(text string, now time.Time) (after time.Duration, ok bool) {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		after = time.Duration(seconds) * time.Second
		return after, after <= maxHint
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	after = max(0, at.Sub(now))
	return after, after <= maxHint
}

// await looks until the site is as it should be, and stays so after a reload,
// or until patience ends; what is seen last counts.
func (p *page) await(ctx context.Context, env checks.Env, good func(view) bool) (view, error) {
	began := time.Now()
	until := began.Add(patience)
	if deadline, ok := ctx.Deadline(); ok {
		soon := deadline.Add(-slack)
		if soon.Before(until) {
			until = soon
		}
		inTime, cancel := context.WithDeadline(ctx, soon)
		defer cancel()
		ctx = inTime
	}
	need := 1
	if p.Snippet != "" {
		need = steady
	}
	for seen := 0; ; {
		v, err := p.outside(ctx, env)
		if seen++; err != nil || !good(v) {
			seen = 0
		}
		if seen == need || time.Now().After(until.Add(-pollEvery)) || errors.Is(err, context.Canceled) {
			return v, err
		}
		env.Report(time.Since(began).Seconds(), patience.Seconds(), "waiting for the page to change")
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// facts are a view's; closed says whether the file is there.
func (v view) facts(closed bool) []fact.Fact {
	all := []fact.Fact{
		fact.Flag("answered", v.answered), fact.Flag("retry_hint", v.hint), fact.Flag("exempt_ok", v.exemptOK),
		fact.Word("reason", strings.Join(v.reasons, "; ")), fact.Flag("closed", closed),
	}
	if v.answered {
		all = append(all, fact.Number("status", v.status))
	}
	if v.hint {
		all = append(all, fact.Dur("retry_after", v.after))
	}
	return all
}

// says is the view in a few words.
func (v view) says() string {
	switch {
	case !v.answered:
		return "the page does not answer"
	case v.exemptOK:
		return fmt.Sprintf("the page answers %d, exempt 200", v.status)
	}
	return fmt.Sprintf("the page answers %d, exempt fails", v.status)
}
