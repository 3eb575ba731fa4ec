package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// env is a site whose one connection is c.
func env(t *testing.T, c checks.Connection) checks.Env {
	t.Helper()
	c.Kind, c.Name = kind, "main"
	handle, err := Family().Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
	})
	return checks.Env{
		Site:   checks.SiteFacts{Connections: []checks.Connection{c}},
		Handle: func(string, string) (checks.Handle, error) { return handle, nil },
	}
}

func run(t *testing.T, c checks.Connection, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	return checktest.Run(t, env(t, c), m, raw)
}

// readOnly are the modules that can be run without arguments.
func readOnly() []*checks.Module {
	return slices.DeleteFunc(slices.Clone(modules), func(m *checks.Module) bool { return m.Effect != checks.ReadOnly })
}

func judged(t *testing.T, res checks.Result, level checks.Level, because string) {
	t.Helper()
	if res.Level != level {
		t.Errorf("%s is %v, want %v: %s %s %v", res.Module, res.Level, level, res.Note, res.Err, res.Why)
		return
	}
	for _, b := range res.Why {
		if b.Fact == because {
			return
		}
	}
	if because != "" {
		t.Errorf("%s is %v because of %v, want %s", res.Module, res.Level, res.Why, because)
	}
}

func unknown(t *testing.T, res checks.Result, class checks.Class) {
	t.Helper()
	if res.Level != checks.Unknown || res.Class != class || res.Err == "" {
		t.Errorf("%s is %v, class %q: %q; want unknown, class %q", res.Module, res.Level, res.Class, res.Err, class)
	}
}

func value(t *testing.T, res checks.Result, name, label string) fact.Value {
	t.Helper()
	f, ok := res.Fact(name, label)
	if !ok {
		t.Fatalf("%s has no %s of %q: %s", res.Module, name, label, res.Err)
	}
	return f.Value
}

func TestModulesKeepTheirPromises(t *testing.T) { checktest.Family(t, Family()) }

func TestASiteWithoutDockerIsSkipped(t *testing.T) {
	for _, m := range readOnly() {
		if res := checktest.Run(t, checks.Env{}, m, nil); res.Level != checks.Skipped {
			t.Errorf("%s is %v: %s", m.Name, res.Level, res.Err)
		}
	}
}

