package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/tlscert/trust"
)

const (
	maxHeader    = 64 << 10
	maxBody      = 1 << 20 // after decompression
	maxRedirects = 5
)

// A request is what to ask and how.
type request struct {
	url       *url.URL
	method    string
	headers   map[string]string
	crossHost bool
	roots     *x509.CertPool // nil: the system's
	want      expectation
}

// A reply is what came of a request, as far as it came.
type reply struct {
	status    int
	header    http.Header
	body      []byte
	truncated bool
	hops      []string // addresses that redirected, in order
	phases    []checks.Phase
	total     time.Duration
	waited    time.Duration // the part of total that went into getting connections
	opened    int           // connections that were opened for it
	err       error         // why there is no whole answer
}

// phase is how long a named part took; ok is false if it did not happen.
func (r reply) phase(name string) (time.Duration, bool) {
	for _, p := range r.phases {
		if p.Name == name {
			return p.Took, true
		}
	}
	return 0, false
}

// newRequest reads the arguments that http.get and http.latency share.
func newRequest(args checks.Args) (request, error) {
	u, err := url.Parse(args.Text("url"))
	if err != nil {
		return request{}, checks.Failed(checks.Unconfigured, "%q is not a URL", args.Text("url"))
	}
	r := request{url: u, method: args.Text("method"), crossHost: args.Bool("cross_host"), headers: map[string]string{}}
	for name, value := range args.Map("headers") {
		r.headers[name] = fmt.Sprint(value)
	}
	if r.want, err = parseExpect(args.Map("expect")); err != nil {
		return request{}, checks.Failed(checks.Unconfigured, "%w", err)
	}
	if ca := args.Text("ca"); ca != "" {
		if r.roots, err = trust.Roots(ca); err != nil {
			return request{}, err
		}
	}
	return r, nil
}

// client makes connections for this request alone and follows no redirect by
// itself. Connections are kept for the next address only if reuse says so.
func (r request) client(env checks.Env, reuse bool) *http.Client {
	transport := &http.Transport{
		DialContext: env.Dialer.DialContext, DisableKeepAlives: !reuse, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: r.roots, Time: env.Now}, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// fetch asks and follows redirects on the same host. It returns within ctx.
func (r request) fetch(ctx context.Context, client *http.Client) reply {
	began := time.Now()
	var out reply
	for at, headers := r.url, r.headers; ; {
		clock := &stopwatch{}
		next, err := r.once(ctx, client, clock, at, headers, &out)
		out.phases, out.total = clock.phases(time.Now()), time.Since(began)
		waited, opened := clock.connection()
		out.waited, out.opened = out.waited+waited, out.opened+opened
		if err != nil && clock.resolving() {
			err = &net.DNSError{Err: "the resolver does not answer", Name: at.Hostname(), IsTimeout: true} // net/http says only that the time was up
		}
		if err != nil || next == nil {
			out.err = err
			return out
		}
		out.hops = append(out.hops, at.Redacted())
		if out.err = r.refuses(at, next, len(out.hops)); out.err != nil {
			return out
		}
		if !mayCarry(r.url, next) {
			headers = nil // for good: who sent us away does not get them by sending us back
		}
		at = next
	}
}

// once asks one address; next is where it redirects to, nil if it does not, or
// if the redirect is what was expected.
func (r request) once(ctx context.Context, client *http.Client, clock *stopwatch, at *url.URL, headers map[string]string, out *reply) (next *url.URL, err error) {
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, clock.trace()), r.method, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "opsdeck")
	req.Header.Set("Accept-Encoding", "gzip")
	for name, value := range headers {
		req.Header.Set(name, value)
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value // net/http sends no other
		}
	}
	clock.start = time.Now()
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out.status, out.header = res.StatusCode, res.Header
	location := res.Header.Get("Location")
	if location != "" && res.StatusCode >= 300 && res.StatusCode < 400 && !slices.Contains(r.want.statuses, res.StatusCode) {
		next, err = at.Parse(location)
		if err != nil {
			return nil, fmt.Errorf("redirected to %.80q, which is not an address", location)
		}
		drain(res)
		return next, nil
	}
	out.body, out.truncated, err = readBody(res)
	return nil, err
}

// drain reads the small body of a redirect: a connection can be used again only
// after its end. That it ends early is nothing to us, who go elsewhere.
func drain(res *http.Response) {
	const small = 64 << 10
	if res.ContentLength > 0 && res.ContentLength <= small {
		_, _ = io.Copy(io.Discard, res.Body) // as above: then another connection is opened
	}
}

// resolverFailed: the name could not be asked for, which says nothing about the
// target. A resolver that answers "no such name" has not failed.
func resolverFailed(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.IsNotFound
}

// reason says in few words why there was no answer.
func reason(err error) string {
	var (
		dns       *net.DNSError
		refused   *tls.CertificateVerificationError
		operation *net.OpError
		wrapped   *url.Error
		timeout   interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &dns):
		return "name not resolved: " + dns.Error()
	case errors.As(err, &refused):
		return "TLS: " + refused.Err.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &operation) && operation.Op == "dial":
		return "cannot connect: " + operation.Err.Error()
	case errors.As(err, &wrapped):
		return wrapped.Err.Error()
	}
	return err.Error()
}
