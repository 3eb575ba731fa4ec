package nginx

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/command"
)

const realConf = `%s
daemon off; worker_processes 1; pid nginx.pid; error_log error.log;
events { worker_connections 64; }
http {
  log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time';
  access_log access.log timed;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  upstream backend { least_conn; server %s; server %s; server 127.0.0.1:1; }
  proxy_set_header Host $host;
  server {
    listen 127.0.0.1:%d;
    location = /status { access_log off; stub_status; }
    location /api { proxy_pass http://backend; proxy_read_timeout 5s; }
    location / { return 200 "ok\n"; }
  }
}
`

func TestRealNginx(t *testing.T) {
	binary := "/usr/sbin/nginx"
	if _, err := os.Stat(binary); err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip("needs nginx: ", err)
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	defer backend.Close()
	address := strings.TrimPrefix(backend.URL, "http://")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := newSite(t)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	s.write(t, "nginx.conf", []string{fmt.Sprintf(realConf, user, address, address, port)})
	cmd := exec.Command(binary, "-p", s.dir, "-e", s.path("error.log"), "-c", s.path("nginx.conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	for i := 0; ; i++ {
		if res, err := http.Get(base + "/status"); err == nil {
			res.Body.Close()
			break
		} else if i > 200 {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, target := range []string{"/", "/api/x", "/?f=%252e%252e%252fetc"} {
		res, err := http.Get(base + target)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	for range 200 { // nginx writes the line after the answer
		if raw, err := os.ReadFile(s.path("access.log")); err == nil && strings.Count(string(raw), "\n") >= 3 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.env.Now, s.env.HTTP, s.env.Dialer, s.env.Exec = func() time.Time { return time.Now().Add(time.Second) }, http.DefaultClient, &net.Dialer{}, command.NewExec()
	s.env.Site.Nginx = checks.Nginx{Format: combined + " $request_time", Config: s.path("nginx.conf"), Prefix: s.dir, Binary: binary, Status: base + "/status"}
	want(t, checktest.Run(t, s.env, Latency, nil), checks.OK, map[string]float64{"samples": 3, "absent": 0})
	want(t, checktest.Run(t, s.env, Patterns, nil), checks.Warn, map[string]float64{"matches": 1, "answered": 1})
	want(t, checktest.Run(t, s.env, Status, nil), checks.OK, map[string]float64{"capacity": 64, "dropped": 0})
	r := checktest.Run(t, s.env, Config, map[string]any{"location": "/api"})
	want(t, r, checks.Warn, map[string]float64{"valid": 1, "upstreams": 1, "proxied": 1})
	for _, f := range r.Facts {
		if number, ok := map[string]float64{"servers": 3, "healthy": 2, "dead": 1, "headers_missing": 3}[f.Name]; ok && f.Num != number {
			t.Errorf("%s of %s is %v, expected %v", f.Name, f.Label, f.Num, number)
		}
	}
	s.write(t, "nginx.conf", []string{"events {} http { server { lisen 80; } }"})
	want(t, checktest.Run(t, s.env, Config, nil), checks.Crit, map[string]float64{"valid": 0})
}
