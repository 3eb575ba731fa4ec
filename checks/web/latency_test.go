package web

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func TestLatencyCountsRightAnswersOnly(t *testing.T) {
	srv := site(t)
	res := run(t, Latency, 20*time.Second, map[string]any{"url": srv.URL + "/health", "samples": 5})
	if n, _ := res.Fact("samples", ""); res.Level != checks.OK || n.Num != 5 {
		t.Errorf("%v: %s %s", res.Level, res.Note, res.Err)
	}
	if res := run(t, Latency, 20*time.Second, map[string]any{"url": srv.URL + "/slow", "samples": 3}); res.Level != checks.Warn {
		t.Errorf("a slow address: %v %s", res.Level, res.Note)
	}
	if res := run(t, Latency, 20*time.Second, map[string]any{"url": srv.URL + "/fail", "samples": 3}); res.Level != checks.Unknown || res.Class != checks.NoData || !strings.Contains(res.Err, "4 of 4") {
		t.Errorf("a fast error: %v %s", res.Level, res.Err)
	}
}

func TestAServerThatTakesSecondsIsCrit(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(2100 * time.Millisecond)
		io.WriteString(w, "ok")
	}))
	t.Cleanup(srv.Close)
	res := run(t, Latency, 20*time.Second, map[string]any{"url": srv.URL, "samples": 3})
	if res.Level != checks.Crit || len(res.Why) == 0 || res.Why[0].Fact != "p95" {
		t.Errorf("%v: %s %s %+v", res.Level, res.Note, res.Err, res.Why)
	}
}

// counting is a TLS server that counts its connections, with its certificate.
func counting(t *testing.T, serve http.HandlerFunc) (srv *httptest.Server, opened *atomic.Int32, ca string) {
	t.Helper()
	opened = new(atomic.Int32)
	srv = httptest.NewUnstartedServer(serve)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, opened, authority(t, srv)
}

func TestLatencyIsMeasuredOnOneConnection(t *testing.T) {
	for path, page := range map[string]http.HandlerFunc{
		"/":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") },
		"/moved": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
		if path != "/" {
			mux.HandleFunc(path, page)
		}
		srv, opened, ca := counting(t, mux.ServeHTTP)
		res := run(t, Latency, 20*time.Second, map[string]any{"url": srv.URL + path, "ca": ca, "samples": 7})
		n, _ := res.Fact("samples", "")
		if cold, ok := res.Fact("cold", ""); !ok || cold.Num <= 0 || n.Num != 7 || opened.Load() != 1 || len(res.Detail) > 0 {
			t.Errorf("%s: %v, cold %s, %v samples on %d connections: %s %q", path, res.Level, cold.Value, n.Num, opened.Load(), res.Err, res.Detail)
		}
		if _, ok := res.Fact("first", ""); ok {
			t.Error("there is a fact first")
		}
	}
}

func TestAServerThatKeepsNoConnectionIsSaidSo(t *testing.T) {
	srv, opened, ca := counting(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	res := run(t, Latency, 20*time.Second, map[string]any{"url": srv.URL, "ca": ca, "samples": 3})
	if opened.Load() != 4 || !strings.Contains(strings.Join(res.Detail, ""), "3 more were opened") {
		t.Errorf("%v on %d connections: %q", res.Level, opened.Load(), res.Detail)
	}
}
