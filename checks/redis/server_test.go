package redis

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// started is a real redis-server on a Unix socket in a temporary directory.
type started struct {
	socket string
	admin  *redis.Client
	stop   func()
}

func start(t *testing.T, options ...string) started {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("redis-server is required and not installed")
		}
		t.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "rd") // short: a socket's path has some 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	socket := filepath.Join(dir, "s")
	args := append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--appendonly", "no", "--logfile", filepath.Join(dir, "log")}, options...)
	cmd := exec.Command(binary, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // it may have ended already
			_ = cmd.Wait()         // killed: the error says so
		}
	}
	t.Cleanup(stop)
	admin := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	s := started{socket, admin, stop}
	s.await(t)
	return s
}

func (s started) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		err := s.admin.Ping(ctx).Err()
		if err == nil || answered(err) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("redis-server does not come up: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s started) do(t *testing.T, args ...any) {
	t.Helper()
	if err := s.admin.Do(t.Context(), args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: %v", args, err)
	}
}

func (s started) connection() checks.Connection {
	return checks.Connection{Kind: kind, Name: "main", Address: "unix://" + s.socket}
}

// env is a site whose one connection is c.
func env(t *testing.T, c checks.Connection) checks.Env {
	t.Helper()
	c.Kind, c.Name = kind, "main"
	handle, err := Family().Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
	})
	return checks.Env{
		Site:   checks.SiteFacts{Connections: []checks.Connection{c}},
		Handle: func(string, string) (checks.Handle, error) { return handle, nil },
	}
}

func run(t *testing.T, c checks.Connection, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	return checktest.Run(t, env(t, c), m, raw)
}

func judged(t *testing.T, res checks.Result, level checks.Level, because string) {
	t.Helper()
	if res.Level != level {
		t.Errorf("%s is %v, want %v: %s %s %v", res.Module, res.Level, level, res.Note, res.Err, res.Why)
		return
	}
	for _, b := range res.Why {
		if b.Fact == because {
			return
		}
	}
	if because != "" {
		t.Errorf("%s is %v because of %v, want %s", res.Module, res.Level, res.Why, because)
	}
}

func unknown(t *testing.T, res checks.Result, class checks.Class) {
	t.Helper()
	if res.Level != checks.Unknown || res.Class != class || res.Err == "" {
		t.Errorf("%s is %v, class %q: %q; want unknown, class %q", res.Module, res.Level, res.Class, res.Err, class)
	}
}

func value(t *testing.T, res checks.Result, name, label string) fact.Value {
	t.Helper()
	f, ok := res.Fact(name, label)
	if !ok {
		t.Fatalf("%s has no %s: %s", res.Module, name, res.Err)
	}
	return f.Value
}

func TestModulesKeepTheirPromises(t *testing.T) { checktest.Family(t, Family()) }

func TestASiteWithoutRedisIsSkipped(t *testing.T) {
	for _, m := range modules {
		if res := checktest.Run(t, checks.Env{}, m, nil); res.Level != checks.Skipped {
			t.Errorf("%s is %v: %s", m.Name, res.Level, res.Err)
		}
	}
}

