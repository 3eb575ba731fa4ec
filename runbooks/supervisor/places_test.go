package supervisor_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// talker is a client that speaks the protocol by hand.
type talker struct {
	conn    net.Conn
	answers *bufio.Scanner
	id      int
}

func talk(t *testing.T, conn net.Conn) *talker {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	answers := bufio.NewScanner(conn)
	answers.Buffer(nil, 1<<20)
	return &talker{conn: conn, answers: answers}
}

// ask sends one request and returns the error of its answer, "" if it has none;
// an error of the connection is one as well.
func (c *talker) ask(method string, params any) string {
	c.id++
	c.conn.SetDeadline(time.Now().Add(30 * time.Second)) //nolint:errcheck // a closed connection fails the read
	raw, err := json.Marshal(map[string]any{"id": c.id, "method": method, "params": params})
	if err != nil {
		return err.Error()
	}
	if _, err := c.conn.Write(append(raw, '\n')); err != nil {
		return err.Error()
	}
	for c.answers.Scan() {
		var answer struct {
			ID    int
			Error struct{ Text string }
		}
		if err := json.Unmarshal(c.answers.Bytes(), &answer); err != nil {
			return err.Error()
		}
		if answer.ID == c.id {
			return answer.Error.Text
		}
	}
	return fmt.Sprintf("closed: %v", c.answers.Err())
}

func (c *talker) hello() string { return c.ask("hello", map[string]any{"protocol": 1}) }

func (c *talker) open(book int) string {
	return c.ask("open", map[string]any{"path": fmt.Sprintf("book-%d.md", book), "section": "all"})
}

// clock is one that only the test sets forward: a host under load takes its time.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC).Add(time.Duration(c.ahead.Load()))
}

func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// shared is a house at whose supervisor the group may connect, with its clock.
func shared(t *testing.T) (h *house, socket string, c *clock) {
	t.Helper()
	dir, err := os.MkdirTemp("", "door") // short: an address has 108 bytes
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o711))
	h, c, socket = newHouse(t), &clock{}, filepath.Join(dir, "s")
	h.change = func(o *supervisor.Options) { o.Socket, o.Group, o.Now = socket, nogroup, c.now }
	h.serve()
	return h, socket, c
}

func dialed(t *testing.T, socket string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	must(t, err)
	return conn
}

// TestIdleClientsLockNobodyOut: the owner has places of its own, and who asks
// nothing for a minute makes room.
func TestIdleClientsLockNobodyOut(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
			t.Fatal("a child of another user needs root")
		}
		t.Skip("a child of another user needs root")
	}
	h, socket, clock := shared(t)
	defer h.end()
	member := func() *talker { return talk(t, aheadOf(t, socket, nogroup)) }
	owner := func() *talker { return talk(t, dialed(t, socket)) }
	var idle []*talker
	for n := range 64 {
		c := member()
		if said := c.hello(); said != "" {
			t.Fatalf("client %d: %s", n, said)
		}
		idle = append(idle, c)
	}
	if said := member().hello(); !strings.Contains(said, "all 64 places of the supervisor are taken") {
		t.Errorf("one more of the group hears %q", said)
	}
	for n := range 8 {
		if said := owner().hello(); said != "" {
			t.Errorf("the owner's place %d: %s", n, said)
		}
	}
	if said := owner().hello(); !strings.Contains(said, "all 72 places") {
		t.Errorf("one more of the owner hears %q", said)
	}
	clock.forward(30 * time.Second)
	if said := idle[0].open(0); said != "" {
		t.Fatal(said)
	}
	clock.forward(30 * time.Second)
	for range 63 {
		if said := member().hello(); said != "" {
			t.Errorf("one of the group after a minute: %s", said)
		}
	}
	if said := idle[0].open(0); said != "" {
		t.Errorf("a client that had asked something half a minute before lost its place: %s", said)
	}
	if said := owner().hello(); said != "" {
		t.Errorf("the owner after a minute: %s", said)
	}
}

