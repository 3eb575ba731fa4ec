package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
)

func opened(t *testing.T, c checks.Connection) *Server {
	t.Helper()
	c.Name = "main"
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// said reads the log of service web to its end.
func said(t *testing.T, s *Server, since time.Time, maxBytes int64) string {
	t.Helper()
	r, err := s.Logs(t.Context(), "web", since, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unstamped takes the stamp off every line. A line without one fails the test.
func unstamped(t *testing.T, text string) (lines []string, stamps []time.Time) {
	t.Helper()
	for line := range strings.Lines(text) {
		at, rest, ok := stamped([]byte(line))
		if !ok {
			t.Fatalf("no stamp: %q", line)
		}
		lines, stamps = append(lines, strings.TrimRight(string(rest), "\r\n")), append(stamps, at)
	}
	return lines, stamps
}

// says makes a container of service web that says something and ends.
func (e *engine) says(t *testing.T, project string, s spec, words ...string) string {
	t.Helper()
	s.project, s.service, s.command = project, "web", append([]string{"say"}, words...)
	id := e.create(t, s)
	e.await(t, id, ended)
	return id
}

func TestLogsOfAServiceAreMergedOldestFirst(t *testing.T) {
	e := needEngine(t)
	t.Parallel()
	first := e.says(t, "merged", spec{}, "out=one\n")
	e.says(t, "merged", spec{}, "err=two\n")
	e.says(t, "merged", spec{terminal: true}, "out=three\n", "err=four\n")
	e.says(t, "merged", spec{oneOff: true}, "out=by hand\n")
	e.says(t, "another", spec{}, "out=of another project\n")
	if _, err := e.api.ContainerStart(t.Context(), first, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	e.await(t, first, ended)
	s := opened(t, checks.Connection{Host: e.host, Project: "merged"})
	text := said(t, s, time.Time{}, 1<<20)
	lines, stamps := unstamped(t, text)
	if diff := cmp.Diff([]string{"one", "two", "three", "four", "one"}, lines); diff != "" {
		t.Fatal(diff)
	}
	if lines, _ := unstamped(t, said(t, s, stamps[2], 1<<20)); !cmp.Equal(lines, []string{"three", "four", "one"}) {
		t.Errorf("since the third line: %q", lines)
	}
	for _, most := range []int64{0, 1, 50, int64(len(text))} {
		if got := said(t, s, time.Time{}, most); got != text[:most] {
			t.Errorf("at most %d bytes: %q", most, got)
		}
	}
	lines, _ = unstamped(t, said(t, opened(t, checks.Connection{Host: e.host}), time.Time{}, 1<<20))
	if !strings.Contains(strings.Join(lines, ","), "of another project") {
		t.Errorf("of any project: %q", lines)
	}
}

func TestALineThatTheEngineSplitIsOneLine(t *testing.T) {
	e := needEngine(t)
	t.Parallel()
	long := strings.Repeat("x", 40<<10)
	e.says(t, "split", spec{}, "out="+long+"\n", "out=no end")
	got, _ := unstamped(t, said(t, opened(t, checks.Connection{Host: e.host, Project: "split"}), time.Time{}, 1<<20))
	if diff := cmp.Diff([]string{long, "no end"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownServiceIsMissingAndTheOthersAreNamed(t *testing.T) {
	e := needEngine(t)
	t.Parallel()
	for _, name := range []string{"backend", "frontend"} {
		e.create(t, spec{project: "named", service: name, command: []string{"exit", "0"}})
	}
	_, err := opened(t, checks.Connection{Host: e.host, Project: "named"}).Logs(t.Context(), "web", time.Time{}, 1<<20)
	if checks.ClassOf(err) != checks.Missing || !strings.Contains(fmt.Sprint(err), "backend, frontend") {
		t.Errorf("class %q: %v", checks.ClassOf(err), err)
	}
	_, err = opened(t, checks.Connection{Host: e.host, Project: "nobody's"}).Logs(t.Context(), "web", time.Time{}, 1<<20)
	if checks.ClassOf(err) != checks.Missing {
		t.Errorf("class %q: %v", checks.ClassOf(err), err)
	}
}

// framed is one frame of a log as the engine sends it.
func framed(stream stdcopy.StdType, text string) string {
	header := []byte{byte(stream), 0, 0, 0}
	return string(binary.BigEndian.AppendUint32(header, uint32(len(text)))) + text
}

const stampText = "2026-11-23T03:00:00.000000001Z "

// newFakeLog is an engine with one container of service web and its log.
func newFakeLog(t *testing.T, log http.HandlerFunc) *Server {
	t.Helper()
	f := newFake(t)
	f.answer("/containers/json", `[{"Id": "web", "Labels": {"com.docker.compose.service": "web"}}]`)
	f.container(t, "web")
	f.mux.HandleFunc("/v1.41/containers/web/logs", log)
	return opened(t, checks.Connection{Host: f.host})
}

func TestALogThatBreaksOffIsNoShortLog(t *testing.T) {
	whole := framed(stdcopy.Stdout, stampText+"fine\n")
	tests := map[string]struct {
		text  string
		class checks.Class
	}{
		"within a header":    {whole + "\x01\x00", checks.Other},
		"before the text":    {whole + framed(stdcopy.Stderr, "oops")[:8], checks.Other},
		"within the text":    {whole + framed(stdcopy.Stderr, "oops")[:10], checks.Other},
		"no frame":           {whole + stampText + "a terminal's", checks.Parse},
		"a frame of 4 GiB":   {whole + "\x01\x00\x00\x00\xff\xff\xff\xff", checks.Parse},
		"the engine gave up": {whole + framed(stdcopy.Systemerr, "reading json-file: bad"), checks.Other},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFakeLog(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tt.text) })
			r, err := s.Logs(t.Context(), "web", time.Time{}, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if string(text) != stampText+"fine\n" || err == nil || checks.ClassOf(err) != tt.class && tt.class != checks.Other {
				t.Errorf("%q, class %q: %v", text, checks.ClassOf(err), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnEngineThatDiesMidwayIsNoEnd(t *testing.T) {
	s := newFakeLog(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, framed(stdcopy.Stdout, stampText+"fine\n"))
		panic(http.ErrAbortHandler)
	})
	r, err := s.Logs(t.Context(), "web", time.Time{}, 1<<20)
	if err == nil {
		_, err = io.ReadAll(r)
		err = errors.Join(err, r.Close())
	}
	if err == nil {
		t.Error("a log that broke off counts as whole")
	}
}

func TestALogEndsWithItsContext(t *testing.T) {
	s := newFakeLog(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, framed(stdcopy.Stdout, stampText+"fine\n"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Logs(ctx, "web", time.Time{}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len(stampText+"fine\n"))
	if _, err := io.ReadFull(r, line); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := r.Read(line); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnAbsentEngineHasNoLogs(t *testing.T) {
	dir := t.TempDir()
	if _, err := opened(t, checks.Connection{Host: "unix://" + dir + "/none"}).Logs(t.Context(), "web", time.Time{}, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an engine that is not there: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := "tcp://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, checks.Connection{Host: host}).Logs(t.Context(), "web", time.Time{}, 1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("an engine that refuses: %v", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(framed(stdcopy.Stdout, stampText+"a")+framed(stdcopy.Stderr, stampText+"b\n")+framed(stdcopy.Stdout, stampText+"c\n")), false)
	f.Add([]byte(stampText+"a\r\nb"), true)
	f.Fuzz(func(t *testing.T, text []byte, terminal bool) {
		l := &containerLog{in: bufio.NewReaderSize(bytes.NewReader(text), 16), terminal: terminal}
		total := 0
		for range len(text) + 1 {
			if err := l.next(); err != nil {
				return
			}
			total += len(l.line)
			if !bytes.HasSuffix(l.line, []byte("\n")) || total > 2*len(text)+1 {
				t.Fatalf("%d bytes, the last line is %q", total, l.line)
			}
		}
		t.Fatal("more lines than bytes")
	})
}
