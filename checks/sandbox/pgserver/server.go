package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// Options say how to start a server. Only Dir is needed.
type Options struct {
	// Dir holds the cluster and the log. It is made if it is not there, and
	// is left behind by Stop; a cluster that is in it already is started as it
	// is. Root hands it to the server's own user, who must be able to enter
	// the directories above it. It must be absolute.
	Dir string

	// Bin is the directory of the binaries; "" means Find.
	Bin string

	// Port of 127.0.0.1 to listen on; 0 means on the Unix socket only.
	Port int

	// Settings are added to the server's command line and win over ours.
	Settings map[string]string

	// Preload lists libraries to load at start; those that this PostgreSQL
	// does not have are left out. nil means pg_stat_statements.
	Preload []string
}

// A Server is a running PostgreSQL. Stop it.
type Server struct {
	dir, socketDir string
	port           int
	cmd            *exec.Cmd
	exited         chan struct{} // closed when the process has ended
	stop           sync.Once
}

// socketPort names the socket (.s.PGSQL.5432) and the port if one is open.
const socketPort = 5432

// maxSocketDir keeps the socket's path within the 107 bytes of sun_path.
const maxSocketDir = 90

// startTimeout bounds initdb and the start, each well under a second.
const startTimeout = 30 * time.Second

// Start makes the cluster if there is none and returns when the server
// answers. The server ends with Stop, or with this process.
func Start(ctx context.Context, opts Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if opts.Bin == "" {
		bin, err := Find()
		if err != nil {
			return nil, err
		}
		opts.Bin = bin
	}
	as, err := identity()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the cluster's directory: %w", err)
	}
	if err := errors.Join(reachable(opts.Dir, as), give(opts.Dir, as)); err != nil {
		return nil, err
	}
	if err := initdb(ctx, opts, as); err != nil {
		return nil, err
	}
	return launch(ctx, opts, as)
}