// TestAConnectionThatSaysNothingIsEnded within the time for the first words.
func TestAConnectionThatSaysNothingIsEnded(t *testing.T) {
	h := newHouse(t)
	h.serve()
	defer h.end()
	conn := h.dial()
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(30 * time.Second)) //nolint:errcheck // the read fails
	_, err := conn.Write([]byte(`{"id":1,"meth`))
	must(t, err)
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("it is kept: %v", err)
	}
}

// TestAFloodOfNewRunsIsRefusedAndForgotten: what was opened and not used is let
// go with the connection.
func TestAFloodOfNewRunsIsRefusedAndForgotten(t *testing.T) {
	rested := make(chan struct{}, 1)
	h, clock := newHouse(t), &clock{}
	h.change = func(o *supervisor.Options) {
		o.Now = clock.now
		rest := o.Rest
		o.Rest = func() error {
			select {
			case rested <- struct{}{}:
			default:
			}
			return rest()
		}
	}
	h.serve()
	defer h.end()
	flood := func(c *talker, from int) (opened int) {
		t.Helper()
		for n := range 100 {
			switch said := c.open(from + n); {
			case said == "":
				opened++
			case !strings.Contains(said, "has opened 20 runs within 1m0s"):
				t.Fatalf("run %d: %s", from+n, said)
			}
		}
		return opened
	}
	c := talk(t, h.dial())
	if said := c.hello(); said != "" {
		t.Fatal(said)
	}
	if n := flood(c, 0); n != 20 {
		t.Errorf("%d runs were opened", n)
	}
	if said := c.open(7); said != "" {
		t.Errorf("a run that is open cannot be joined: %s", said)
	}
	again := talk(t, h.dial())
	again.hello()
	if n := flood(again, 100); n != 0 {
		t.Errorf("%d runs were opened by connecting again", n)
	}
	again.conn.Close()
	clock.forward(time.Minute)
	if said := c.open(200); !strings.Contains(said, "leave one of them first") {
		t.Errorf("a connection with 20 open runs opens another: %q", said)
	}
	c.conn.Close()
	select {
	case <-rested:
	case <-time.After(30 * time.Second):
		t.Fatal("the runs are kept")
	}
}

// TestAStoppedSupervisorHangsNoClient: not one that comes, and not one that is
// there.
func TestAStoppedSupervisorHangsNoClient(t *testing.T) {
	served := serveApart(t)
	c := &supervisor.Client{Socket: served.socket, Version: "test", Ping: 200 * time.Millisecond}
	s, err := c.Open(t.Context(), book("daily"), "all")
	must(t, err)
	defer s.Close()
	served.stop(t)
	var silent *supervisor.SilentError
	_, err = c.Open(t.Context(), book("daily"), "all")
	if !errors.As(err, &silent) || !silent.Stopped || silent.PID != served.process.Pid || silent.After != 2*time.Second {
		t.Errorf("who comes hears %v", err)
	}
	until(t, "who is there hears it", func() bool { return errors.As(s.Err(), &silent) })
	served.goOn(t)
	until(t, "they are together again", func() bool { return s.Err() == nil })
	must(t, s.Note("", "still here"))
}

// TestALargeMessageLeavesNothingBehind: the frame after it is read as ever.
func TestALargeMessageLeavesNothingBehind(t *testing.T) {
	large := append([]byte(`{"id":1,"method":"`), bytes.Repeat([]byte("x"), 3<<20)...)
	for _, c := range []struct {
		raw  []byte
		well bool
	}{
		{append(large, "\"}\n"...), true}, {[]byte(`{"id":1}`), true}, {append(large, large...), false}, {nil, false},
	} {
		if err := supervisor.ReadFrame(c.raw); (err == nil) != c.well {
			t.Errorf("%d bytes: %v", len(c.raw), err)
		}
	}
}
