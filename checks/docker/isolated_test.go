package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/volume"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/command"
)

const isolatedFile = `services:
  db:
    image: labapp:test
    command: ["wait"]
    network_mode: none
    stop_signal: SIGKILL
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "/labapp", "exit", "%s"], interval: 200ms, timeout: 5s, retries: 1}
volumes:
  data: {}
`

// beside is a production project and a test file in the same folder, as in the
// guide.
type beside struct {
	e    *engine
	dir  string
	live checks.Connection
	test checks.Connection
	exec checks.Exec
}

func newBeside(t *testing.T, live string) *beside {
	t.Helper()
	e := needEngine(t)
	b := &beside{e: e, dir: filepath.Join(t.TempDir(), live), exec: command.NewExec()}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.live = checks.Connection{Kind: kind, Name: "main", Host: e.host, Project: live, File: filepath.Join(b.dir, "docker-compose.yml"), Production: true}
	b.test = checks.Connection{Kind: kind, Name: "test", Host: e.host, Project: live + "-restore-test", File: filepath.Join(b.dir, "docker-compose.test.yml")}
	b.write(t, b.live.File, "0")
	b.write(t, b.test.File, "0")
	b.compose(t, "-p", live, "-f", b.live.File, "up", "-d")
	return b
}

func (b *beside) write(t *testing.T, path, health string) {
	t.Helper()
	if err := os.WriteFile(path, fmt.Appendf(nil, isolatedFile, health), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compose runs the command as a person would, in the shared folder.
func (b *beside) compose(t *testing.T, words ...string) {
	t.Helper()
	out, err := b.exec(t.Context(), checks.Call{Argv: append([]string{"docker-compose", "-H", b.e.host}, words...), Dir: b.dir})
	if checks.ClassOf(err) == checks.Missing && os.Getenv("OPSDECK_REQUIRE_REAL") != "1" {
		t.Skip(err)
	}
	if err != nil || out.Code != 0 {
		t.Fatalf("compose %q: %v %s", words, err, out.Stderr)
	}
}

func (b *beside) env(t *testing.T) checks.Env {
	t.Helper()
	handles := map[string]checks.Handle{}
	for _, c := range []checks.Connection{b.live, b.test} {
		handle, err := Family().Open(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := handle.Close(); err != nil {
				t.Error(err)
			}
		})
		handles[c.Name] = handle
	}
	return checks.Env{
		Exec: b.exec, Site: checks.SiteFacts{Connections: []checks.Connection{b.live, b.test}},
		Handle: func(_, name string) (checks.Handle, error) { return handles[name], nil },
	}
}

func (b *beside) has(t *testing.T, name string) bool {
	t.Helper()
	s, err := Open(b.live)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(v volume.Volume) bool { return v.Name == name })
}

