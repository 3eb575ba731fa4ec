package docker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
)

// maxReplicas bounds the containers of one service whose logs are read side by
// side: a connection and a buffer each.
const maxReplicas = 50

// Logs gives what the containers of a compose service have said since then
// (ever, if since is zero), on standard output and error, those that ended
// included. Each line begins with the engine's RFC 3339 stamp and a blank; the
// lines of several containers are merged, oldest first. A line over 1 MiB is
// cut.
//
// It ends after maxBytes, in the middle of a line if need be, so that whoever
// got fewer has got all. It ends with ctx, too. The caller closes it.
func (s *Server) Logs(ctx context.Context, service string, since time.Time, maxBytes int64) (io.ReadCloser, error) {
	ids, err := s.replicas(ctx, service)
	if err != nil {
		return nil, err
	}
	m := &mergedLogs{ctx: ctx, server: s, left: maxBytes}
	for _, id := range ids {
		if err := m.open(id, since); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

// replicas are the ids of a service's containers.
func (s *Server) replicas(ctx context.Context, service string) ([]string, error) {
	listed, err := s.list(ctx, s.project)
	if err != nil {
		return nil, err
	}
	var ids []string
	others := map[string]bool{}
	for _, c := range listed {
		switch name := serviceOf(c.Labels); name {
		case "":
		case service:
			ids = append(ids, c.ID)
		default:
			others[name] = true
		}
	}
	switch {
	case len(ids) > maxReplicas:
		return nil, checks.Failed(checks.Limit, "docker %s: service %q has %d containers, more than the %d whose logs are read", s.name, service, len(ids), maxReplicas)
	case len(ids) > 0:
		return ids, nil
	case len(others) == 0:
		return nil, checks.Failed(checks.Missing, "docker %s: no container of service %q, nor of any other", s.name, service)
	}
	there := clean.Line(strings.Join(slices.Sorted(maps.Keys(others)), ", "), 200)
	return nil, checks.Failed(checks.Missing, "docker %s: no container of service %q; the services there are %s", s.name, service, there)
}

// mergedLogs reads the logs of several containers as one.
type mergedLogs struct {
	ctx     context.Context
	server  *Server
	logs    []*containerLog // each with a line that is not given yet, or is being given
	current *containerLog   // the one whose line is being given
	rest    []byte          // of that line
	left    int64           // bytes that may still be given
	err     error           // why it ended
}

// open adds the log of a container, unless that was removed meanwhile.
func (m *mergedLogs) open(id string, since time.Time) error {
	c, err := m.server.inspect(m.ctx, id)
	if err != nil || c.id == "" {
		return err
	}
	options := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true}
	if !since.IsZero() {
		options.Since = since.UTC().Format(time.RFC3339Nano)
	}
	body, err := m.server.streams.ContainerLogs(m.ctx, id, options)
	if gone(err) {
		return nil
	}
	if err != nil {
		return m.failed(c.name, err)
	}
	l := &containerLog{name: c.name, terminal: c.terminal, body: body, in: bufio.NewReaderSize(body, 64<<10)}
	m.logs = append(m.logs, l)
	return m.step(l)
}

// failed prefers the end of the context to the broken read it causes.
func (m *mergedLogs) failed(name string, err error) error {
	if ctxErr := m.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return m.server.failed("log of container "+name, err)
}

// step goes to the next line of a log, which leaves the list at its end.
func (m *mergedLogs) step(l *containerLog) error {
	err := l.next()
	if err == nil {
		return nil
	}
	if err != io.EOF {
		return m.failed(l.name, err)
	}
	m.logs = slices.DeleteFunc(m.logs, func(other *containerLog) bool { return other == l })
	if err := l.body.Close(); err != nil {
		return m.failed(l.name, err)
	}
	return nil
}

// Read implements io.Reader.
func (m *mergedLogs) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && m.err == nil {
		if len(m.rest) == 0 {
			m.err = m.advance()
			continue
		}
		given := copy(p[n:], m.rest)
		m.rest = m.rest[given:]
		n += given
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, m.err
}

// advance begins the oldest line that was not given yet.
func (m *mergedLogs) advance() error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if m.current != nil {
		if err := m.step(m.current); err != nil {
			return err
		}
	}
	if len(m.logs) == 0 || m.left <= 0 {
		return io.EOF
	}
	m.current = slices.MinFunc(m.logs, func(a, b *containerLog) int { return a.at.Compare(b.at) })
	m.rest = m.current.line[:min(int64(len(m.current.line)), m.left)]
	m.left -= int64(len(m.rest))
	return nil
}

// Close implements io.Closer. It hangs up on logs that were not read to their end.
func (m *mergedLogs) Close() error {
	var errs []error
	for _, l := range m.logs {
		errs = append(errs, l.body.Close())
	}
	m.logs = nil
	if m.err == nil {
		m.err = io.ErrClosedPipe
	}
	return errors.Join(errs...)
}
