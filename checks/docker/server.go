package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
)

const (
	// defaultHost is where an engine listens unless told otherwise.
	defaultHost = "unix:///var/run/docker.sock"
	// patience bounds one call. An engine asks its runtime for a container's
	// state, and one stuck container can hold that up for ever.
	patience = 4 * time.Second
	// maxAnswer bounds one answer of the engine, in bytes.
	maxAnswer = 32 << 20
	// maxContainers bounds the containers that one run looks at.
	maxContainers = 500
)

// A Server is an opened connection of the site file to an engine. It dials on
// first use and is safe for concurrent use.
type Server struct {
	name    string
	address *url.URL
	project string
	expect  []string
	host    string // as the docker command takes it
	file    string // compose file
	api     *client.Client
	streams *client.Client // for logs: bounded by who reads them, not by maxAnswer
}

// Open checks the host, unix:///path or tcp://host:port, and dials nothing.
func Open(c checks.Connection) (*Server, error) {
	host := c.Host
	if host == "" {
		host = defaultHost
	}
	address, err := client.ParseHostURL(host)
	if err != nil || address.Scheme != "unix" && address.Scheme != "tcp" || address.Host == "" {
		return nil, checks.Failed(checks.Unconfigured, "host %q of docker connection %s is not unix:///path or tcp://host:port", host, c.Name)
	}
	if c.TLS {
		return nil, checks.Failed(checks.Unconfigured, "docker connection %s asks for TLS, which needs client certificates that the site file cannot name", c.Name)
	}
	s := &Server{name: c.Name, address: address, project: c.Project, expect: c.Expect, host: host, file: c.File}
	var errStreams error
	s.api, err = newClient(host, s.dialBounded)
	s.streams, errStreams = newClient(host, s.dial)
	if err := errors.Join(err, errStreams); err != nil {
		return nil, checks.Failed(checks.Unconfigured, "docker connection %s: %w", c.Name, err)
	}
	return s, nil
}

func newClient(host string, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*client.Client, error) {
	// A connection for each call: they are local, and none is left idle.
	transport := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: patience}
	return client.New(
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(host), client.WithDialContext(dial), client.WithScheme("http"),
	)
}

// Close has nothing to end: every call closes its own connection.
func (s *Server) Close() error { return errors.Join(s.api.Close(), s.streams.Close()) }

func (s *Server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	return d.DialContext(ctx, s.address.Scheme, s.address.Host)
}

func (s *Server) dialBounded(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &boundedConn{Conn: conn, left: maxAnswer}, nil
}

// boundedConn ends an answer that does not end by itself.
type boundedConn struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, checks.Failed(checks.Limit, "an answer of more than %d bytes", maxAnswer)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// reach connects once and hangs up. The driver turns "refused", "no such file"
// and "permission denied" into words; here they are still told apart.
func (s *Server) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.dial(ctx, "", "")
	if err != nil {
		return fmt.Errorf("docker %s: %w", s.name, err)
	}
	return conn.Close()
}

// call makes one call with a deadline of its own and names the class of its error.
func call[T any](ctx context.Context, s *Server, what string, do func(context.Context) (T, error)) (T, error) {
	inner, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result, err := do(inner)
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil:
		return result, ctx.Err()
	case inner.Err() != nil:
		err = checks.Failed(checks.Timeout, "docker %s: %s: no answer within %s", s.name, what, patience)
	default:
		err = s.failed(what, err)
	}
	return result, err
}

// failed says what was asked of which engine and names the error's class.
func (s *Server) failed(what string, err error) error {
	return checks.Failed(classOf(err), "docker %s: %s: %w", s.name, what, err)
}

func classOf(err error) checks.Class {
	if class := checks.ClassOf(err); class != "" {
		return class
	}
	var timeout interface{ Timeout() bool }
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.As(err, &kind):
		return checks.Parse
	case cerrdefs.IsPermissionDenied(err):
		return checks.Denied
	case cerrdefs.IsUnauthorized(err):
		return checks.Auth
	case cerrdefs.IsNotFound(err):
		return checks.Missing
	case errors.As(err, &timeout) && timeout.Timeout():
		return checks.Timeout
	case client.IsErrConnectionFailed(err):
		return checks.Refused
	}
	return ""
}

// gone reports that a container was removed between two calls.
func gone(err error) bool { return cerrdefs.IsNotFound(err) }
