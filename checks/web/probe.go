package web

import (
	"compress/gzip"
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
	"os"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
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
}

// A reply is what came of a request, as far as it came.
type reply struct {
	status    int
	header    http.Header
	body      []byte
	truncated bool
	hops      []string // addresses that redirected, in order
	final     string   // address of the last answer
	phases    []checks.Phase
	total     time.Duration
	err       error // why there is no whole answer
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
	if ca := args.Text("ca"); ca != "" {
		if r.roots, err = trusted(ca); err != nil {
			return request{}, err
		}
	}
	return r, nil
}

func trusted(ca string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("reading trusted certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, checks.Failed(checks.Parse, "%s holds no certificate in PEM", ca)
	}
	return pool, nil
}

// checkURL accepts http and https with a host.
func checkURL(value any) error {
	text, _ := value.(string)
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not a URL, expected http://host/path or https://host/path", text)
	}
	return nil
}

// fetch asks on a connection of its own and follows redirects on the same
// host. It returns within ctx.
func (r request) fetch(ctx context.Context, env checks.Env) reply {
	transport := &http.Transport{
		DialContext: env.Dialer.DialContext, DisableKeepAlives: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: r.roots, Time: env.Now}, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	began := time.Now()
	var out reply
	for at := r.url; ; {
		clock := &stopwatch{}
		next, err := r.once(ctx, client, clock, at, &out)
		out.final, out.phases, out.total = at.String(), clock.phases(time.Now()), time.Since(began)
		if err != nil || next == nil {
			out.err = err
			return out
		}
		out.hops = append(out.hops, at.Redacted())
		switch {
		case len(out.hops) > maxRedirects:
			out.err = fmt.Errorf("more than %d redirects, the last to %s", maxRedirects, next.Redacted())
			return out
		case next.Host != r.url.Host && !r.crossHost:
			out.err = fmt.Errorf("redirected to another host, %s (cross_host: true follows)", next.Host)
			return out
		case next.Scheme != "http" && next.Scheme != "https":
			out.err = fmt.Errorf("redirected to %s, which is not a web address", next.Scheme)
			return out
		}
		at = next
	}
}

// once asks one address; next is where it redirects to, nil if it does not.
func (r request) once(ctx context.Context, client *http.Client, clock *stopwatch, at *url.URL, out *reply) (next *url.URL, err error) {
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, clock.trace()), r.method, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "opsdeck")
	req.Header.Set("Accept-Encoding", "gzip")
	for name, value := range r.headers {
		if at.Host == r.url.Host { // what was meant for one host is not sent to another
			req.Header.Set(name, value)
		}
	}
	clock.start = time.Now()
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out.status, out.header = res.StatusCode, res.Header
	if location := res.Header.Get("Location"); location != "" && res.StatusCode >= 300 && res.StatusCode < 400 {
		next, err = at.Parse(location)
		if err != nil {
			return nil, fmt.Errorf("redirected to %q, which is not an address", location)
		}
		return next, nil
	}
	out.body, out.truncated, err = readBody(res)
	return nil, err
}

// readBody reads at most maxBody bytes, counted after decompression.
func readBody(res *http.Response) (body []byte, truncated bool, err error) {
	var r io.Reader = res.Body
	if strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(res.Body)
		if errors.Is(err, io.EOF) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("the body is not the gzip it claims to be: %w", err)
		}
		r = z
	}
	body, err = io.ReadAll(io.LimitReader(r, maxBody+1))
	if len(body) > maxBody {
		return body[:maxBody], true, nil
	}
	if err != nil {
		return body, false, fmt.Errorf("the body ends early: %w", err)
	}
	return body, false, nil
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
