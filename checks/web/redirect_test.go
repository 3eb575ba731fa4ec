package web

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// authority is a file that makes the server's certificate trusted.
func authority(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// both serves http and https on one port, as some servers do.
type both struct {
	net.Listener
	config *tls.Config
}

type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

func (l both) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p := peeked{conn, bufio.NewReader(conn)}
	if first, err := p.r.Peek(1); err == nil && first[0] == 22 {
		return tls.Server(p, l.config), nil
	}
	return p, nil
}

func TestHeadersNeverLeaveTLS(t *testing.T) {
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var plain atomic.Int32
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "" && r.TLS == nil {
			t.Error("the token was sent in clear")
		}
		if r.TLS == nil {
			plain.Add(1)
			return
		}
		http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
	})}
	go srv.Serve(both{l, &tls.Config{Certificates: secure.TLS.Certificates}})
	defer srv.Close()
	res := run(t, Get, 3*time.Second, map[string]any{"url": "https://" + l.Addr().String(), "ca": authority(t, secure), "headers": map[string]any{"X-Token": "x"}})
	why, _ := res.Fact("reason", "")
	if redirects, _ := res.Fact("redirects", ""); res.Level != checks.Crit || redirects.Num != 1 || !strings.Contains(why.Text, "in clear") || plain.Load() != 0 {
		t.Errorf("%v after %d requests in clear: %s", res.Level, plain.Load(), res.Note)
	}
}

// named is the server by another name of the same host.
func named(u string) string { return strings.Replace(u, "127.0.0.1", "localhost", 1) }

func TestHeadersStayWithTheirHost(t *testing.T) {
	seen := make(chan string, 9)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.URL.Path + r.Header.Get("X-Token") }))
	defer other.Close()
	secure := httptest.NewTLSServer(other.Config.Handler)
	defer secure.Close()
	back := ""
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "" {
			t.Error("the host between saw the token")
		}
		http.Redirect(w, r, back, http.StatusFound)
	}))
	defer between.Close()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			seen <- r.URL.Path + r.Header.Get("X-Token")
			return
		}
		if r.Header.Get("X-Token") != "x" {
			t.Error("the header did not arrive")
		}
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	}))
	defer first.Close()
	back = first.URL + "/end"
	for _, tt := range []struct {
		name, to string
		cross    bool
		want     checks.Level
		saw      string
	}{
		{"the same address", "/end", false, checks.Warn, "/endx"},
		{"https on the same host", secure.URL + "/up", false, checks.Warn, "/upx"},
		{"another port of the same host", other.URL + "/port", false, checks.Warn, "/port"},
		{"another host", named(other.URL) + "/host", true, checks.Warn, "/host"},
		{"another host and back", named(between.URL), true, checks.Warn, "/end"},
		{"another host, not allowed", named(other.URL), false, checks.Crit, ""},
	} {
		raw := map[string]any{"url": first.URL + "/?to=" + url.QueryEscape(tt.to), "cross_host": tt.cross, "ca": authority(t, secure), "headers": map[string]any{"X-Token": "x"}}
		res := run(t, Get, 3*time.Second, raw)
		saw := ""
		select {
		case saw = <-seen:
		default:
		}
		if res.Level != tt.want || saw != tt.saw {
			t.Errorf("%s: %v: %s; %q was seen, want %q", tt.name, res.Level, res.Note, saw, tt.saw)
		}
	}
}

func TestWhereHeadersMayGo(t *testing.T) {
	for _, tt := range []struct {
		from, to  string
		same, may bool
	}{
		{"https://h/a", "https://h/b", true, true}, {"https://h", "https://H:443", true, true}, {"http://h:80", "http://h", true, true},
		{"http://h", "https://h", true, true}, {"http://h:8080", "https://h:8443", true, true},
		{"https://h", "http://h", true, false}, {"https://h:444", "http://h:444", true, false}, {"https://h", "https://h:8443", true, false},
		{"https://h", "https://h.example.com", false, false}, {"https://h", "https://www.h", false, false}, {"http://h", "https://other", false, false},
	} {
		from, _ := url.Parse(tt.from)
		to, _ := url.Parse(tt.to)
		if sameHost(from, to) != tt.same || mayCarry(from, to) != tt.may {
			t.Errorf("%s to %s: same host %v, may carry %v", from, to, sameHost(from, to), mayCarry(from, to))
		}
	}
}

func TestAnExpectedRedirectIsNotFollowed(t *testing.T) {
	srv := site(t)
	for _, tt := range []struct {
		path   string
		status any
		want   checks.Level
	}{
		{"/moved", 302, checks.OK}, {"/moved", "301,302", checks.OK}, {"/away", []string{"302"}, checks.OK}, {"/moved", 301, checks.Crit}, {"/moved", 200, checks.Warn},
	} {
		res := run(t, Get, 3*time.Second, map[string]any{"url": srv.URL + tt.path, "expect": map[string]any{"status": tt.status}})
		if res.Level != tt.want {
			t.Errorf("%s, expecting %v: %v, %s", tt.path, tt.status, res.Level, res.Note)
		}
	}
}

func TestTheHostHeaderIsSent(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	defer srv.Close()
	res := run(t, Get, 3*time.Second, map[string]any{"url": srv.URL, "headers": map[string]any{"host": "lms.example.com"}, "expect": map[string]any{"body": "lms.example.com"}})
	if res.Level != checks.OK {
		t.Errorf("%v: %s", res.Level, res.Note)
	}
}

func TestFactsComeInOneOrder(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	defer srv.Close()
	ca := authority(t, srv)
	for range 8 {
		var names []string
		for _, f := range run(t, Get, 3*time.Second, map[string]any{"url": srv.URL, "ca": ca}).Facts {
			names = append(names, f.Name)
		}
		if got, want := strings.Join(names, " "), "body_ok size ok reason total redirects status connect tls first_byte"; got != want {
			t.Fatalf("%s\nwant %s", got, want)
		}
	}
}
