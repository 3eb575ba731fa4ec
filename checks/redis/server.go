package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/advanced-lms/opsdeck/checks"
)

// patience bounds each step with a server that does not answer: connecting,
// one command.
const patience = 2 * time.Second

// A Server is an opened connection of the site file. It dials on first use and
// is safe for concurrent use.
type Server struct {
	name    string
	options redis.Options

	mu     sync.Mutex
	client *redis.Client // nil until used, and again after the network failed
	closed bool
}

// Open checks the address, host:port or unix:///path, and dials nothing.
func Open(c checks.Connection) (*Server, error) {
	quiet()
	options := redis.Options{
		Network: "tcp", Addr: c.Address, Password: c.Password.Reveal(),
		// One attempt, and its error: retries would hide what is being measured.
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, ContextTimeoutEnabled: true,
		// The second protocol and no introductions: works with every server
		// and with users that may only PING and INFO.
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		PoolSize:                 8, MaxIdleConns: 1,
	}
	path, isSocket := strings.CutPrefix(c.Address, "unix://")
	host, port, err := net.SplitHostPort(c.Address)
	if _, number := strconv.ParseUint(port, 10, 16); err == nil && number != nil {
		err = number
	}
	switch {
	case isSocket && !strings.HasPrefix(path, "/"):
		return nil, checks.Failed(checks.Unconfigured, "address %q of redis connection %s: the socket's path is not absolute", c.Address, c.Name)
	case isSocket:
		options.Network, options.Addr = "unix", path
	case err != nil:
		return nil, checks.Failed(checks.Unconfigured, "address %q of redis connection %s is not host:port or unix:///path", c.Address, c.Name)
	}
	if c.TLS {
		options.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	return &Server{name: c.Name, options: options}, nil
}

// quiet stops the driver from writing its own lines to standard error, over
// the screen. Its logger is one for the whole process.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Close ends the server's connections. The Server cannot be used again.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.drop()
}

// drop closes the client, if there is one. The caller holds mu.
func (s *Server) drop() error {
	client := s.client
	s.client = nil
	if client == nil {
		return nil
	}
	return client.Close()
}

// use runs do with a client. When the network fails the client is given up:
// it would otherwise go on dialling in the background and answer the next
// check with the error of this one.
func (s *Server) use(ctx context.Context, do func(context.Context, *redis.Client) error) error {
	client, err := s.dialled()
	if err != nil {
		return err
	}
	err = do(ctx, client)
	if err == nil {
		return nil
	}
	if !answered(err) {
		s.giveUp(client)
	}
	return s.explain(ctx, err)
}

func (s *Server) dialled() (*redis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, checks.Failed(checks.Unconfigured, "redis connection %s is closed", s.name)
	}
	if s.client == nil {
		options := s.options
		s.client = redis.NewClient(&options)
	}
	return s.client, nil
}

func (s *Server) giveUp(failed *redis.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == failed {
		_ = s.drop() // what failed is reported already; closing it again says nothing new
	}
}

// database runs do with a client of its own for a database other than 0: the
// shared connections must not be left with another one selected.
func (s *Server) database(ctx context.Context, n int, do func(context.Context, *redis.Client) error) error {
	if n == 0 {
		return s.use(ctx, do)
	}
	options := s.options
	options.DB, options.PoolSize = n, 1
	client := redis.NewClient(&options)
	err := do(ctx, client)
	if err != nil {
		err = s.explain(ctx, err)
	}
	return errors.Join(err, client.Close())
}

// info returns sections of INFO as one map.
func (s *Server) info(ctx context.Context, sections ...string) (map[string]string, error) {
	values := map[string]string{}
	err := s.use(ctx, func(ctx context.Context, client *redis.Client) error {
		for _, section := range sections { // servers before 7 take one section a call
			text, err := client.Info(ctx, section).Result()
			if err != nil {
				return fmt.Errorf("asking for INFO %s: %w", section, err)
			}
			parseInfo(text, values)
		}
		return nil
	})
	return values, err
}