// initdb makes a cluster unless there is one.
func initdb(ctx context.Context, opts Options, as *syscall.Credential) error {
	data := filepath.Join(opts.Dir, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	var out []byte
	var err error
	for _, locale := range []string{"C.UTF-8", "C"} { // not every libc knows the first
		cmd := exec.CommandContext(ctx, filepath.Join(opts.Bin, "initdb"), "-D", data, "-U", "postgres",
			"-A", "trust", "-E", "UTF8", "--locale="+locale, "--no-sync")
		prepare(cmd, opts.Dir, as)
		cmd.Env = append(cmd.Env, "TZ=UTC")
		if out, err = cmd.CombinedOutput(); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("initdb of %s: %w: %s", opts.Bin, err, lastLines(out))
	}
	return nil
}

func launch(ctx context.Context, opts Options, as *syscall.Credential) (*Server, error) {
	s := &Server{dir: opts.Dir, socketDir: opts.Dir, port: opts.Port, exited: make(chan struct{})}
	if s.port == 0 {
		s.port = socketPort
	}
	if len(s.socketDir) > maxSocketDir {
		dir, err := os.MkdirTemp("/tmp", "opsdeck-pg-")
		if err != nil {
			return nil, fmt.Errorf("making a directory for the socket: %w", err)
		}
		s.socketDir = dir
		if err := give(dir, as); err != nil {
			return nil, errors.Join(err, s.removeSocketDir())
		}
	}
	if err := s.spawn(opts, as); err != nil {
		return nil, errors.Join(err, s.removeSocketDir())
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) spawn(opts Options, as *syscall.Credential) error {
	args := []string{"-D", filepath.Join(opts.Dir, "data")}
	settings := s.settings(opts)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	s.cmd = exec.Command(filepath.Join(opts.Bin, "postgres"), args...)
	prepare(s.cmd, opts.Dir, as)
	// SIGQUIT, the server's immediate shutdown: it takes its children with it
	// and frees its shared memory, which SIGKILL would not.
	s.cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	s.cmd.SysProcAttr.Setpgid = true // a Ctrl-C in the terminal is not for it
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := startOnThread(s.cmd); err != nil {
		return fmt.Errorf("starting %s: %w", s.cmd.Path, err)
	}
	go func() {
		defer crash.Recover()
		s.cmd.Wait() //nolint:errcheck // how it ended is in its log
		close(s.exited)
	}()
	return nil
}

// settings are those of a server that holds nothing worth keeping.
func (s *Server) settings(opts Options) map[string]string {
	settings := map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
		"shared_buffers": "16MB", "max_connections": "30", "autovacuum_naptime": "5s",
		"unix_socket_directories": s.socketDir, "port": fmt.Sprint(s.port),
		"listen_addresses": "", "log_min_messages": "warning", "lc_messages": "C",
		"shared_preload_libraries": strings.Join(available(opts), ","),
	}
	if opts.Port != 0 {
		settings["listen_addresses"] = "127.0.0.1"
	}
	maps.Copy(settings, opts.Settings)
	return settings
}

// available are the libraries to preload that this PostgreSQL has.
func available(opts Options) []string {
	wanted := opts.Preload
	if wanted == nil {
		wanted = []string{"pg_stat_statements"}
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(name string) bool {
		for _, dir := range []string{"../lib", "../lib/postgresql", "../lib64"} {
			if _, err := os.Stat(filepath.Join(opts.Bin, dir, name+".so")); err == nil {
				return false
			}
		}
		return true
	})
}

// prepare sets what initdb and the server have in common.
func prepare(cmd *exec.Cmd, dir string, as *syscall.Credential) {
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
}

// ready waits until the server's own status file says so.
func (s *Server) ready(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("waiting for PostgreSQL: %w", err)
		}
		lines := strings.Split(string(status), "\n") // line 1 is the pid, line 8 the state
		if len(lines) >= 8 && lines[0] == fmt.Sprint(s.cmd.Process.Pid) && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("PostgreSQL did not start: %s", s.lastLog())
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL: %w: %s", ctx.Err(), s.lastLog())
		}
	}
}

// Stop ends the server and waits for it; sessions are cut off. The cluster's
// directory stays. A second Stop does nothing.
func (s *Server) Stop() error {
	var err error
	s.stop.Do(func() {
		// Fast, then immediate, then without asking.
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
			if s.end(sig, 3*time.Second) {
				break
			}
		}
		err = s.removeSocketDir()
	})
	return err
}

func (s *Server) end(sig syscall.Signal, patience time.Duration) bool {
	if err := s.cmd.Process.Signal(sig); errors.Is(err, os.ErrProcessDone) {
		<-s.exited
		return true
	}
	select {
	case <-s.exited:
		return true
	case <-time.After(patience):
		return false
	}
}

func (s *Server) removeSocketDir() error {
	if s.socketDir == s.dir {
		return nil
	}
	return os.RemoveAll(s.socketDir)
}

// DSN connects to a database as the superuser, through the socket.
func (s *Server) DSN(database string) string { return s.DSNAs("postgres", database) }

// DSNAs is DSN for another role.
func (s *Server) DSNAs(role, database string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable",
		quote(s.socketDir), s.port, quote(role), quote(database))
}

// quote makes a value of a keyword/value connection string.
func quote(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}

// SocketDir is the directory of the server's Unix socket.
func (s *Server) SocketDir() string { return s.socketDir }

// Port is the port of the socket's name, and of 127.0.0.1 if one was asked for.
func (s *Server) Port() int { return s.port }

// LogFile is where the server logs.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "postgres.log") }

// PID is the process id of the postmaster.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Done is closed when the server has ended, for whatever reason.
func (s *Server) Done() <-chan struct{} { return s.exited }

func (s *Server) lastLog() string {
	log, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	return lastLines(log)
}

// lastLines are the last few lines, enough for the reason.
func lastLines(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("; ")))
}
