package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
)

// rootVariable names a Debian tree with systemd, dbus and nginx, as .ci/run
// makes one with debootstrap. Nothing is written into it.
const rootVariable = "OPSDECK_SYSTEMD_ROOT"

// A machine is a real systemd as process 1 of a container, with a network of
// its own.
type machine struct {
	leader int
	end    func()
	err    error
}

// theMachine is booted by the first test that needs it, and ended by TestMain.
var theMachine = sync.OnceValue(func() *machine {
	booting = boot()
	return booting
})

var booting *machine

func TestMain(m *testing.M) {
	code := m.Run()
	if booting != nil && booting.end != nil {
		booting.end()
	}
	os.Exit(code)
}

func needMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getenv(rootVariable) == "" {
		t.Skip(rootVariable + " names no tree with systemd: .ci/run makes one")
	}
	m := theMachine()
	if m.err != nil {
		t.Fatal(m.err)
	}
	return m
}

func boot() *machine {
	m := &machine{}
	said, err := os.CreateTemp("", "nspawn")
	if err != nil {
		return &machine{err: err}
	}
	defer os.Remove(said.Name())
	name := fmt.Sprintf("opsdeck%d", os.Getpid())
	cmd := exec.Command("systemd-nspawn", "-q", "-D", os.Getenv(rootVariable), "-M", name, "--register=no", "--keep-unit", "--private-network", "--volatile=overlay", "--resolv-conf=off", "-b")
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0")
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if m.err = cmd.Start(); m.err != nil {
		return m
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m.end = func() {
		if m.leader > 0 {
			_ = syscall.Kill(m.leader, syscall.SIGKILL) // process 1: all of the container ends with it
		}
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
		}
	}
	for range 300 {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(said.Name()) // only to say more
			m.err = fmt.Errorf("systemd-nspawn ended: %w: %.500s", err, text)
			return m
		case <-time.After(100 * time.Millisecond):
		}
		if m.isUp(cmd.Process.Pid) {
			return m
		}
	}
	m.err = errors.New("systemd is not up after 30 s")
	return m
}

func (m *machine) isUp(nspawn int) bool {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	if err != nil || len(strings.Fields(string(children))) == 0 {
		return false
	}
	if _, err := fmt.Sscan(string(children), &m.leader); err != nil {
		return false
	}
	out, _ := exec.Command("nsenter", "-t", fmt.Sprint(m.leader), "-a", "systemctl", "is-system-running").Output() // 1 while it starts
	state := strings.TrimSpace(string(out))
	return state == "running" || state == "degraded"
}

// root is the machine's, as this host sees it.
func (m *machine) root() string { return fmt.Sprintf("/proc/%d/root", m.leader) }

// do runs a command in the machine; it must not fail.
func (m *machine) do(t *testing.T, argv ...string) string {
	t.Helper()
	out, code := m.try(t, argv...)
	if code != 0 {
		t.Fatalf("%q ends with %d: %s", argv, code, out)
	}
	return out
}

func (m *machine) try(t *testing.T, argv ...string) (string, int) {
	t.Helper()
	out, err := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(m.leader), "-a"}, argv...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

func (m *machine) write(t *testing.T, path, text string) {
	t.Helper()
	full := filepath.Join(m.root(), path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// unit writes a unit and has systemd read it; it is stopped and removed when
// the test ends.
func (m *machine) unit(t *testing.T, name, text string) {
	t.Helper()
	m.write(t, "etc/systemd/system/"+name, text)
	m.do(t, "systemctl", "daemon-reload")
	t.Cleanup(func() {
		m.try(t, "systemctl", "disable", "--now", name)
		m.try(t, "systemctl", "reset-failed", name)
		if err := os.Remove(filepath.Join(m.root(), "etc/systemd/system", name)); err != nil {
			t.Error(err)
		}
		m.do(t, "systemctl", "daemon-reload")
	})
}

// env looks at the machine from outside; commands run in it.
func (m *machine) env() checks.Env {
	run := command.NewExec()
	return checks.Env{Root: m.root(), Dialer: &net.Dialer{}, Exec: func(ctx context.Context, call checks.Call) (checks.Output, error) {
		call.Argv = append([]string{"nsenter", "-t", fmt.Sprint(m.leader), "-a"}, call.Argv...)
		return run(ctx, call)
	}}
}

// withoutBus is the machine as seen where no bus can be reached: systemctl is
// asked.
func (m *machine) withoutBus(t *testing.T) checks.Env {
	t.Helper()
	env := m.env()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"proc", "etc", "run/tls.sock"} {
		if err := os.Symlink(filepath.Join(m.root(), name), filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	env.Root = root
	return env
}

// eachWay runs a scene over the bus and through systemctl.
func (m *machine) eachWay(t *testing.T, scene func(t *testing.T, env checks.Env)) {
	t.Helper()
	t.Run("bus", func(t *testing.T) { scene(t, m.env()) })
	t.Run("systemctl", func(t *testing.T) { scene(t, m.withoutBus(t)) })
}