func TestAddressesAreCheckedBeforeAnythingIsDialled(t *testing.T) {
	tests := map[string]bool{
		"localhost:6379": true, "[::1]:6379": true, "unix:///run/redis.sock": true,
		"": false, "localhost": false, "unix://redis.sock": false, "/run/redis.sock": false, "redis://localhost": false,
	}
	for address, good := range tests {
		_, err := Open(checks.Connection{Name: "main", Address: address})
		if (err == nil) != good || err != nil && checks.ClassOf(err) != checks.Unconfigured {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// hanging accepts connections and never says a word.
func hanging(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String() // the backlog accepts; nobody reads
}

func TestAServerThatIsNotThere(t *testing.T) {
	closed := hanging(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, address string
		class         checks.Class
	}{
		{"refusing", refusing, checks.Refused},
		{"socket gone", "unix://" + filepath.Join(t.TempDir(), "s"), checks.Refused},
		{"hanging", closed, checks.Timeout},
	}
	for _, tt := range tests {
		for _, m := range modules {
			t.Run(tt.name+"/"+m.Name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				res := run(t, checks.Connection{Address: tt.address}, m, nil)
				if m == Ping {
					judged(t, res, checks.Crit, "ok")
				} else {
					unknown(t, res, tt.class)
				}
				if took := time.Since(began); took > m.Timeout {
					t.Errorf("it took %s, beyond its deadline of %s", took, m.Timeout)
				}
			})
		}
	}
}

func TestAServerThatComesBackIsSeenAtOnce(t *testing.T) {
	first := start(t)
	e := env(t, first.connection())
	check, _ := checks.NewCheck(Ping, "cache", nil, checks.Rules{})
	runner := checks.NewRunner(e, nil)
	judged(t, runner.Run(t.Context(), check), checks.OK, "")
	first.stop()
	for range 10 { // more often than the driver's pool has places
		judged(t, runner.Run(t.Context(), check), checks.Crit, "ok")
	}
	second := exec.Command("redis-server", "--port", "0", "--unixsocket", first.socket, "--save", "", "--appendonly", "no", "--logfile", first.socket+".log")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = second.Process.Kill() // ended by the test, whatever its state
		_ = second.Wait()         // killed: the error says so
	}()
	first.await(t)
	judged(t, runner.Run(t.Context(), check), checks.OK, "")
}

func TestAWrongPasswordIsNotAnOutage(t *testing.T) {
	s := start(t, "--requirepass", "correct-horse")
	for name, password := range map[string]string{"none": "", "wrong": "battery-staple"} {
		for _, m := range modules {
			c := s.connection()
			c.Password = checks.NewSecret(password)
			res := run(t, c, m, nil)
			unknown(t, res, checks.Auth)
			if password != "" && strings.Contains(res.Err, password) {
				t.Errorf("%s password: %s shows it: %s", name, m.Name, res.Err)
			}
		}
	}
	c := s.connection()
	c.Password = checks.NewSecret("correct-horse")
	judged(t, run(t, c, Ping, nil), checks.OK, "")
}

func TestAPasswordForAServerThatHasNoneIsReported(t *testing.T) {
	c := start(t).connection()
	c.Password = checks.NewSecret("needless")
	res := run(t, c, Ping, nil)
	if res.Level != checks.OK && res.Class != checks.Auth {
		t.Errorf("%v, class %q: %s", res.Level, res.Class, res.Err)
	}
}

func TestAMissingRightIsDenied(t *testing.T) {
	s := start(t)
	s.do(t, "SET", "session:1", "x")
	s.do(t, "ACL", "SETUSER", "default", "-info", "-scan")
	unknown(t, run(t, s.connection(), Memory, nil), checks.Denied)
	unknown(t, run(t, s.connection(), Keys, nil), checks.Denied)
	res := run(t, s.connection(), Ping, nil)
	judged(t, res, checks.OK, "") // PING is allowed, and it is what the module is about
	if _, ok := res.Fact("version", ""); ok || len(res.Detail) == 0 {
		t.Errorf("a version without INFO, or no word about it: %q", res.Detail)
	}
	s.do(t, "ACL", "SETUSER", "default", "+info")
	unknown(t, run(t, s.connection(), Keys, map[string]any{"pattern": "session:*"}), checks.Denied)
	s.do(t, "ACL", "SETUSER", "default", "-ping")
	unknown(t, run(t, s.connection(), Ping, nil), checks.Denied)
}

func TestACertificateOfNobodyIsNotAnOutage(t *testing.T) {
	page := httptest.NewTLSServer(nil) // any server whose certificate the host does not know
	defer page.Close()
	page.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, m := range modules {
		unknown(t, run(t, checks.Connection{Address: page.Listener.Addr().String(), TLS: true}, m, nil), checks.TLS)
	}
}

func TestASocketThatMayNotBeOpenedIsDenied(t *testing.T) {
	if class := classOf(&net.OpError{Op: "dial", Net: "unix", Err: os.ErrPermission}); class != checks.Denied {
		t.Errorf("class %q", class)
	}
}
