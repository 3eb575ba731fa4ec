package certbot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/certbot"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/sandbox/acme"
)

// needs skips without a program, or fails where all are required.
func needs(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatalf("there is no %s", program)
		}
		t.Skipf("there is no %s", program)
	}
	return path
}

// A lab is a real certbot with a certificate of a real ACME server, which a
// real nginx serves.
type lab struct {
	t      *testing.T
	dir    string
	server *acme.Server
	target string
	env    checks.Env

	mu    sync.Mutex
	steps []string // that were reported
	argvs [][]string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	needs(t, "certbot")
	needs(t, "pebble")
	l := &lab{t: t, dir: t.TempDir()}
	if err := os.Chmod(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	l.server, err = acme.Start(t.Context(), l.dir, func(cmd *exec.Cmd) error { return l.start(cmd) })
	if err != nil {
		t.Fatal(err)
	}
	l.certbot("certonly", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", fmt.Sprint(l.server.HTTPPort),
		"--non-interactive", "--agree-tos", "--register-unsafely-without-email", "-d", "localhost", "--server", l.server.URL)
	run := command.NewExec(command.Grace(time.Second))
	l.env = checks.Env{
		Root: "/", Dialer: &net.Dialer{}, Token: "opsdeck/0a1b2c3d", Dir: t.TempDir(),
		Progress: func(p checks.Progress) { l.mu.Lock(); l.steps = append(l.steps, p.What); l.mu.Unlock() },
		Exec: func(ctx context.Context, call checks.Call) (checks.Output, error) {
			l.mu.Lock()
			l.argvs = append(l.argvs, call.Argv)
			l.mu.Unlock()
			return run(ctx, call)
		},
		Site: checks.SiteFacts{Certbot: checks.Certbot{
			Config: l.path("config"), Work: l.path("work"), Logs: l.path("logs"), CA: l.server.CA,
			Served: map[string][]string{"localhost": {}}, Origin: "opsdeck.yaml:1",
		}},
	}
	return l
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// start keeps a server until the test ends.
func (l *lab) start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	l.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return nil
}

// certbot is run as a person would.
func (l *lab) certbot(args ...string) {
	l.t.Helper()
	cmd := exec.Command("certbot", append(args, "--config-dir", l.path("config"), "--work-dir", l.path("work"), "--logs-dir", l.path("logs"))...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+l.server.CA)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("certbot %v: %v\n%s", args, err, out)
	}
}

// nginx serves the certificate, and reads it again when it is told to.
func (l *lab) nginx() (reload string) {
	l.t.Helper()
	binary := needs(l.t, "nginx")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.target = fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	listener.Close()
	live := l.path("config/live/localhost")
	config := fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log; worker_processes 1; events {}
http { access_log off; client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
server { listen %[2]s ssl; ssl_certificate %[3]s/fullchain.pem; ssl_certificate_key %[3]s/privkey.pem; } }
`, l.dir, strings.Replace(l.target, "localhost", "127.0.0.1", 1), live)
	l.write("nginx.conf", config)
	argv := []string{binary, "-p", l.dir, "-c", l.path("nginx.conf")}
	if err := l.start(exec.Command(argv[0], argv[1:]...)); err != nil {
		l.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", l.target)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			l.t.Fatal(err)
		}
	}
	l.env.Site.Certbot.Served["localhost"] = []string{l.target}
	return strings.Join(append(argv, "-s", "reload"), " ")
}

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// configures changes the renewal configuration of the certificate.
func (l *lab) configures(old, by string) {
	l.t.Helper()
	name := "config/renewal/localhost.conf"
	raw, err := os.ReadFile(l.path(name))
	if err != nil || !strings.Contains(string(raw), old) {
		l.t.Fatalf("%v: no %q in\n%s", err, old, raw)
	}
	l.write(name, strings.Replace(string(raw), old, by, 1))
}

// hook is a line of the renewal configuration.
func (l *lab) hook(key, command string) {
	l.t.Helper()
	l.configures("[renewalparams]\n", "[renewalparams]\n"+key+" = "+command+"\n")
}

func (l *lab) check(m *checks.Module, with map[string]any) checks.Check {
	l.t.Helper()
	c, problems := checks.NewCheck(m, "it", with, checks.Rules{})
	if len(problems) > 0 {
		l.t.Fatal(errors.Join(problems...))
	}
	return c
}

func (l *lab) own(before []fact.Fact, out *bytes.Buffer) checks.Own {
	own := checks.Own{Token: l.env.Token, Dir: l.env.Dir, Before: before, Progress: l.env.Progress}
	if out != nil {
		own.Out = out
	}
	return own
}

func (l *lab) preview(m *checks.Module, with map[string]any) checks.Result {
	l.t.Helper()
	return checks.NewRunner(l.env, nil).Preview(l.t.Context(), l.check(m, with), l.own(nil, nil))
}

// acts previews, does and probes, and holds the facts to their declaration.
func (l *lab) acts(m *checks.Module, with map[string]any) (before, res, probe checks.Result, out string) {
	l.t.Helper()
	before = l.preview(m, with)
	if before.Level != checks.OK {
		l.t.Fatalf("the preview is %v: %s", before.Level, before.Err)
	}
	var live bytes.Buffer
	runner := checks.NewRunner(l.env, nil)
	res = runner.Act(l.t.Context(), l.check(m, with), l.own(before.Facts, &live))
	probe = runner.Probe(l.t.Context(), l.check(m, with), l.own(before.Facts, nil), checks.Rule{})
	for _, f := range slices.Concat(before.Facts, res.Facts, probe.Facts) {
		if spec, ok := m.FactSpec(f.Name); !ok || spec.Type != f.Type || (spec.Label == "") != (f.Label == "") {
			l.t.Errorf("%s reports %s of %q, declared as %+v", m.Name, f.Name, f.Label, spec)
		}
	}
	return before, res, probe, live.String()
}

func wants(t *testing.T, what string, res checks.Result, level checks.Level, says string) {
	t.Helper()
	text := res.Note + "\n" + res.Err + "\n" + strings.Join(res.Detail, "\n")
	if res.Level != level || !strings.Contains(text, says) {
		t.Errorf("%s is %v, want %v with %q: %v\n%s\n%+v", what, res.Level, level, says, res.Why, text, res.Facts)
	}
}

func (l *lab) served() checks.Result {
	l.t.Helper()
	return checks.NewRunner(l.env, nil).Run(l.t.Context(), l.check(certbot.Served, nil))
}
