package web

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestConformance(t *testing.T) { checktest.Family(t, Family()) }

func env() checks.Env {
	return checks.Env{Root: "/", Dialer: &net.Dialer{}, Resolver: net.DefaultResolver}
}

// run runs a module with a deadline short enough for what hangs.
func run(t *testing.T, m *checks.Module, timeout time.Duration, raw map[string]any) checks.Result {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	check.Timeout = timeout
	return checktest.RunCheck(t, checks.NewRunner(env(), nil), check)
}

// site is a web server with endpoints that behave and misbehave.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path string, serve http.HandlerFunc) { mux.HandleFunc(path, serve) }
	page("/health", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "all is ok") })
	page("/api", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"status":"ok","db":{"state":"ok"},"redis":"down","workers":[{"n":3}]}`)
	})
	page("/liar", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"status":"degraded"}`) })
	page("/fail", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) })
	page("/slow", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(700 * time.Millisecond)
		io.WriteString(w, "ok")
	})
	page("/hang", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	page("/reset", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	})
	page("/short", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "ok")
	})
	page("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/health", http.StatusFound) })
	page("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	page("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://other.invalid/", http.StatusFound)
	})
	page("/file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	page("/big", func(w http.ResponseWriter, r *http.Request) {
		for range 64 {
			w.Write(make([]byte, 64<<10))
		}
	})
	page("/bomb", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 256 {
			z.Write(make([]byte, 1<<20))
		}
		z.Close()
	})
	page("/notgzip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "plain text, whatever it claims")
	})
	page("/header", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Header.Get("Authorization"))
		io.WriteString(w, "ok")
	})
	page("/headers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Flood", strings.Repeat("x", 200<<10))
		io.WriteString(w, "ok")
	})
	page("/trickle", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write([]byte("."))
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestEveryAnswerHasItsVerdict(t *testing.T) {
	srv := site(t)
	tests := []struct {
		name, path string
		expect     map[string]any
		want       checks.Level
		says       string
	}{
		{"right", "/health", nil, checks.OK, "200 in"},
		{"right, with a part of the body", "/health", map[string]any{"body": "is ok"}, checks.OK, "200 in"},
		{"right, by pattern", "/health", map[string]any{"body": "/^all .* ok$/"}, checks.OK, "200 in"},
		{"another status that is expected", "/fail", map[string]any{"status": []any{503, 200}}, checks.OK, "503 in"},
		{"JSON as expected", "/api", map[string]any{"json": map[string]any{"$.status": "ok", "$.db.state": "ok", "$.workers[0].n": 3}}, checks.OK, "200 in"},
		{"slow", "/slow", nil, checks.Warn, "200 in"},
		{"redirected", "/moved", nil, checks.Warn, "1 redirects"},
		{"wrong status", "/fail", nil, checks.Crit, "status 503, expected 200"},
		{"wrong body", "/health", map[string]any{"body": "perfect"}, checks.Crit, `the body has no "perfect"`},
		{"a 200 that lies", "/liar", map[string]any{"json": map[string]any{"$.status": "ok"}}, checks.Crit, "$.status is degraded, expected ok"},
		{"a dependency is down", "/api", map[string]any{"json": map[string]any{"$.status": "ok", "$.redis": "ok"}}, checks.Crit, "$.redis is down, expected ok"},
		{"no JSON at all", "/health", map[string]any{"json": map[string]any{"$.status": "ok"}}, checks.Crit, "the body is not JSON"},
		{"a path that is not there", "/api", map[string]any{"json": map[string]any{"$.queue": "ok"}}, checks.Crit, "$.queue is nothing, expected ok"},
		{"hangs", "/hang", nil, checks.Crit, "no answer in time"},
		{"resets", "/reset", nil, checks.Crit, "connection reset"},
		{"shorter than it says", "/short", nil, checks.Crit, "the body ends early"},
		{"redirects for ever", "/loop", nil, checks.Crit, "more than 5 redirects"},
		{"redirects to another host", "/away", nil, checks.Crit, "redirected to another host"},
		{"redirects to a file", "/file", nil, checks.Crit, "redirected to"},
		{"not the gzip it claims", "/notgzip", nil, checks.Crit, "not the gzip"},
		{"a flood of headers", "/headers", nil, checks.Crit, "exceeded"},
		{"a body without an end", "/trickle", nil, checks.Crit, "no answer in time"},
		{"a header that is not there", "/health", map[string]any{"header": map[string]any{"X-Release": "1.8"}}, checks.Crit, "header X-Release"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw := map[string]any{"url": srv.URL + tt.path}
			if tt.expect != nil {
				raw["expect"] = tt.expect
			}
			res := run(t, Get, 1900*time.Millisecond, raw)
			if res.Level != tt.want || !strings.Contains(res.Note, tt.says) {
				t.Errorf("%v: %q %s; want %v, ...%q", res.Level, res.Note, res.Err, tt.want, tt.says)
			}
		})
	}
}

