package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
)

const composeFile = `services:
  app:
    image: %s
    command: ["wait"]
    network_mode: none
    stop_signal: SIGKILL
    environment:
      PASSWORD: ${PASSWORD}
      PORT: 8080
      PRICE: 5$$
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "/labapp", "exit", "%s"], interval: 200ms, timeout: 5s, retries: 1}
  other:
    image: labapp:test
    command: ["wait"]
    network_mode: none
    stop_signal: SIGKILL
volumes:
  data: {}
`

// stack is a compose project on the real engine, brought up by the real
// compose.
type stack struct {
	e          *engine
	dir        string
	connection checks.Connection
	env        checks.Env
}

func newStack(t *testing.T, project string) *stack {
	t.Helper()
	e := needEngine(t)
	st := &stack{e: e, dir: t.TempDir()}
	st.connection = checks.Connection{Host: e.host, Project: project, File: filepath.Join(st.dir, "compose.yml")}
	st.env = env(t, st.connection)
	st.env.Exec = command.NewExec()
	st.write(t, image, "0", "old")
	tool, err := openCompose(t.Context(), st.env, st.server(t), project)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool.run(t.Context(), checks.Call{}, "up", "-d"); err != nil {
		if checks.ClassOf(err) == checks.Missing && os.Getenv("OPSDECK_REQUIRE_REAL") != "1" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	return st // the engine's end removes its containers
}

func (st *stack) server(t *testing.T) *Server {
	t.Helper()
	s, err := server(st.env)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write makes the compose file and its .env.
func (st *stack) write(t *testing.T, image, health, password string) {
	t.Helper()
	if err := os.WriteFile(st.connection.File, fmt.Appendf(nil, composeFile, image, health), 0o600); err != nil {
		t.Fatal(err)
	}
	content := "PASSWORD=" + password + "\n"
	if password == "" {
		content = ""
	}
	if err := os.WriteFile(filepath.Join(st.dir, ".env"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (st *stack) check(t *testing.T, with map[string]any) checks.Check {
	t.Helper()
	raw := map[string]any{"service": "app", "wait": "20s", "stop": "1s"}
	for k, v := range with {
		raw[k] = v
	}
	c, problems := checks.NewCheck(Recreate, "recreate", raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func (st *stack) preview(t *testing.T, with map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(st.env, nil).Preview(t.Context(), st.check(t, with), checks.Own{})
}

func (st *stack) probe(t *testing.T, before checks.Result, with map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(st.env, nil).Probe(t.Context(), st.check(t, with), checks.Own{Before: before.Facts}, checks.Rule{})
}

func (st *stack) act(ctx context.Context, t *testing.T, before checks.Result, with map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(st.env, nil).Act(ctx, st.check(t, with), checks.Own{Before: before.Facts})
}

func (st *stack) service(t *testing.T, name string) []replica {
	t.Helper()
	all, err := st.server(t).inspectService(t.Context(), st.connection.Project, name)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// tag gives the image a second name and, with a label, another id.
func (e *engine) tag(t *testing.T, name string) {
	t.Helper()
	made, err := e.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{Image: image, Cmd: []string{"wait"}}, HostConfig: &container.HostConfig{NetworkMode: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.api.ContainerCommit(t.Context(), made.ID, client.ContainerCommitOptions{Reference: name, Changes: []string{"LABEL release=" + name}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.api.ContainerRemove(t.Context(), made.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
}

// TestRecreate walks one project through what can become of it, in an order in
// which each scene leaves it whole for the next. It is not parallel: compose
// would take the processor that others measure.
func TestRecreate(t *testing.T) {
	st := newStack(t, "fresh")
	for _, scene := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"is refused", st.recreateIsRefused},
		{"where the guide's restart keeps the old environment", st.theGuidesRestartKeepsTheOldEnvironment},
		{"brings the new environment and image and keeps the volumes", st.recreateBringsTheNewEnvironmentAndImageAndKeepsTheVolumes},
		{"cancelled leaves no service half done", st.aCancelLeavesNoServiceHalfDone},
		{"repeated after a crash, without a health check", st.aCrashInTheMiddleIsSeenAndRepeated},
		{"fails if the new container is not healthy", st.aNewContainerThatIsNotHealthyFails},
	} {
		if !t.Run(scene.name, scene.run) {
			return // the next ones would report the same
		}
	}
}

// theGuidesRestartKeepsTheOldEnvironment: the guide writes the new password of
// the database into .env and restarts the service, which then goes on with the
// old one and is refused by the database.
func (st *stack) theGuidesRestartKeepsTheOldEnvironment(t *testing.T) {
	st.write(t, image, "0", "new")
	defer st.write(t, image, "0", "old")
	tool, err := openCompose(t.Context(), st.env, st.server(t), st.connection.Project)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := tool.run(t.Context(), checks.Call{}, "restart", "-t", "1", "app"); err != nil {
		t.Fatalf("%v %s", err, out.Stderr)
	}
	if now := st.service(t, "app"); !slices.Contains(now[0].environment, "PASSWORD=old") {
		t.Fatalf("the environment is %q after the guide's restart: this scene proves nothing any more", now[0].environment)
	}
}

func (st *stack) recreateBringsTheNewEnvironmentAndImageAndKeepsTheVolumes(t *testing.T) {
	st.e.tag(t, "labapp:next")
	old, other := st.service(t, "app"), st.service(t, "other")
	st.write(t, "labapp:next", "0", "rotated$1")

	before := st.preview(t, nil)
	if before.Level != checks.OK || before.Target != "fresh/app" || !slices.Equal(before.Locks, []string{"compose:fresh"}) || before.Fingerprint == "" {
		t.Fatalf("preview: %s %s %+v", before.Level, before.Err, before)
	}
	detail := strings.Join(before.Detail, "\n")
	if !strings.Contains(detail, "environment that changes: PASSWORD") || strings.Contains(fmt.Sprintf("%+v", before), "rotated") {
		t.Errorf("preview says %+v", before)
	}
	if table, ok := before.Table("mounts"); !ok || len(table.Rows) != 1 || !strings.Contains(table.Rows[0][1].Text, "fresh_data at /data, rw") {
		t.Errorf("mounts %+v", table)
	}
	if diff := cmp.Diff(ids(old), ids(st.service(t, "app"))); diff != "" {
		t.Fatalf("the preview changed something:\n%s", diff)
	}
	if r := st.probe(t, before, nil); r.Level != checks.Crit {
		t.Errorf("probe before it was done: %s %s", r.Level, r.Err)
	}

	r := st.act(t.Context(), t, before, nil)
	if r.Level != checks.OK || value(t, r, "done", "").Num != 1 || value(t, r, "replaced", "").Num != 1 || value(t, r, "mounts_kept", "").Num != 1 {
		t.Fatalf("run: %s %s %v", r.Level, r.Err, r.Facts)
	}
	now := st.service(t, "app")
	if !slices.Contains(now[0].environment, "PASSWORD=rotated$1") || now[0].imageID == old[0].imageID || now[0].name != old[0].name {
		t.Errorf("now %q %s", now[0].environment, now[0].imageID)
	}
	if diff := cmp.Diff(old[0].mounts, now[0].mounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ids(other), ids(st.service(t, "other"))); diff != "" {
		t.Errorf("another service was touched:\n%s", diff)
	}
	if r := st.probe(t, before, nil); r.Level != checks.OK {
		t.Errorf("probe: %s %s %v", r.Level, r.Err, r.Why)
	}
	again := st.preview(t, nil)
	if again.Fingerprint == before.Fingerprint || !strings.Contains(strings.Join(again.Detail, "\n"), "nothing that the compose file sets changes") {
		t.Errorf("a second preview: %q %q", again.Fingerprint, again.Detail)
	}
}

func (st *stack) aNewContainerThatIsNotHealthyFails(t *testing.T) {
	st.write(t, image, "1", "old")
	before := st.preview(t, nil)
	r := st.act(t.Context(), t, before, nil)
	judged(t, r, checks.Crit, "done")
	if value(t, r, "healthy", "").Num != 0 || value(t, r, "mounts_kept", "").Num != 1 {
		t.Errorf("facts %v", r.Facts)
	}
	if p := st.probe(t, before, nil); p.Level != checks.Crit {
		t.Errorf("probe: %s %s", p.Level, p.Err)
	}
}

// aCancelLeavesNoServiceHalfDone cancels as soon as compose is at work: it
// ends what it began, and the probe tells that it is done.
func (st *stack) aCancelLeavesNoServiceHalfDone(t *testing.T) {
	before := st.preview(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	real, ended := st.env.Exec, make(chan struct{})
	st.env.Exec = func(inner context.Context, call checks.Call) (checks.Output, error) {
		if slices.Contains(call.Argv, "up") {
			defer close(ended)
			cancel()
		}
		return real(inner, call)
	}
	if r := st.act(ctx, t, before, nil); r.Level != checks.Unknown {
		t.Errorf("run: %s %s", r.Level, r.Err)
	}
	<-ended
	st.env.Exec = real
	all := st.service(t, "app")
	if len(all) != 1 {
		t.Fatalf("%d containers", len(all))
	}
	st.e.await(t, all[0].id, health(container.Healthy))
	if p := st.probe(t, before, nil); p.Level != checks.OK {
		t.Errorf("probe: %s %s %v", p.Level, p.Err, p.Why)
	}
}

// aCrashInTheMiddleIsSeenAndRepeated leaves what a killed compose leaves: the
// old container stopped, none in its place. The service has no health check,
// so that even what went well is a warning.
func (st *stack) aCrashInTheMiddleIsSeenAndRepeated(t *testing.T) {
	with := map[string]any{"service": "other"}
	before := st.preview(t, with)
	if !strings.Contains(strings.Join(before.Detail, "\n"), "has no health check") {
		t.Errorf("preview says %q", before.Detail)
	}
	if _, err := st.e.api.ContainerKill(t.Context(), st.service(t, "other")[0].id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	if p := st.probe(t, before, with); p.Level != checks.Crit || value(t, p, "healthy", "").Num != 0 {
		t.Errorf("probe: %s %s", p.Level, p.Err)
	}
	judged(t, st.act(t.Context(), t, st.preview(t, with), with), checks.Warn, "unchecked")
	if p := st.probe(t, before, with); p.Level != checks.OK {
		t.Errorf("probe after it was repeated: %s %s", p.Level, p.Err)
	}
}

func (st *stack) recreateIsRefused(t *testing.T) {
	refused := func(name string, class checks.Class, words string, with map[string]any) {
		t.Helper()
		if r := st.preview(t, with); r.Level != checks.Unknown || r.Class != class || !strings.Contains(r.Err, words) {
			t.Errorf("%s: %s %q %s", name, r.Level, r.Class, r.Err)
		}
	}
	refused("a service of no such name", checks.Missing, `did you mean "app"?`, map[string]any{"service": "apq"})
	refused("another project", checks.NoData, "no container", map[string]any{"project": "elsewhere"})
	st.write(t, "labapp:never", "0", "old")
	refused("an image that is not here", checks.Missing, "labapp:never is not on the engine", nil)
	st.write(t, image, "0", "")
	refused("a variable that is not set", checks.Unconfigured, "PASSWORD", nil)
	if err := os.WriteFile(st.connection.File, []byte("services: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a file that compose cannot read", checks.Other, "compose config", nil)

	st.write(t, image, "0", "old")
	moved := *st
	moved.connection.File = filepath.Join(st.dir, "other.yml")
	if err := os.Link(st.connection.File, moved.connection.File); err != nil {
		t.Fatal(err)
	}
	moved.env = env(t, moved.connection)
	moved.env.Exec = st.env.Exec
	if r := moved.preview(t, nil); r.Level != checks.Unknown || !strings.Contains(r.Err, "it would become another") {
		t.Errorf("another compose file: %s %s", r.Level, r.Err)
	}
}

func TestWithoutComposeNothingIsKnown(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answer("/containers/json", "[]")
	c := checks.Connection{Host: f.host, Project: "p", File: "/srv/compose.yml"}
	for name, scene := range map[string]struct {
		exec  checks.Exec
		file  string
		class checks.Class
	}{
		"no commands": {nil, c.File, checks.Unconfigured},
		"no compose": {func(context.Context, checks.Call) (checks.Output, error) {
			return checks.Output{}, checks.Failed(checks.Missing, "no such program")
		}, c.File, checks.Missing},
		"no file":         {command.NewExec(), "", checks.Unconfigured},
		"a relative file": {command.NewExec(), "compose.yml", checks.Unconfigured},
	} {
		c.File = scene.file
		e := env(t, c)
		e.Exec = scene.exec
		check, problems := checks.NewCheck(Recreate, "r", map[string]any{"service": "app"}, checks.Rules{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, r := range []checks.Result{
			checks.NewRunner(e, nil).Preview(t.Context(), check, checks.Own{}), checks.NewRunner(e, nil).Act(t.Context(), check, checks.Own{}),
			checks.NewRunner(e, nil).Probe(t.Context(), check, checks.Own{}, checks.Rule{}),
		} {
			if r.Level != checks.Unknown || r.Class != scene.class {
				t.Errorf("%s: %s %q %s", name, r.Level, r.Class, r.Err)
			}
		}
	}
}

func TestConfigurationIsReadAsComposePrintsIt(t *testing.T) {
	t.Parallel()
	const text = "services:\n  app:\n    image: a:1\n    environment:\n      A: 1.5\n      B: 'yes'\n      C: a$$b\n      D: null\n      E: ''\n"
	w, err := parseConfig([]byte(text), "app")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.differing([]string{"A=1.5", "B=yes", "C=a$b", "E="}); len(got) != 0 {
		t.Errorf("differing %q", got)
	}
	if diff := cmp.Diff([]string{"A", "B", "E"}, w.differing([]string{"A=1.6", "C=a$b", "D=x", "X=y"})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"services: 5", "secret: [", "services: {app: {environment: [SECRET=hunter2]}}"} {
		if _, err := parseConfig([]byte(bad), "app"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, name := range []string{"-x", "a=b", "a b"} {
		if _, problems := checks.NewCheck(Recreate, "r", map[string]any{"service": name}, checks.Rules{}); len(problems) == 0 {
			t.Errorf("the service %q is accepted", name)
		}
	}
}

func TestWhetherThereIsAnythingToWaitFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	make := func(state container.ContainerState, health container.HealthStatus, restarts int) replica {
		c := replica{inspected: inspected{id: "a", restarts: restarts, healthcheck: health != container.NoHealthcheck}}
		c.state = container.State{Status: state, Health: &container.Health{Status: health}}
		return c
	}
	for _, c := range []struct {
		replica replica
		since   time.Duration // how long it has been seen running
		want    progress
	}{
		{make(container.StateRunning, container.Healthy, 0), 0, settledWell},
		{make(container.StateRunning, container.Starting, 0), 0, waiting},
		{make(container.StateRunning, container.Unhealthy, 0), 0, broken},
		{make(container.StateRunning, container.NoHealthcheck, 0), time.Second, waiting},
		{make(container.StateRunning, container.NoHealthcheck, 0), settled, settledWell},
		{make(container.StateRunning, container.NoHealthcheck, 1), settled, broken},
		{make(container.StateCreated, container.NoHealthcheck, 0), 0, waiting},
		{make(container.StateExited, container.NoHealthcheck, 0), 0, broken},
		{make(container.StateRestarting, container.NoHealthcheck, 0), 0, broken},
	} {
		if got := condition([]replica{c.replica}, map[string]time.Time{"a": now.Add(-c.since)}, now); got != c.want {
			t.Errorf("%+v after %v: %d, want %d", c.replica.state, c.since, got, c.want)
		}
	}
	if condition(nil, nil, now) != broken {
		t.Error("no container at all is waited for")
	}
}

// FuzzConfig holds that no output of compose's makes the reader fall over.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("services:\n  app:\n    image: a:1\n    environment:\n      A: 1\n"))
	f.Add([]byte("services: {app: {environment: {A: null, B: [x]}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if w, err := parseConfig(text, "app"); err == nil {
			w.differing([]string{"A=1"})
		}
	})
}
