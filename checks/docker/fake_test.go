package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/advanced-lms/opsdeck/checks"
)

// fake is an engine's API on a Unix socket, for answers that a real engine
// does not give on demand.
type fake struct {
	host string
	mux  *http.ServeMux

	mu    sync.Mutex
	conns map[net.Conn]http.ConnState
	asked []string // of statistics: the queries
}

func newFake(t *testing.T) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "dk")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{host: "unix://" + filepath.Join(dir, "s"), mux: http.NewServeMux(), conns: map[net.Conn]http.ConnState{}}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	f.mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("API-Version", "1.41") })
	server := &http.Server{Handler: f.mux, ConnState: func(c net.Conn, state http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.conns[c] = state
		if state == http.StateClosed {
			delete(f.conns, c)
		}
	}}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return f
}

func (f *fake) answer(path, body string) {
	f.mux.HandleFunc("/v1.41"+path, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, body) // a client that is gone is not the engine's trouble
	})
}

func (f *fake) fail(path string, status int, message string) {
	f.mux.HandleFunc("/v1.41"+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"message": %q}`, message)
	})
}

// container answers for one running container of service web.
func (f *fake) container(t *testing.T, id string) {
	t.Helper()
	now := time.Now().Add(-time.Hour).Format(time.RFC3339Nano)
	body, err := json.Marshal(container.InspectResponse{
		ID: id, Name: "/" + id, Created: now, State: &container.State{Status: container.StateRunning, StartedAt: now},
		HostConfig: &container.HostConfig{Resources: container.Resources{Memory: 64 << 20}},
		Config:     &container.Config{Labels: map[string]string{projectLabel: "p", serviceLabel: "web"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.answer("/containers/"+id+"/json", string(body))
}

// counters answers with statistics that go on each time they are read.
func (f *fake) counters(id string, after func(w http.ResponseWriter, r *http.Request)) {
	at, used := time.Now(), uint64(0)
	f.mux.HandleFunc("/v1.41/containers/"+id+"/stats", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.URL.RawQuery)
		at, used = at.Add(time.Second), used+1e8
		s := container.StatsResponse{Read: at, MemoryStats: container.MemoryStats{Usage: 32 << 20, Limit: 64 << 20}}
		s.CPUStats.CPUUsage.TotalUsage, s.CPUStats.OnlineCPUs = used, 2
		f.mu.Unlock()
		if err := json.NewEncoder(w).Encode(s); err != nil {
			return
		}
		after(w, r)
	})
}

func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

func TestAnEngineThatCannotBeAskedSaysNothingAboutContainers(t *testing.T) {
	dir, err := os.MkdirTemp("", "dk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	left := filepath.Join(dir, "left")
	l, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as an engine leaves it that was killed
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, m := range readOnly() {
		unknown(t, run(t, checks.Connection{Host: "unix://" + left}, m, nil), checks.Refused)
		unknown(t, run(t, checks.Connection{Host: "unix://" + filepath.Join(dir, "none")}, m, nil), checks.Missing)
	}
}

func TestASocketOfOthersIsDenied(t *testing.T) {
	f := newFake(t)
	path := strings.TrimPrefix(f.host, "unix://")
	if err := errors.Join(os.Chmod(filepath.Dir(path), 0o755), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, m := range readOnly() {
		unknown(t, run(t, checks.Connection{Host: f.host}, asNobody(m), nil), checks.Denied)
	}
}

// asNobody runs a module with the file permissions of an ordinary user: root
// gives up its own for the one thread that connects.
func asNobody(m *checks.Module) *checks.Module {
	if os.Getuid() != 0 {
		return m
	}
	unprivileged := *m
	unprivileged.Run = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		setfsuid(65534)
		defer setfsuid(0)
		return m.Run(ctx, env, args)
	}
	return &unprivileged
}

// setfsuid changes the user for file access of the calling thread. It has no
// error; the scene would fail.
func setfsuid(uid uintptr) { syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0) }

func TestAnEngineThatAnswersOddly(t *testing.T) {
	tests := []struct {
		name  string
		list  func(*fake)
		class checks.Class
	}{
		{"forbids it", func(f *fake) { f.fail("/containers/json", 403, "authorization denied by plugin") }, checks.Denied},
		{"wants a login", func(f *fake) { f.fail("/containers/json", 401, "who are you") }, checks.Auth},
		{"fails", func(f *fake) { f.fail("/containers/json", 500, "layer does not exist") }, checks.Other},
		{"nonsense", func(f *fake) { f.answer("/containers/json", "<html>") }, checks.Parse},
		{"another shape", func(f *fake) { f.answer("/containers/json", `{"containers": 3}`) }, checks.Parse},
		{"a container without a state", func(f *fake) {
			f.answer("/containers/json", `[{"Id": "a"}]`)
			f.answer("/containers/a/json", `{"Id": "a"}`)
		}, checks.Parse},
		{"too many containers", func(f *fake) {
			f.answer("/containers/json", "["+strings.Repeat(`{"Id":"a"},`, maxContainers)+`{"Id":"a"}]`)
		}, checks.Limit},
		{"without end", func(f *fake) {
			f.mux.HandleFunc("/v1.41/containers/json", func(w http.ResponseWriter, _ *http.Request) {
				block := "[" + strings.Repeat(" ", 1<<20)
				for range 2 * maxAnswer >> 20 {
					if _, err := fmt.Fprint(w, block); err != nil {
						return
					}
					block = block[1:]
				}
			})
		}, checks.Limit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			tt.list(f)
			for _, m := range readOnly() {
				unknown(t, run(t, checks.Connection{Host: f.host, Project: "p", Expect: []string{"web"}}, m, nil), tt.class)
			}
		})
	}
}

func TestAnEngineThatHangsCostsTheDeadlineAndNoMore(t *testing.T) {
	f := newFake(t)
	release := make(chan struct{})
	defer close(release)
	f.mux.HandleFunc("/v1.41/containers/json", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	for _, m := range readOnly() {
		check, _ := checks.NewCheck(m, m.Name, nil, checks.Rules{})
		check.Timeout = 300 * time.Millisecond
		runner := checks.NewRunner(env(t, checks.Connection{Host: f.host}), nil)
		unknown(t, runner.Run(t.Context(), check), checks.Timeout)
		if runner.Abandoned() > 0 {
			t.Errorf("%s does not stop", m.Name)
		}
	}
}

func TestAContainerRemovedMeanwhileIsLeftOut(t *testing.T) {
	f := newFake(t)
	f.answer("/containers/json", `[{"Id": "web"}, {"Id": "gone"}]`)
	f.container(t, "web")
	f.fail("/containers/gone/json", 404, "No such container: gone")
	f.counters("web", func(http.ResponseWriter, *http.Request) {})
	res := run(t, checks.Connection{Host: f.host, Project: "p"}, Services, nil)
	judged(t, res, checks.Warn, "without_healthcheck")
	if value(t, res, "expected", "").Num != 1 {
		t.Errorf("facts: %v", res.Facts)
	}
	judged(t, run(t, checks.Connection{Host: f.host, Project: "p"}, Stats, map[string]any{"sample": "1ms"}), checks.OK, "")
}

func TestSharesAreOfTheLimit(t *testing.T) {
	f := newFake(t)
	f.answer("/containers/json", `[{"Id": "web"}]`)
	f.container(t, "web")
	f.counters("web", func(http.ResponseWriter, *http.Request) {})
	res := run(t, checks.Connection{Host: f.host}, Stats, map[string]any{"sample": "1ms"})
	if cpu, mem := value(t, res, "cpu", "web").Num, value(t, res, "mem", "web").Num; cpu != 5 || mem != 50 {
		t.Errorf("cpu %v, mem %v; want 0.1 s of 2 processors in 1 s, and 32 of 64 MiB", cpu, mem)
	}
}

func TestOneContainerWithoutFiguresLeavesTheOthersAndTheVerdictOpen(t *testing.T) {
	f := newFake(t)
	f.answer("/containers/json", `[{"Id": "web"}, {"Id": "stuck"}]`)
	f.container(t, "web")
	f.container(t, "stuck")
	f.counters("web", func(http.ResponseWriter, *http.Request) {})
	f.answer("/containers/stuck/stats", `{"read": "0001-01-01T00:00:00Z"}`)
	res := run(t, checks.Connection{Host: f.host}, Stats, map[string]any{"sample": "1ms"})
	unknown(t, res, checks.NoData)
	if value(t, res, "cpu", "web").Num != 5 {
		t.Errorf("facts: %v", res.Facts)
	}
	if !strings.Contains(strings.Join(res.Detail, "\n"), "stuck: the engine gave no figures") {
		t.Errorf("it is not said which: %q", res.Detail)
	}
}

func TestNoStreamOfStatisticsIsLeftOpen(t *testing.T) {
	f := newFake(t)
	f.answer("/containers/json", `[{"Id": "web"}]`)
	f.container(t, "web")
	over := make(chan struct{}, 100)
	f.counters("web", func(w http.ResponseWriter, r *http.Request) { // an engine that streams whatever it is asked
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		over <- struct{}{}
	})
	judged(t, run(t, checks.Connection{Host: f.host}, Stats, map[string]any{"sample": "1ms"}), checks.OK, "")
	f.mu.Lock()
	asked := len(f.asked)
	for _, query := range f.asked {
		if !strings.Contains(query, "stream=false") || !strings.Contains(query, "one-shot=true") {
			t.Errorf("asked with %q", query)
		}
	}
	f.mu.Unlock()
	for range asked {
		<-over // hangs the test if a stream is still read
	}
	for range 1000 {
		if f.open() == 0 {
			return
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d connections are left open", f.open())
}