// TestABombIsCutOff: 256 MiB that are small on the wire. Whether taking the
// first of them is slow is the machine's matter.
func TestABombIsCutOff(t *testing.T) {
	srv := site(t)
	res := run(t, Get, 1900*time.Millisecond, map[string]any{"url": srv.URL + "/bomb"})
	size, ok := res.Fact("size", "")
	if res.Level > checks.Warn || !ok || size.Num != maxBody || !strings.Contains(strings.Join(res.Detail, ""), "cut off") {
		t.Errorf("%v, %v bytes were kept: %s %q", res.Level, size.Num, res.Note, res.Detail)
	}
}

func TestEachDependencyOfTheBodyIsAFact(t *testing.T) {
	srv := site(t)
	res := run(t, Get, 2*time.Second, map[string]any{"url": srv.URL + "/api", "expect": map[string]any{"json": map[string]any{"$.status": "ok", "$.redis": "ok"}}})
	status, _ := res.Fact("dependency", "$.status")
	redis, _ := res.Fact("dependency", "$.redis")
	if !status.Bool() || redis.Bool() {
		t.Errorf("status %v, redis %v", status.Value, redis.Value)
	}
}

func TestAServerThatIsAwayIsCrit(t *testing.T) {
	srv := httptest.NewServer(nil)
	away := srv.URL
	srv.Close()
	if res := run(t, Get, 2*time.Second, map[string]any{"url": away}); res.Level != checks.Crit || !strings.Contains(res.Note, "connection refused") {
		t.Errorf("%v: %s", res.Level, res.Note)
	}
}

func TestWhatCannotBeAskedIsUnknown(t *testing.T) {
	srv := site(t)
	res := run(t, Get, 2*time.Second, map[string]any{"url": srv.URL + "/health", "ca": "/nonexistent.pem"})
	if res.Level != checks.Unknown || res.Class != checks.Missing {
		t.Errorf("%v, %q: %s", res.Level, res.Class, res.Err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check, _ := checks.NewCheck(Get, "get", map[string]any{"url": srv.URL + "/health"}, checks.Rules{})
	if res := checks.NewRunner(env(), nil).Run(ctx, check); res.Level != checks.Unknown {
		t.Errorf("a probe that was given up is %v", res.Level)
	}
}

func TestTLSIsVerified(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	defer srv.Close()
	if res := run(t, Get, 2*time.Second, map[string]any{"url": srv.URL}); res.Level != checks.Crit || !strings.Contains(res.Note, "unknown authority") {
		t.Errorf("%v: %s", res.Level, res.Note)
	}
	for _, phase := range []string{"connect"} {
		res := run(t, Get, 2*time.Second, map[string]any{"url": srv.URL})
		if _, ok := res.Fact(phase, ""); !ok {
			t.Errorf("no %s in %v", phase, res.Facts)
		}
	}
}

func TestNoProxyIsTakenFromTheEnvironment(t *testing.T) {
	srv := site(t)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	if res := run(t, Get, 2*time.Second, map[string]any{"url": srv.URL + "/health"}); res.Level != checks.OK {
		t.Errorf("%v: %s", res.Level, res.Note)
	}
}

// blackHole accepts nobody: its queue is full, as if packets were dropped.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 4 {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { conn.Close() })
	}
	return address
}

