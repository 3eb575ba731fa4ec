package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// slowAnswer is how long the slow endpoint takes: over the usual half second
// of warning, under the two seconds of failure.
const slowAnswer = 800 * time.Millisecond

// The hour before the sandbox began, for its metrics: one answer in fifty
// failed, which is over one percent and under five.
const (
	earlierRequests = 6000
	earlierErrors   = 120
)

// platform is the learning platform's web tier: a front end, an API and a few
// endpoints that misbehave each in its own way.
type platform struct {
	mu       sync.Mutex
	requests int64
	errors   int64
	seconds  []float64 // durations of the latest requests, for the metrics API

	notices  int    // that were sent to it
	closedBy string // file whose being there closes the site

	databaseUp func() bool
	redisUp    func() bool
}

// serve starts the platform on a loopback port of the system's choosing and
// stops it when ctx ends.
func (p *platform) serve(ctx context.Context) (base string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("starting the sandbox's web server: %w", err)
	}
	srv := &http.Server{Handler: p.routes(), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { defer crash.Recover(); srv.Serve(l) }() //nolint:errcheck // ends with ErrServerClosed when ctx does
	context.AfterFunc(ctx, func() { defer crash.Recover(); srv.Close() })
	return "http://" + l.Addr().String(), nil
}

func (p *platform) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"status": "ok", "db": word(p.databaseUp()), "redis": word(p.redisUp()), "version": "1.8.3"})
	})
	mux.HandleFunc("GET /reports/health", func(w http.ResponseWriter, r *http.Request) {
		pause(r.Context(), slowAnswer)
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /search/health", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"status": "degraded", "reason": "index is 3 days old"})
	})
	mux.HandleFunc("GET /payments/health", func(w http.ResponseWriter, r *http.Request) {
		p.count(0, true)
		http.Error(w, "upstream refused", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("GET /api/v1/query", p.metrics)
	mux.HandleFunc("POST /notices", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20)) //nolint:errcheck // a notice is counted, not read
		p.mu.Lock()
		defer p.mu.Unlock()
		p.notices++
		w.WriteHeader(http.StatusAccepted)
	})
	return p.counting(p.closing(mux))
}

// closing answers 503 while the maintenance flag is there; the API's health and
// the notices are exempt.
func (p *platform) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exempt := r.URL.Path == "/api/health" || r.URL.Path == "/notices" || r.URL.Path == "/api/v1/query"
		if _, err := os.Lstat(p.closedBy); err == nil && !exempt {
			w.Header().Set("Retry-After", "1800")
			http.Error(w, "closed for maintenance", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func word(up bool) string {
	if up {
		return "ok"
	}
	return "down"
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client went away
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// counting keeps the figures that the platform's metrics report.
func (p *platform) counting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		next.ServeHTTP(w, r)
		p.count(time.Since(began).Seconds(), false)
	})
}

const keptDurations = 1000

func (p *platform) count(seconds float64, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if failed {
		p.errors++
		return
	}
	p.requests++
	p.seconds = append(p.seconds, seconds)
	if len(p.seconds) > keptDurations {
		p.seconds = slices.Delete(p.seconds, 0, len(p.seconds)-keptDurations)
	}
}

// The two expressions that the platform's metrics answer, by the query API of
// Prometheus: what a site's own Prometheus would compute from its histogram.
const (
	latencyQuery = `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1h])))`
	errorsQuery  = `100 * sum(rate(http_requests_total{code=~"5.."}[1h])) / sum(rate(http_requests_total[1h]))`
)

func (p *platform) metrics(w http.ResponseWriter, r *http.Request) {
	value, known := p.metric(r.URL.Query().Get("query"))
	result := []any{}
	if known {
		result = append(result, map[string]any{"metric": map[string]string{}, "value": []any{time.Now().Unix(), fmt.Sprint(value)}})
	}
	answer(w, map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
}

func (p *platform) metric(query string) (float64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seconds) == 0 {
		return 0, false
	}
	switch query {
	case latencyQuery:
		sorted := slices.Sorted(slices.Values(p.seconds))
		return sorted[len(sorted)*95/100], true
	case errorsQuery:
		return 100 * float64(p.errors) / float64(p.requests), true
	}
	return 0, false
}

// visitors ask the platform for pages until ctx ends, so that its metrics and
// its logs have something to say.
func visitors(ctx context.Context, base string) {
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConns: 2}}
	defer client.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		path := "/health"
		if i%40 == 0 {
			path = "/payments/health"
		}
		visit(ctx, client, base+path)
		pause(ctx, 100*time.Millisecond)
	}
}

func visit(ctx context.Context, client *http.Client, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	res, err := client.Do(req)
	if err != nil {
		return
	}
	res.Body.Close()
}
