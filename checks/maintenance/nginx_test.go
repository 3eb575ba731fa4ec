package maintenance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A scene is a real nginx in front of a directory, and the site file that
// knows its page.
type scene struct {
	dir  string // closed to others
	base string // http://127.0.0.1:port
	env  checks.Env
	file string // the flag or the snippet
}

const nginxConf = `
%s
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {}
http {
  access_log off;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {
    listen 127.0.0.1:%d;
    root html;
    %s
  }
}
`

// The two ways a site's nginx is told, as a site would have them.
const (
	byFlag = `
    location = /health { return 200 "ok\n"; }
    location / {
      add_header Retry-After 900 always;
      if (-f maintenance.flag) { return 503; }
    }`
	bySnippet = `
    include conf.d/maint*.conf;
    location = /health { return 200 "ok\n"; }`
)

func nginx(t *testing.T, server string) *scene {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip("needs nginx: ", err)
	}
	s := &scene{dir: t.TempDir()}
	s.write(t, "html/index.html", "welcome")
	s.mkdir(t, "conf.d")
	port := freePort(t)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the test's directory is closed to nobody
	}
	server = strings.ReplaceAll(server, "maintenance.flag", filepath.Join(s.dir, "maintenance.flag"))
	s.write(t, "nginx.conf", fmt.Sprintf(nginxConf, user, port, server))
	argv := []string{binary, "-p", s.dir, "-e", filepath.Join(s.dir, "error.log"), "-c", filepath.Join(s.dir, "nginx.conf")}
	cmd := exec.Command(argv[0], append(argv[1:], "-g", "daemon off;")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	s.base = fmt.Sprintf("http://127.0.0.1:%d", port)
	answers(t, s)
	s.env = checks.Env{
		Root: "/", Dialer: &net.Dialer{}, Exec: execute, Token: "opsdeck/test0001", Out: t.Output(),
		Site: checks.SiteFacts{Commands: map[string]checks.Command{
			"reload": {Name: "reload", Argv: append(argv, "-s", "reload"), Timeout: 10 * time.Second},
		}},
	}
	s.file = filepath.Join(s.dir, "maintenance.flag")
	page := checks.MaintenancePage{Flag: s.file}
	if strings.Contains(server, "include") {
		s.file = filepath.Join(s.dir, "conf.d", "maintenance.conf")
		page = checks.MaintenancePage{Snippet: s.file, Reload: "reload"}
	}
	s.page(page)
	return s
}

// page puts the page into the site file, with this nginx's URLs.
func (s *scene) page(p checks.MaintenancePage) {
	p.URL, p.Exempt = s.base+"/", s.base+"/health"
	s.env.Site.Maintenance = map[string]checks.MaintenancePage{"web": p}
}

func (s *scene) mkdir(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) write(t *testing.T, name, content string) {
	t.Helper()
	s.mkdir(t, filepath.Dir(name))
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func answers(t *testing.T, s *scene) {
	t.Helper()
	for range 200 {
		if c, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://")); err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "error.log"))
	t.Fatalf("nginx does not start: %s", log)
}

// execute runs a command as the program does, as far as these scenes need it.
func execute(ctx context.Context, call checks.Call) (checks.Output, error) {
	cmd := exec.CommandContext(ctx, call.Argv[0], call.Argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if call.Live != nil {
		cmd.Stderr = io.MultiWriter(&stderr, call.Live)
	}
	err := cmd.Run()
	var code *exec.ExitError
	if err != nil && (!errors.As(err, &code) || ctx.Err() != nil) {
		return checks.Output{}, errors.Join(ctx.Err(), err)
	}
	return checks.Output{Stderr: stderr.Bytes(), Code: cmd.ProcessState.ExitCode()}, nil
}

// check binds a module; its deadline is short, because some pages never change.
func check(t *testing.T, m *checks.Module) checks.Check {
	t.Helper()
	c, problems := checks.NewCheck(m, m.Name, nil, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c.Timeout = 4 * time.Second
	return c
}

func (s *scene) preview(t *testing.T, m *checks.Module) checks.Result {
	return checks.NewRunner(s.env, nil).Preview(t.Context(), check(t, m), s.env)
}

func (s *scene) act(t *testing.T, m *checks.Module) checks.Result {
	return checks.NewRunner(s.env, nil).Act(t.Context(), check(t, m), s.env)
}

func (s *scene) probe(t *testing.T, m *checks.Module) checks.Result {
	return checks.NewRunner(s.env, nil).Probe(t.Context(), check(t, m), s.env, checks.Rule{})
}

// assert holds some facts as texts: "status=503 closed=true".
func assert(t *testing.T, res checks.Result, want string) {
	t.Helper()
	for one := range strings.FieldsSeq(want) {
		name, value, _ := strings.Cut(one, "=")
		f, ok := res.Fact(name, "")
		if got := fmt.Sprint(f.JSON()); !ok && value != "absent" || ok && got != value {
			t.Errorf("%s is %s (there: %v), want %s\n%+v", name, got, ok, value, res)
		}
	}
}

func level(t *testing.T, what string, res checks.Result, want checks.Level, says string) {
	t.Helper()
	text := strings.Join(append(res.Detail, res.Err, res.Note), "\n")
	if res.Level != want || !strings.Contains(text, says) {
		t.Errorf("%s is %v, want %v and %q\n%s\n%+v", what, res.Level, want, says, text, res.Facts)
	}
}