func TestPortsAcceptOrSayWhyNot(t *testing.T) {
	t.Parallel()
	srv := site(t)
	open := strings.TrimPrefix(srv.URL, "http://")
	if res := run(t, Connect, 5*time.Second, map[string]any{"targets": []string{open}}); res.Level != checks.OK {
		t.Errorf("an open port: %v %s", res.Level, res.Note)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	res := run(t, Connect, 5*time.Second, map[string]any{"targets": []string{open, closed}})
	if res.Level != checks.Crit || res.Why[0].Label != closed || !strings.HasPrefix(res.Note, "1 of 2 fail, "+closed) || !strings.Contains(res.Note, "connection refused") {
		t.Errorf("a closed port: %v %s %+v", res.Level, res.Note, res.Why)
	}
	if res := run(t, Connect, time.Second, map[string]any{"targets": []string{blackHole(t)}}); res.Level != checks.Crit || !strings.Contains(res.Note, "no answer in time") {
		t.Errorf("a black hole: %v %s %s", res.Level, res.Note, res.Err)
	}
}

// resolver answers questions for one name, in the wire format by hand.
func resolver(t *testing.T, answer bool) string { return resolverAfter(t, answer, 0) }

// resolverAfter is one that takes its time for each.
func resolverAfter(t *testing.T, answer bool, wait time.Duration) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			time.Sleep(wait)
			if q := buf[:n]; answer {
				conn.WriteTo(reply4(q), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// reply4 answers an A question for lms with 192.0.2.7 and one for www with a
// CNAME that leads there, any other with "no such name".
func reply4(q []byte) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	question := q[12 : end+5]
	isA := question[len(question)-3] == 1
	out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, question...)
	switch isWWW := strings.Contains(string(question), "www"); {
	case !isA || !isWWW && !strings.Contains(string(question), "lms"):
		out[3], out[7] = 0x83, 0
		return out
	case isWWW:
		out[7] = 2
		out = append(out, 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 10, 3, 'l', 'm', 's', 4, 't', 'e', 's', 't', 0)
		return append(out, 3, 'l', 'm', 's', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7)
	}
	return append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7)
}

func TestNamesResolveToWhatIsExpected(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		raw    map[string]any
		answer bool
		want   checks.Level
		says   string
	}{
		{"as expected", map[string]any{"name": "lms.test.", "expect": []string{"192.0.2.7"}}, true, checks.OK, "192.0.2.7"},
		{"to something else", map[string]any{"name": "lms.test.", "expect": []string{"192.0.2.8"}}, true, checks.Crit, "192.0.2.8 is not among"},
		{"not at all", map[string]any{"name": "gone.test."}, true, checks.Crit, "no such record"},
		{"an alias", map[string]any{"name": "www.test", "type": "CNAME", "expect": []string{"lms.test."}}, true, checks.OK, "lms.test."},
		{"no alias", map[string]any{"name": "LMS.test", "type": "CNAME"}, true, checks.Crit, "no such record"},
		{"no alias, nor an address", map[string]any{"name": "gone.test", "type": "CNAME"}, true, checks.Crit, "no such record"},
		{"nobody knows", map[string]any{"name": "lms.test."}, false, checks.Unknown, ""},
	}
	for _, tt := range tests {
		tt.raw["server"] = resolver(t, tt.answer)
		res := run(t, Resolve, 2*time.Second, tt.raw)
		if res.Level != tt.want || !strings.Contains(res.Note, tt.says) {
			t.Errorf("%s: %v %s %s", tt.name, res.Level, res.Note, res.Err)
		}
	}
}

// A resolver that takes half a second for every name makes everything slow.
func TestAResolverThatTakesItsTimeWarns(t *testing.T) {
	t.Parallel()
	res := run(t, Resolve, 5*time.Second, map[string]any{"name": "lms.test.", "server": resolverAfter(t, true, 600*time.Millisecond)})
	if res.Level != checks.Warn || len(res.Why) == 0 || res.Why[0].Fact != "took" {
		t.Errorf("%v %s %s %+v", res.Level, res.Note, res.Err, res.Why)
	}
}

