package supervisor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

var diskModule = &checks.Module{Name: "sys.disk", Doc: "d", Run: func(context.Context, checks.Env, checks.Args) (checks.Findings, error) {
	return checks.Findings{}, nil
}}

// watching is a book that waits for an hour.
const watching = "watching"

func book(id string) runbooks.Runbook {
	items := []runbooks.Item{
		{ID: "disk", Title: "Disk", Kind: runbooks.Check, Use: "sys.disk", Module: diskModule},
		{ID: "look", Title: "Look", Kind: runbooks.Manual},
	}
	if id == watching {
		items = append(items, runbooks.Item{ID: "watch", Title: "Watch", Kind: runbooks.Hold, Hold: runbooks.Waiting{For: time.Hour}})
	}
	return runbooks.Runbook{ID: id, Path: id + ".md", Source: []byte("# " + id), Hash: runbooks.Hash{1}, Sections: []runbooks.Section{{
		ID: "all", Title: "All", Items: items,
	}}}
}

// slow is a runner whose checks end when they are told to.
type slow struct{ end chan checks.Level }

func (s slow) Run(ctx context.Context, c checks.Check) checks.Result {
	select {
	case level := <-s.end:
		return checks.Result{ID: c.ID, Module: c.Module.Name, Level: level, At: time.Now()}
	case <-ctx.Done():
		return checks.Result{ID: c.ID, Module: c.Module.Name, At: time.Now(), Err: ctx.Err().Error()}
	}
}

// house is a state directory with its supervisor.
type house struct {
	t    *testing.T
	dir  string
	j    *journal.Journal
	slow slow
	stop context.CancelFunc
	done chan error
	idle time.Duration

	change func(*supervisor.Options) // nil: as they are
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), strings.Repeat("a-long-name-", 10)), slow: slow{make(chan checks.Level)}, idle: time.Hour}
	var err error
	if h.j, err = journal.Open(h.dir, journal.Holder{User: "test"}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) options() supervisor.Options {
	o := supervisor.Options{
		Dir: h.dir, Group: -1, Version: "test", Idle: h.idle, Rest: h.j.Release,
		Drive: func(ctx context.Context, b runbooks.Runbook, section string, who runbooks.Actor, present func(runbooks.Actor) bool) (*runbooks.Local, error) {
			return runbooks.Drive(ctx, runbooks.Options{
				Journal: h.j, Runner: h.slow, Name: "lms", Runbook: b, Section: section, Actor: who, Present: present, NewID: func() string { return b.ID + "-1" },
			})
		},
		Book: func(path string, source []byte, _ runbooks.Hash, _ bool) (runbooks.Runbook, error) {
			return book(strings.TrimSuffix(path, ".md")), nil
		},
	}
	if h.change != nil {
		h.change(&o)
	}
	return o
}