func (b *beside) check(t *testing.T, m *checks.Module) checks.Check {
	t.Helper()
	c, problems := checks.NewCheck(m, "it", nil, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func (b *beside) preview(t *testing.T, m *checks.Module) checks.Result {
	t.Helper()
	return checks.NewRunner(b.env(t), nil).Preview(t.Context(), b.check(t, m), checks.Own{})
}

func (b *beside) act(ctx context.Context, t *testing.T, m *checks.Module, seen checks.Result) checks.Result {
	t.Helper()
	return checks.NewRunner(b.env(t), nil).Act(ctx, b.check(t, m), checks.Own{Before: seen.Facts, Token: "opsdeck/test0001", Dir: t.TempDir()})
}

func (b *beside) probe(t *testing.T, m *checks.Module, seen checks.Result) checks.Result {
	t.Helper()
	return checks.NewRunner(b.env(t), nil).Probe(t.Context(), b.check(t, m), checks.Own{Before: seen.Facts, Token: "opsdeck/test0001"}, checks.Rule{})
}

func refused(t *testing.T, what string, res checks.Result, says string) {
	t.Helper()
	if res.Level != checks.Unknown || !strings.Contains(res.Err, says) {
		t.Errorf("%s: %v %q, want a refusal with %q", what, res.Level, res.Err, says)
	}
}

func TestAProjectBesideProductionComesAndGoes(t *testing.T) {
	b := newBeside(t, "live")
	seen := b.preview(t, Up)
	if seen.Level != checks.OK || seen.Target != "live-restore-test" || !strings.Contains(strings.Join(seen.Detail, "\n"), "makes volume live-restore-test_data") {
		t.Fatalf("preview: %v %s %q", seen.Level, seen.Err, seen.Detail)
	}
	if res := b.probe(t, Up, seen); res.Level != checks.Crit {
		t.Errorf("probe before: %v %s", res.Level, res.Err)
	}
	judged(t, b.act(t.Context(), t, Up, seen), checks.OK, "")
	judged(t, b.probe(t, Up, seen), checks.OK, "")
	refused(t, "up again", b.preview(t, Up), "containers already")

	before := b.preview(t, Down)
	if before.Level != checks.OK || before.Target != "live-restore-test" || !strings.Contains(strings.Join(before.Detail, "\n"), "keeps volume live_data") {
		t.Fatalf("preview: %v %s %q", before.Level, before.Err, before.Detail)
	}
	if res := b.probe(t, Down, before); res.Level != checks.Crit {
		t.Errorf("probe before: %v %s", res.Level, res.Err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := b.act(ctx, t, Down, before); res.Level == checks.OK || !b.has(t, "live-restore-test_data") {
		t.Errorf("cancelled: %v", res.Level)
	}
	judged(t, b.act(t.Context(), t, Down, before), checks.OK, "")
	judged(t, b.probe(t, Down, before), checks.OK, "")
	if b.has(t, "live-restore-test_data") || !b.has(t, "live_data") {
		t.Error("the wrong volumes are left")
	}
	refused(t, "down again", b.preview(t, Down), "there is nothing of project")

	b.write(t, b.test.File, "1")
	seen = b.preview(t, Up)
	judged(t, b.act(t.Context(), t, Up, seen), checks.Crit, "")
	before = b.preview(t, Down)
	judged(t, b.act(t.Context(), t, Down, before), checks.OK, "")
	b.compose(t, "-p", "live", "-f", b.live.File, "down", "-v", "-t", "1")
	if res := b.probe(t, Down, before); res.Level != checks.Crit || value(t, res, "lost", "").Num < 1 {
		t.Errorf("production's volume is gone and the probe says %v %s", res.Level, res.Note)
	}
}

// TestTheGuidesTeardownRemovesProductionsVolumes runs the guide's own command
// in the folder that both compose files share.
func TestTheGuidesTeardownRemovesProductionsVolumes(t *testing.T) {
	b := newBeside(t, "shared")
	b.compose(t, "-f", b.test.File, "down", "-v", "-t", "1")
	if b.has(t, "shared_data") {
		t.Fatal("the guide's command left production's volume: this scene proves nothing any more")
	}
	b.compose(t, "-p", "shared", "-f", b.live.File, "up", "-d")
	defer b.compose(t, "-p", "shared", "-f", b.live.File, "down", "-v", "-t", "1")

	own := b.test.Project
	for project, says := range map[string]string{"shared": "is that of docker connection main", "": "names no project of its own"} {
		b.test.Project = project
		refused(t, "up as "+project, b.preview(t, Up), says)
		refused(t, "down as "+project, b.act(t.Context(), t, Down, checks.Result{}), says)
	}
	b.live.Project = "" // compose makes it up from the folder
	b.test.Project = "shared"
	refused(t, "down by the folder's name", b.preview(t, Down), "what compose calls it by default")
	b.live.File = "/elsewhere/docker-compose.yml" // and nothing in the site file tells
	refused(t, "down of what compose.up did not make", b.act(t.Context(), t, Down, checks.Result{}), "was not made by compose.up")
	refused(t, "up over it", b.preview(t, Up), "containers already")
	b.test.Project, b.test.Production = own, true
	refused(t, "marked production", b.preview(t, Up), "is production")
	if !b.has(t, "shared_data") {
		t.Error("production's volume is gone")
	}
}

func TestUpRefusesVolumesThatAreThere(t *testing.T) {
	b := newBeside(t, "named")
	defer b.compose(t, "-p", "named", "-f", b.live.File, "down", "-v", "-t", "1")
	content := strings.Replace(fmt.Sprintf(isolatedFile, "0"), "  data: {}", "  data: {name: named_data}", 1)
	for volume, says := range map[string]string{"{name: named_data}": "volume named_data is there already", "{external: true, name: named_data}": "is external"} {
		text := "version: \"3.8\"\n" + strings.Replace(content, "{name: named_data}", volume, 1)
		if err := os.WriteFile(b.test.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, volume, b.preview(t, Up), says)
	}
}