// A connection that is opened late: the kernel's first packet got lost, or the
// other side's queue is full. Neither can be had from a real one on demand.
func TestAConnectionThatIsOpenedLateWarns(t *testing.T) {
	t.Parallel()
	srv := site(t)
	late := env()
	dialer := *late.Dialer
	dialer.ControlContext = func(context.Context, string, string, syscall.RawConn) error {
		time.Sleep(600 * time.Millisecond)
		return nil
	}
	late.Dialer = &dialer
	check, problems := checks.NewCheck(Connect, Connect.Name, map[string]any{"targets": []string{strings.TrimPrefix(srv.URL, "http://")}}, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	check.Timeout = 5 * time.Second
	res := checktest.RunCheck(t, checks.NewRunner(late, nil), check)
	if res.Level != checks.Warn || len(res.Why) == 0 || res.Why[0].Fact != "connect" {
		t.Errorf("%v %s %s %+v", res.Level, res.Note, res.Err, res.Why)
	}
}

func TestANamedResolverIsNeverReplacedByTheHosts(t *testing.T) {
	check, problems := checks.NewCheck(Resolve, "dns", map[string]any{"name": "localhost", "server": "192.0.2.53:53"}, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	res := checks.NewRunner(checks.Env{Root: "/", Resolver: net.DefaultResolver}, nil).Run(t.Context(), check)
	if res.Level != checks.Unknown || res.Class != checks.Unconfigured {
		t.Errorf("%v, %q: %s", res.Level, res.Class, res.Note)
	}
}

func TestBadAddressesAreRefusedAtLoad(t *testing.T) {
	for text, good := range map[string]bool{
		"http://x": true, "HTTPS://x:8443/p?q": true, "http://[::1]:80/": true, "http://192.0.2.1": true,
		"http://:80": false, "http://": false, "http:///x": false, "http://x:0/": false, "http://x:99999/": false, "http://a b": false, "http://x:yy/": false,
	} {
		if err := checkURL(text); (err == nil) != good {
			t.Errorf("URL %q: %v", text, err)
		}
	}
	for text, good := range map[string]bool{
		"h:25": true, "[::1]:65535": true, "192.0.2.1:1": true,
		":80": false, "h": false, "h:": false, "h:0": false, "h:65536": false, "h:xx yy": false, "h:http": false, "a b:1": false, "u@h:1": false, "h:+1": false,
	} {
		if err := checkAddresses([]string{"ok:1", text}); (err == nil) != good {
			t.Errorf("target %q: %v", text, err)
		}
	}
}

func TestBadArgumentsAreRefusedAtLoad(t *testing.T) {
	for _, raw := range []map[string]any{
		{"url": "lms.example.com"}, {"url": "ftp://x/"}, {"url": "http://x", "method": "POST"},
		{"url": "http://x", "expect": map[string]any{"statuss": 200}}, {"url": "http://x", "expect": map[string]any{"status": "fine"}},
		{"url": "http://x", "expect": map[string]any{"body": "/(/"}}, {"url": "http://x", "expect": map[string]any{"json": map[string]any{"status": "ok"}}},
		{"url": "http://x", "expect": map[string]any{"status": []any{}}}, {"url": "http://x", "expect": map[string]any{"status": nil}}, {"url": "http://x", "expect": map[string]any{"status": "200,"}},
		{"url": "http://x", "expect": map[string]any{"body": ""}}, {"url": "http://x", "expect": map[string]any{"body": nil}},
		{"url": "http://x", "expect": map[string]any{"json": map[string]any{}}}, {"url": "http://x", "expect": map[string]any{"header": map[string]any{"X-Release": nil}}},
	} {
		if _, problems := checks.Bind(Get, raw); len(problems) == 0 {
			t.Errorf("%v was accepted", raw)
		}
	}
}

// TestARealNginx: the same verdicts from a server that is not Go's.
func TestARealNginx(t *testing.T) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal(err)
		}
		t.Skip("no nginx on this machine")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen %[2]s; location /health { return 200 "ok"; } location /fail { return 503; } location /moved { return 301 /health; }
location /bad { proxy_pass http://127.0.0.1:1; } } }`, dir, address)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-p", dir, "-c", path, "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			break
		}
	}
	for path, want := range map[string]checks.Level{"/health": checks.OK, "/fail": checks.Crit, "/moved": checks.Warn, "/bad": checks.Crit} {
		if res := run(t, Get, 4*time.Second, map[string]any{"url": "http://" + address + path}); res.Level != want {
			t.Errorf("%s: %v %s, want %v", path, res.Level, res.Note, want)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"$.a.b", "$.a[0].b", "$", "$[", "$..a", "$.a[-1]"} {
		f.Add(seed)
	}
	document := map[string]any{"a": []any{map[string]any{"b": 1}}}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePath(text); err == nil {
			p.in(document)
			if !strings.HasPrefix(text, "$") {
				t.Fatalf("%q was read as a path", text)
			}
		}
	})
}
