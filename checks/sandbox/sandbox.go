package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/sandbox/acme"
	"github.com/advanced-lms/opsdeck/checks/sandbox/pgserver"
)

// Options say how to start a sandbox. The zero value is fine.
type Options struct {
	// Progress is told what is being started, one short line each; it may be
	// called from several goroutines, one at a time. Nil: nobody listens.
	Progress func(line string)

	// Janitor is the argv of a command that runs Clean, with the directory
	// appended. With it the directory is removed even when this process is
	// killed. Empty: only Close removes it.
	Janitor []string

	// Fetch allows PostgreSQL to be downloaded when the machine has none.
	Fetch bool

	// Bloat is how many bytes a table has, indexes left out, that is half dead
	// rows, so that rebuilding it is worth it and takes a while; 0: there is none.
	Bloat int64

	// Group is a Unix group whose members may read the site file, which then
	// names a socket for a supervisor that they may come to; 0: nobody but the
	// owner. The supervisor is the caller's to start.
	Group int

	Now func() time.Time
}

// A Sandbox is a running throwaway site. Close it.
type Sandbox struct {
	Dir  string
	Site string // path of its opsdeck.yaml

	// Socket is where the site's supervisor is expected; "": in its state.
	Socket string

	// Missing says, one line each, which components this machine could not
	// give and how to get them; the rest of the sandbox works without.
	Missing []string

	cancel   context.CancelFunc
	postgres *pgserver.Server
	programs string // the folder of its programs
	procs    *processes
	dismiss  func()
	once     sync.Once
}

// Start makes a sandbox and returns when its site file is written and all
// that this machine has is answering. It ends with Close or with ctx.
func Start(ctx context.Context, opts Options) (*Sandbox, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	dismiss, err := hireJanitor(opts.Janitor, dir)
	if err != nil {
		return nil, errors.Join(err, remove(dir))
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Sandbox{Dir: dir, cancel: cancel, procs: newProcesses(), dismiss: dismiss}
	if err := s.start(ctx, opts); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// newDir makes the sandbox's directory. Its path is short: the sockets in it
// must fit into 107 bytes. The database's server may run as another user, so
// the directory can be entered, but not read, by others.
func newDir() (string, error) {
	parent, err := filepath.Abs(os.TempDir()) // its processes do not all stand where we do
	if err != nil {
		return "", fmt.Errorf("finding the folder for temporary files: %w", err)
	}
	dir, err := os.MkdirTemp(parent, "opsdeck-")
	if err != nil {
		return "", fmt.Errorf("making the sandbox's directory: %w", err)
	}
	for _, sub := range []string{"log", "backups", "redis", "pg", "reports"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return "", fmt.Errorf("making the sandbox's directory: %w", err)
		}
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", fmt.Errorf("making the sandbox's directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, marker), nil, 0o600); err != nil {
		return "", fmt.Errorf("marking the sandbox's directory: %w", err)
	}
	return dir, nil
}

func (s *Sandbox) start(ctx context.Context, opts Options) error {
	var mu sync.Mutex
	say := func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		if opts.Progress != nil {
			opts.Progress(fmt.Sprintf(format, a...))
		}
	}
	now := opts.Now()
	addr := addresses{dir: s.Dir}
	if opts.Group > 0 {
		if err := s.letIn(opts.Group); err != nil {
			return err
		}
		addr.socket, addr.group = s.Socket, opts.Group
	}
	pages := &platform{closedBy: filepath.Join(s.Dir, "maintenance.flag"), requests: earlierRequests, errors: earlierErrors, databaseUp: func() bool { return addr.postgres != "" }, redisUp: func() bool { return addr.redis != "" }}

	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { defer crash.Recover(); return s.startPostgres(ctx, opts, &addr, &mu, say) })
	group.Go(func() error { defer crash.Recover(); return s.startRedis(gctx, &addr, &mu, say) })
	group.Go(func() (err error) {
		defer crash.Recover()
		say("writing a day of logs and five nights of backups")
		if err := writeLogs(filepath.Join(s.Dir, "log"), now); err != nil {
			return err
		}
		if err := writeRotation(s.Dir, now); err != nil {
			return err
		}
		return writeBackups(filepath.Join(s.Dir, "backups"), now)
	})
	group.Go(func() (err error) { defer crash.Recover(); return s.startWeb(ctx, pages, now, &addr, &mu, say) })
	if err := group.Wait(); err != nil {
		return err
	}
	if s.postgres != nil {
		if err := nightlyBackups(ctx, s.programs, s.postgres, filepath.Join(s.Dir, "backups", "db")); err != nil {
			return err
		}
	}
	go func() { defer crash.Recover(); visitors(ctx, addr.web) }()
	go func() { defer crash.Recover(); keepLogging(ctx, filepath.Join(s.Dir, "log")) }()
	var err error
	s.Site, err = writeSite(addr)
	say("ready")
	return err
}

// letIn makes the folder of the socket, which a group may enter.
func (s *Sandbox) letIn(group int) error {
	dir := filepath.Join(s.Dir, "run")
	if err := cmp.Or(os.Mkdir(dir, 0o700), os.Chown(dir, -1, group), os.Chmod(dir, 0o750)); err != nil { // whatever the umask is
		return fmt.Errorf("making the folder of the supervisor's socket: %w", err)
	}
	s.Socket = filepath.Join(dir, "s.sock")
	return nil
}

func (s *Sandbox) startWeb(ctx context.Context, pages *platform, now time.Time, addr *addresses, mu *sync.Mutex, say func(string, ...any)) error {
	ca, err := newAuthority(now)
	if err != nil {
		return err
	}
	cert, err := ca.issue(now, dueIn)
	if err != nil {
		return err
	}
	if addr.ca, err = ca.save(s.Dir); err != nil {
		return err
	}
	kept, err := keep(filepath.Join(s.Dir, "certbot"), cert)
	if err != nil {
		return err
	}
	if addr.tls, err = serveTLS(ctx, kept.get); err != nil {
		return err
	}
	if addr.web, err = pages.serve(ctx); err != nil {
		return err
	}
	say("registering certbot at an ACME server")
	err = s.startCertbot(ctx, kept, addr)
	if errors.Is(err, errNoCertbot) || errors.Is(err, acme.ErrMissing) {
		s.miss(mu, err)
		return nil
	}
	return err
}

func (s *Sandbox) startRedis(ctx context.Context, addr *addresses, mu *sync.Mutex, say func(string, ...any)) error {
	say("starting Redis")
	socket, err := startRedis(ctx, s.procs, filepath.Join(s.Dir, "redis"))
	if errors.Is(err, errNoRedis) {
		s.miss(mu, err)
		return nil
	}
	if err != nil {
		return err
	}
	addr.redis = socket
	return nil
}

func (s *Sandbox) miss(mu *sync.Mutex, err error) {
	mu.Lock()
	defer mu.Unlock()
	s.Missing = append(s.Missing, err.Error())
}

// Close ends everything the sandbox started and removes its directory.
func (s *Sandbox) Close() error {
	var err error
	s.once.Do(func() {
		s.cancel()
		if s.postgres != nil {
			err = s.postgres.Stop()
		}
		s.procs.stop()
		err = errors.Join(err, remove(s.Dir))
		s.dismiss()
	})
	return err
}