// serve starts the supervisor and returns when it is ready.
func (h *house) serve() {
	h.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	h.stop, h.done = stop, make(chan error, 1)
	ready := make(chan struct{})
	go func() { h.done <- supervisor.Serve(ctx, h.options(), func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-h.done:
		h.t.Fatal(err)
	}
}

func (h *house) end() {
	h.t.Helper()
	h.stop()
	if err := <-h.done; err != nil {
		h.t.Error(err)
	}
}

func (h *house) open(id string) *supervisor.Session {
	h.t.Helper()
	s, err := h.client().Open(context.Background(), book(id), "all")
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) client() *supervisor.Client {
	return &supervisor.Client{Socket: supervisor.SocketIn(h.dir), Version: "test", Parse: func(string, []byte) (runbooks.Runbook, error) {
		return runbooks.Runbook{}, errors.New("not needed")
	}}
}

// until waits for what comes over the socket.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func state(s *supervisor.Session, item string) runbooks.State {
	it, _ := s.Run().Item(item)
	return it.State
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsDoneInOneDeckIsSeenInEveryOther(t *testing.T) {
	h := newHouse(t)
	h.serve()
	defer h.end()
	one, two := h.open("daily"), h.open("daily")
	if one.Run().State != runbooks.Open || len(one.Run().Items) != 2 {
		t.Fatalf("%+v", one.Run())
	}
	if _, err := os.Stat(filepath.Join(h.dir, "journal.db")); err == nil {
		t.Error("looking made a journal")
	}
	must(t, one.Start("disk"))
	until(t, "two sees it run", func() bool { return state(two, "disk") == runbooks.Running })
	h.slow.end <- checks.Warn
	until(t, "both see it end", func() bool { return state(one, "disk") == runbooks.Warned && state(two, "disk") == runbooks.Warned })
	must(t, two.Note("disk", "seen \x1b[31mhere"))
	until(t, "one sees the note", func() bool { it, _ := one.Run().Item("disk"); return it.Notes.Len() == 1 })
	it, _ := one.Run().Item("disk")
	if strings.ContainsRune(it.Notes.At(0).Text, 0x1b) || it.Notes.At(0).Actor.UID != os.Getuid() {
		t.Errorf("%+v", it.Notes.At(0))
	}
	must(t, one.Close())
	must(t, two.Close())
}

func TestACheckGoesOnWithoutItsDeck(t *testing.T) {
	h := newHouse(t)
	h.serve()
	defer h.end()
	s := h.open("daily")
	must(t, s.Start("disk"))
	must(t, s.Close())
	h.slow.end <- checks.OK
	s = h.open("daily")
	until(t, "the result is there", func() bool { return state(s, "disk") == runbooks.Passed })
	must(t, s.Close())
}

func TestRefusalsComeOverInTheirOwnWords(t *testing.T) {
	h := newHouse(t)
	h.serve()
	defer h.end()
	s := h.open("daily")
	defer s.Close()
	var notReady *runbooks.NotReadyError
	if err := s.Finish(""); err == nil || !strings.Contains(err.Error(), "disk (pending)") {
		t.Errorf("finish: %v", err)
	}
	if err := s.Confirm("nope", nil); !errors.As(err, &notReady) {
		t.Errorf("confirm: %v", err)
	}
	must(t, s.Start("disk"))
	h.slow.end <- checks.OK
	until(t, "done", func() bool { return state(s, "disk") == runbooks.Passed })
	if err := s.StartAll(); !errors.Is(err, runbooks.ErrAllDone) {
		t.Errorf("start all: %v", err)
	}
	if err := s.Arm(t.Context(), "disk"); err == nil {
		t.Error("a check was armed")
	}
}

func TestADeckFindsTheNextSupervisor(t *testing.T) {
	h := newHouse(t)
	h.serve()
	s := h.open("daily")
	defer s.Close()
	must(t, s.Confirm("look", nil))
	h.end()
	until(t, "it says that it is alone", func() bool { return s.Err() != nil })
	if err := s.Start("disk"); err == nil {
		t.Error("something was accepted by nobody")
	}
	h.serve()
	defer h.end()
	until(t, "it is connected again", func() bool { return s.Err() == nil })
	if state(s, "look") != runbooks.Passed {
		t.Errorf("look is %s", state(s, "look"))
	}
	must(t, s.Note("", "still here"))
}

func TestASupervisorIsAloneAndGoesWhenNothingIsLeft(t *testing.T) {
	h := newHouse(t)
	h.idle = 200 * time.Millisecond
	h.serve()
	if err := supervisor.Serve(t.Context(), h.options(), func() { t.Error("two are ready") }); !errors.Is(err, supervisor.ErrServed) {
		t.Errorf("%v", err)
	}
	s := h.open("daily")
	must(t, s.Start("disk"))
	must(t, s.Close())
	select {
	case err := <-h.done:
		t.Fatalf("it went while a check ran: %v", err)
	case <-time.After(2 * h.idle):
	}
	h.slow.end <- checks.OK
	must(t, <-h.done)
	if _, err := os.Stat(supervisor.SocketIn(h.dir)); err == nil {
		t.Error("the socket was left behind")
	}
	if report := journal.Verify(h.dir, nil); report.Status == journal.Damaged {
		t.Errorf("%+v", report)
	}
}

// TestWhatAStrangerSaysHurtsNobody: half a message, a big one, no JSON, an
// unknown method, another protocol.
func TestWhatAStrangerSaysHurtsNobody(t *testing.T) {
	h := newHouse(t)
	h.serve()
	defer h.end()
	s := h.open("daily")
	defer s.Close()
	greeting := `{"id":1,"method":"hello","params":{"protocol":1}}` + "\n"
	for _, words := range []string{
		"", "\n", "{", "GET / HTTP/1.1\r\n\r\n", `{"id":1,"method":"hello","params":{"protocol":99}}` + "\n",
		greeting + `{"id":2,"method":"start","handle":7,"params":{"item":"disk"}}` + "\n",
		greeting + `{"id":2,"method":"rm -rf","params":[]}` + "\n", greeting + `{"id":2,"method":"open","params":"x"}` + "\n",
		greeting + strings.Repeat("x", 5<<20), greeting + `{"id":2,"method":"open","params":{"path":"` + strings.Repeat("[", 1<<20) + "\n",
	} {
		conn := h.dial()
		conn.SetDeadline(time.Now().Add(3 * time.Second)) //nolint:errcheck // the read below fails
		conn.Write([]byte(words))                         //nolint:errcheck // it may be cut off
		conn.Close()
	}
	must(t, s.Note("", "still well"))
	conn := h.dial()
	defer conn.Close()
	conn.Write([]byte(`{"id":1,"method":"hello","params":{"protocol":99}}` + "\n")) //nolint:errcheck // the read fails
	answer := make([]byte, 4096)
	n, _ := conn.Read(answer)
	if !bytes.Contains(answer[:n], []byte("another protocol")) {
		t.Errorf("%s", answer[:n])
	}
}

func (h *house) dial() net.Conn {
	h.t.Helper()
	dir, err := os.Open(h.dir)
	must(h.t, err)
	defer dir.Close()
	conn, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/supervisor.sock", dir.Fd()))
	must(h.t, err)
	return conn
}

func FuzzAFrame(f *testing.F) {
	f.Add([]byte(`{"id":1,"method":"start","handle":1,"params":{"item":"disk"}}`))
	f.Add([]byte(`{"news":{"events":[{"seq":1}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var any map[string]json.RawMessage
		if json.Unmarshal(raw, &any) != nil {
			return
		}
		if err := supervisor.ReadFrame(raw); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

// TestASupervisorThatIsEndedEnds although a watch goes on and somebody looks at
// it: the next one goes on with the watch.
func TestASupervisorThatIsEndedEnds(t *testing.T) {
	h := newHouse(t)
	h.serve()
	s := h.open(watching)
	defer s.Close()
	if err := s.Start("watch"); err != nil {
		t.Fatal(err)
	}
	until(t, "it watches", func() bool { return state(s, "watch") == runbooks.Running })
	h.stop()
	select {
	case err := <-h.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the supervisor waits for the watch")
	}
	h.serve()
	defer h.end()
	until(t, "the next one watches", func() bool { return s.Err() == nil && state(s, "watch") == runbooks.Running })
	if supervisor.Serves(t.TempDir()) || !supervisor.Serves(h.dir) {
		t.Error("who is served is not known")
	}
}