func TestHostsAreCheckedBeforeAnythingIsDialled(t *testing.T) {
	tests := map[string]bool{
		"": true, "unix:///run/docker.sock": true, "tcp://10.0.0.1:2375": true,
		"/run/docker.sock": false, "ssh://host": false, "nonsense": false, "unix://": false,
	}
	for host, good := range tests {
		_, err := Open(checks.Connection{Name: "main", Host: host})
		if (err == nil) != good || err != nil && checks.ClassOf(err) != checks.Unconfigured {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestServices(t *testing.T) {
	e := needEngine(t)
	tests := []struct {
		name    string
		make    func(t *testing.T, project string)
		expect  []string
		level   checks.Level
		because string
	}{
		{"all well", func(t *testing.T, project string) {
			e.await(t, e.create(t, spec{project: project, service: "web", command: []string{"wait"}, check: "0"}), health(container.Healthy))
		}, []string{"web"}, checks.OK, ""},
		{"no health check", func(t *testing.T, project string) {
			e.create(t, spec{project: project, service: "web", command: []string{"wait"}})
		}, []string{"web"}, checks.Warn, "without_healthcheck"},
		{"unhealthy", func(t *testing.T, project string) {
			e.await(t, e.create(t, spec{project: project, service: "web", command: []string{"wait"}, check: "1"}), health(container.Unhealthy))
		}, []string{"web"}, checks.Crit, "unhealthy"},
		{"ended well is still not there", func(t *testing.T, project string) {
			e.await(t, e.create(t, spec{project: project, service: "web", command: []string{"exit", "0"}}), ended)
		}, []string{"web"}, checks.Crit, "exited"},
		{"in a loop of crashes", func(t *testing.T, project string) {
			e.await(t, e.create(t, spec{project: project, service: "web", command: []string{"exit", "3"}, restart: container.RestartPolicyAlways}),
				often())
		}, []string{"web"}, checks.Crit, "restarting"},
		{"never made", func(*testing.T, string) {}, []string{"web"}, checks.Crit, "missing"},
		{"removed, and nobody knows", func(*testing.T, string) {}, nil, checks.Unknown, ""},
		{"paused", func(t *testing.T, project string) {
			id := e.create(t, spec{project: project, service: "web", command: []string{"wait"}})
			if _, err := e.api.ContainerPause(t.Context(), id, client.ContainerPauseOptions{}); err != nil {
				t.Fatal(err)
			}
		}, nil, checks.Crit, "exited"},
		{"a job beside the list", func(t *testing.T, project string) {
			e.await(t, e.create(t, spec{project: project, service: "web", command: []string{"wait"}, check: "0"}), health(container.Healthy))
			e.await(t, e.create(t, spec{project: project, service: "migrate", command: []string{"exit", "0"}}), ended)
			e.await(t, e.create(t, spec{project: project, service: "web", command: []string{"exit", "1"}, oneOff: true}), ended)
		}, []string{"web"}, checks.OK, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			project := strings.ToLower(strings.Map(letters, t.Name()))
			tt.make(t, project)
			res := run(t, checks.Connection{Host: e.host, Project: project, Expect: tt.expect}, Services, nil)
			judged(t, res, tt.level, tt.because)
		})
	}
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}

func TestWhatIsKnownOfAService(t *testing.T) {
	e := needEngine(t)
	t.Parallel()
	e.await(t, e.create(t, spec{project: "facts", service: "api", command: []string{"wait"}, check: "0"}), health(container.Healthy))
	e.await(t, e.create(t, spec{project: "facts", service: "api", command: []string{"exit", "7"}}), ended)
	res := run(t, checks.Connection{Host: e.host}, Services, map[string]any{"project": "facts"})
	judged(t, res, checks.Crit, "exited")
	got := map[string]string{}
	for _, f := range res.Facts {
		got[strings.TrimSuffix(f.Name+" "+f.Label, " ")] = f.Value.String()
	}
	delete(got, "up api")
	want := map[string]string{
		"expected": "1", "running": "0", "missing": "0", "exited": "1", "unhealthy": "0", "restarting": "0", "without_healthcheck": "0", "restarted": "0",
		"state api": "exited", "health api": "none", "restarts api": "0", "oom_killed api": "false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if up := value(t, res, "up", "api").Dur(); up > time.Minute {
		t.Errorf("up %v", up)
	}
	if table, _ := res.Table("services"); len(table.Rows) != 1 || table.Rows[0][5].Text != "exit 7" {
		t.Errorf("the table is %+v", table.Rows)
	}
	if !strings.Contains(strings.Join(res.Detail, "\n"), "from the containers that are there") {
		t.Errorf("it is not said where the list comes from: %q", res.Detail)
	}
}

func TestARestartIsSeenAndAFastLoopIsCaught(t *testing.T) {
	e := needEngine(t)
	t.Parallel()
	id := e.create(t, spec{project: "again", service: "api", command: []string{"wait"}, check: "0"})
	e.await(t, id, health(container.Healthy))
	now := time.Now().Add(time.Hour)
	got, err := e.api.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := describe(got.Container)
	if err != nil {
		t.Fatal(err)
	}
	c.created = c.started.Add(-5 * time.Hour) // a start long after the deployment
	restarted := &look{now: now, recent: 24 * time.Hour}
	restarted.compare([]string{"api"}, map[string][]inspected{"api": {c}})
	looping := &look{now: now, recent: 24 * time.Hour, before: restartCounts{c.id: -1}}
	looping.compare([]string{"api"}, map[string][]inspected{"api": {c}})
	old := &look{now: now.AddDate(0, 0, 2), recent: 24 * time.Hour}
	old.compare([]string{"api"}, map[string][]inspected{"api": {c}})
	if restarted.counts.restarted != 1 || looping.counts.restarting != 1 || old.counts.restarted != 0 {
		t.Errorf("restarted %+v, looping %+v, old %+v", restarted.counts, looping.counts, old.counts)
	}
}

func TestTwoProjectsOnOneEngineAreToldApart(t *testing.T) {
	in := func(project string) inspected {
		return inspected{project: project, service: "web", state: container.State{Status: container.StateRunning}}
	}
	if got := group([]inspected{in("a"), in("b")}, true); len(got["a/web"]) != 1 || len(got["b/web"]) != 1 {
		t.Errorf("grouped as %v", got)
	}
	if got := group([]inspected{in("a"), in("a")}, true); len(got["web"]) != 2 {
		t.Errorf("grouped as %v", got)
	}
}

func TestStats(t *testing.T) {
	e := needEngine(t)
	tests := []struct {
		name    string
		make    func(t *testing.T, project string)
		level   checks.Level
		because string
	}{
		{"idle within its limit", func(t *testing.T, project string) {
			e.create(t, spec{project: project, service: "web", command: []string{"wait"}, memory: 64})
		}, checks.OK, ""},
		{"no limit", func(t *testing.T, project string) {
			e.create(t, spec{project: project, service: "web", command: []string{"wait"}})
		}, checks.Warn, "limited"},
		{"at its processor limit", func(t *testing.T, project string) {
			e.create(t, spec{project: project, service: "web", command: []string{"spin"}, memory: 64, nanoCPUs: 1e8})
		}, checks.Crit, "cpu"},
		{"much memory", func(t *testing.T, project string) {
			id := e.create(t, spec{project: project, service: "web", command: []string{"eat", "54"}, memory: 64})
			e.awaitMemory(t, id, 54<<20)
		}, checks.Warn, "mem"},
		{"killed for want of memory", func(t *testing.T, project string) {
			e.runOutOfMemory(t, project)
		}, checks.Crit, "oom_killed"},
		{"none runs", func(t *testing.T, project string) {
			e.await(t, e.create(t, spec{project: project, service: "web", command: []string{"exit", "0"}, memory: 64}), ended)
		}, checks.Unknown, ""},
		{"none is there", func(*testing.T, string) {}, checks.Unknown, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			project := strings.ToLower(strings.Map(letters, t.Name()))
			tt.make(t, project)
			judged(t, run(t, checks.Connection{Host: e.host, Project: project}, Stats, nil), tt.level, tt.because)
		})
	}
}

// runOutOfMemory leaves a container that the kernel killed for want of memory.
// The engine hears of that apart from the exit, and on a busy machine not at
// all when the container's group is gone first: then another one is killed.
func (e *engine) runOutOfMemory(t *testing.T, project string) {
	t.Helper()
	for range 10 {
		id := e.create(t, spec{project: project, service: "web", command: []string{"eat", "128"}, memory: 32})
		e.await(t, id, ended)
		for range 40 {
			got, err := e.api.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Container.State.OOMKilled {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
	}
	t.Fatal("the engine noticed none of ten containers killed for want of memory")
}

// awaitMemory waits until a container holds so many bytes.
func (e *engine) awaitMemory(t *testing.T, id string, bytes uint64) {
	t.Helper()
	s, err := Open(checks.Connection{Host: e.host})
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		if u, err := s.usage(t.Context(), inspected{id: id}); err == nil && u.memory >= bytes {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("the container does not fill its memory")
}
