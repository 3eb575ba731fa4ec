package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// engine is a real dockerd of the tests' own, with nothing of the machine's:
// no network, no shared directories.
type engine struct {
	host string
	api  *client.Client
	err  error  // why there is none
	end  func() // stops it
}

// theEngine is started by the first test that needs it and stopped by TestMain.
var theEngine = sync.OnceValue(func() *engine {
	running = startEngine()
	return running
})

var running *engine

func TestMain(m *testing.M) {
	code := m.Run()
	if running != nil {
		running.end()
	}
	os.Exit(code)
}

func needEngine(t *testing.T) *engine {
	t.Helper()
	e := theEngine()
	if e.err == nil {
		return e
	}
	if os.Getenv("OPSDECK_REQUIRE_REAL") == "1" {
		t.Fatalf("a Docker engine is required: %v", e.err)
	}
	t.Skipf("no Docker engine: %v", e.err)
	return nil
}

func startEngine() *engine {
	e := &engine{end: func() {}}
	if os.Getuid() != 0 {
		e.err = errors.New("dockerd needs root")
		return e
	}
	binary, err := exec.LookPath("dockerd")
	if err != nil {
		e.err = err
		return e
	}
	dir, err := os.MkdirTemp("", "dk") // short: a socket's path has some 100 bytes
	if err != nil {
		e.err = err
		return e
	}
	for _, driver := range []string{"overlay2", "vfs"} {
		if e.err = e.start(binary, dir, driver); e.err == nil {
			break
		}
	}
	if e.err == nil {
		e.err = e.importImage(dir)
	}
	return e
}

func (e *engine) start(binary, dir, driver string) error {
	log, err := os.Create(filepath.Join(dir, driver+".log"))
	if err != nil {
		return err
	}
	e.host = "unix://" + filepath.Join(dir, "d.sock")
	cmd := exec.Command(binary, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"-H", e.host, "--storage-driver", driver, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	e.end = func() { e.stop(cmd, ended, dir) }
	if e.api, err = client.New(client.WithHost(e.host)); err != nil {
		return err
	}
	for range 400 {
		if _, err = e.api.Ping(context.Background(), client.PingOptions{NegotiateAPIVersion: true}); err == nil {
			return log.Close()
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(log.Name()) // only to say more in the error
			return fmt.Errorf("dockerd with %s ended: %s", driver, text[max(0, len(text)-500):])
		case <-time.After(25 * time.Millisecond):
		}
	}
	return fmt.Errorf("dockerd with %s does not answer: %w", driver, err)
}

// stop removes the containers first: they would outlive their engine.
func (e *engine) stop(cmd *exec.Cmd, ended <-chan error, dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if listed, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true}); err == nil {
		for _, c := range listed.Items {
			_, _ = e.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true}) // the engine ends next
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its own group, containerd included
	}
	_ = os.RemoveAll(dir) // a mount left behind is reported by the next run's tests, not by this one
}

const image = "labapp:test"

// importImage builds the one program and makes an image of nothing else.
func (e *engine) importImage(dir string) error {
	program := filepath.Join(dir, "labapp")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "testdata/labapp/main.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the test program: %w: %s", err, output)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "labapp", Mode: 0o755, Size: int64(len(content))}); err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	answer, err := e.api.ImageImport(context.Background(), client.ImageImportSource{Source: &archive, SourceName: "-"}, image, client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/labapp"]`}})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer)
	return errors.Join(err, answer.Close())
}

// spec is a container to be made.
type spec struct {
	project, service string
	command          []string
	check            string // the health check's exit code, "" for no check
	restart          container.RestartPolicyMode
	memory           int64 // MiB
	nanoCPUs         int64
	oneOff           bool
	terminal         bool
}

// create makes a container as compose would label it and starts it.
func (e *engine) create(t *testing.T, s spec) string {
	t.Helper()
	config := &container.Config{Image: image, Cmd: s.command, Tty: s.terminal, Labels: map[string]string{projectLabel: s.project, serviceLabel: s.service, oneOffLabel: "False"}}
	if s.oneOff {
		config.Labels[oneOffLabel] = "True"
	}
	if s.check != "" {
		config.Healthcheck = &container.HealthConfig{Test: []string{"CMD", "/labapp", "exit", s.check}, Interval: 200 * time.Millisecond, Timeout: 5 * time.Second, Retries: 1}
	}
	host := &container.HostConfig{NetworkMode: "none", RestartPolicy: container.RestartPolicy{Name: s.restart}}
	host.Memory, host.NanoCPUs = s.memory<<20, s.nanoCPUs
	made, err := e.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: config, HostConfig: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.api.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true}); err != nil && !gone(err) {
			t.Error(err)
		}
	})
	if _, err := e.api.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// await waits until the container is as the scene needs it.
func (e *engine) await(t *testing.T, id string, ready func(*container.State) bool) {
	t.Helper()
	var last *container.State
	for range 600 {
		got, err := e.api.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if last = got.Container.State; ready(last) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("the container stays %+v", last)
}

// often waits for a container that has crashed so often that the engine waits
// for seconds before it starts it again: time enough to look at it.
func often() func(*container.State) bool {
	starts := map[string]bool{}
	return func(s *container.State) bool {
		starts[s.StartedAt] = true
		return s.Restarting && len(starts) >= 6
	}
}

func ended(s *container.State) bool { return s.Status == container.StateExited }

func health(status container.HealthStatus) func(*container.State) bool {
	return func(s *container.State) bool { return s.Health != nil && s.Health.Status == status }
}
