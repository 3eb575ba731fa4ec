package supervisor_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/runbooks/journal"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// TestMain is another process of a test when it is asked to be one: a
// supervisor, or a client that connects the socket that it inherited and ends.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SERVE"); dir != "" {
		exitWith(serveIn(dir))
	}
	if path := os.Getenv("CONNECT"); path != "" {
		exitWith(unix.Connect(3, &unix.SockaddrUnix{Name: path}))
	}
	goleak.VerifyTestMain(m)
}

func exitWith(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// nogroup is the group whose members may connect to a supervisor apart.
const nogroup = 65534

// serveIn serves in this process until it is killed.
func serveIn(dir string) error {
	h := &house{dir: dir, slow: slow{make(chan checks.Level)}, idle: time.Hour, change: func(o *supervisor.Options) { o.Socket, o.Group = filepath.Join(dir, "s"), nogroup }}
	var err error
	if h.j, err = journal.Open(dir, journal.Holder{User: "test"}); err != nil {
		return err
	}
	return supervisor.Serve(context.Background(), h.options(), func() { fmt.Println("ready") })
}

// apart is a supervisor in a process of its own.
type apart struct {
	socket  string
	process *os.Process
}

// serveApart starts one, at a socket that the group of nobody can reach.
func serveApart(t *testing.T) apart {
	t.Helper()
	dir, err := os.MkdirTemp("", "door") // short: an address has 108 bytes
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stderr = append(os.Environ(), "SERVE="+dir), os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the supervisor says %q", lines.Text())
	}
	must(t, os.Chmod(dir, 0o711))
	return apart{filepath.Join(dir, "s"), cmd.Process}
}

// stop stops the supervisor, and returns when it stands still.
func (a apart) stop(t *testing.T) {
	t.Helper()
	must(t, a.process.Signal(syscall.SIGSTOP))
	until(t, "the supervisor stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.process.Pid))
		must(t, err)
		_, rest, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(rest, "T")
	})
}

func (a apart) goOn(t *testing.T) {
	t.Helper()
	must(t, a.process.Signal(syscall.SIGCONT))
}
