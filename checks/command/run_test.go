package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
)

func TestFamily(t *testing.T) {
	t.Parallel()
	checktest.Family(t, Family())
}

// site is an Env with one command of the site file, called job.
func site(t *testing.T, argv ...string) checks.Env {
	t.Helper()
	env := checks.Env{Root: "/", Exec: NewExec(Grace(200 * time.Millisecond)), Dir: t.TempDir(), Token: "opsdeck/test", Out: t.Output()}
	env.Site.Commands = map[string]checks.Command{"job": {Name: "job", Argv: argv, Danger: 2, Timeout: time.Minute}}
	return env
}

func check(t *testing.T, with map[string]any) checks.Check {
	t.Helper()
	raw := map[string]any{"command": "job"}
	for name, value := range with {
		raw[name] = value
	}
	c, problems := checks.NewCheck(Run, "job", raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func act(t *testing.T, env checks.Env, with map[string]any) checks.Result {
	t.Helper()
	return checks.NewRunner(env, nil).Act(t.Context(), check(t, with), env)
}

func probed(t *testing.T, env checks.Env) checks.Result {
	t.Helper()
	return checks.NewRunner(env, nil).Probe(t.Context(), check(t, nil), env, checks.Rule{})
}

func TestScenes(t *testing.T) {
	t.Parallel()
	artifact := filepath.Join(t.TempDir(), "index.html")
	write(t, artifact, "old", 0o600)
	tests := []struct {
		name, body string
		with       map[string]any
		level      checks.Level
		class      checks.Class
		decided    string // the fact that decided
		probe      checks.Level
	}{
		{name: "ok", body: `echo fine`, level: checks.OK, probe: checks.OK},
		{name: "exit 3", body: `exit 3`, level: checks.Crit, decided: "exit", probe: checks.Crit},
		{name: "ended by a signal", body: `kill -9 $$`, level: checks.Crit, decided: "exit", probe: checks.Crit},
		{name: "left behind", body: `sleep 60 &`, level: checks.Crit, decided: "left", probe: checks.OK},
		{name: "a flood", body: `exec yes`, level: checks.Crit, decided: "exit", probe: checks.Crit},
		{name: "tests ran", body: `echo 'Tests: 1 failed, 41 total'; echo 'Tests: 42 total'`, with: map[string]any{"count": `Tests:.* ([0-9]+) total`}, level: checks.OK, probe: checks.OK},
		{name: "no tests ran", body: `echo 'Tests: 0 total'`, with: map[string]any{"count": `([0-9]+) total`}, level: checks.Crit, decided: "counted", probe: checks.OK},
		{name: "nothing tells how many tests ran", body: `echo bye`, with: map[string]any{"count": `([0-9]+) total`}, level: checks.Unknown, class: checks.NoData, probe: checks.OK},
		{name: "nothing is counted of what failed", body: `exit 1`, with: map[string]any{"count": `([0-9]+) total`}, level: checks.Crit, decided: "exit", probe: checks.Crit},
		{name: "what was counted is no number", body: `echo 1.2.3 total`, with: map[string]any{"count": `([0-9.]+) total`}, level: checks.Unknown, class: checks.Parse, probe: checks.OK},
		{name: "the artifact is old", body: `:`, with: map[string]any{"artifact": artifact}, level: checks.Crit, decided: "artifact_new", probe: checks.OK},
		{name: "the artifact is not there", body: `:`, with: map[string]any{"artifact": artifact + ".gz"}, level: checks.Crit, decided: "artifact_new", probe: checks.OK},
		{name: "the artifact is new", body: `echo x > ` + artifact + `.map`, with: map[string]any{"artifact": artifact + ".map"}, level: checks.OK, probe: checks.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := site(t, script(t, tt.body))
			env.Out = nil
			res := act(t, env, tt.with)
			if res.Level != tt.level || res.Class != tt.class {
				t.Errorf("level %v, class %q: %s %s", res.Level, res.Class, res.Note, res.Err)
			}
			decided := slices.ContainsFunc(res.Why, func(b checks.Breach) bool { return b.Fact == tt.decided })
			if tt.decided != "" && !decided {
				t.Errorf("decided by %+v, want %s", res.Why, tt.decided)
			}
			if p := probed(t, env); p.Level != tt.probe {
				t.Errorf("the probe says %v: %s %s", p.Level, p.Note, p.Err)
			}
		})
	}
}

func TestACommandThatNeverEndsIsAFact(t *testing.T) {
	t.Parallel()
	env := site(t, script(t, `trap '' TERM; while :; do sleep 0.05; done`))
	c := env.Site.Commands["job"]
	c.Timeout = 200 * time.Millisecond
	env.Site.Commands["job"] = c
	res := act(t, env, nil)
	if f, _ := res.Fact("timed_out", ""); res.Level != checks.Crit || !f.Bool() {
		t.Errorf("level %v, timed out %v: %s %s", res.Level, f, res.Note, res.Err)
	}
	if p := probed(t, env); p.Level != checks.Crit || !strings.Contains(p.Note, "did not run to its end") {
		t.Errorf("the probe says %v: %s %s", p.Level, p.Note, p.Err)
	}
}

func TestACancelledCommandIsNotDoneWhateverItsExitCode(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	env := site(t, script(t, `trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done`))
	env.Out = onFirst(cancel)
	res := checks.NewRunner(env, nil).Act(ctx, check(t, nil), env)
	if res.Level != checks.Unknown {
		t.Errorf("level %v: %s %s", res.Level, res.Note, res.Err)
	}
	if p := probed(t, env); p.Level != checks.Crit {
		t.Errorf("the probe says %v: %s %s", p.Level, p.Note, p.Err)
	}
}

func TestWhatCannotBeRunIsUnknownOrNotHere(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		env   checks.Env
		level checks.Level
		class checks.Class
	}{
		{"missing", site(t, "/no/such/program"), checks.Unknown, checks.Missing},
		{"not executable", site(t, write(t, filepath.Join(t.TempDir(), "job"), "#!/bin/sh\n", 0o644)), checks.Unknown, checks.Denied},
		{"writable by others", site(t, write(t, filepath.Join(t.TempDir(), "job"), "#!/bin/sh\n", 0o757)), checks.Unknown, checks.Denied},
		{"not in the site file", checks.Env{Root: "/", Exec: NewExec(), Dir: t.TempDir()}, checks.Skipped, checks.Unconfigured},
		{"empty", site(t), checks.Unknown, checks.Unconfigured},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runner := checks.NewRunner(tt.env, nil)
			for _, res := range []checks.Result{
				runner.Preview(t.Context(), check(t, nil), tt.env), runner.Act(t.Context(), check(t, nil), tt.env),
			} {
				if res.Level != tt.level || res.Class != tt.class || res.Err == "" {
					t.Errorf("level %v, class %q: %s", res.Level, res.Class, res.Err)
				}
			}
		})
	}
}

func TestThePreviewPinsWhatWouldRun(t *testing.T) {
	t.Parallel()
	job := script(t, `echo one`)
	seen := func(argv ...string) checks.Result {
		env := site(t, argv...)
		res := checks.NewRunner(env, nil).Preview(t.Context(), check(t, nil), env)
		if res.Level != checks.OK {
			t.Fatalf("%v: %s", res.Level, res.Err)
		}
		return res
	}
	first := seen(job, "-x", "a b")
	if f, _ := first.Fact("danger", ""); first.Target != "job" || f.Num != 2 {
		t.Errorf("target %q, danger %v", first.Target, f.Num)
	}
	text := strings.Join(first.Detail, "\n")
	for _, want := range []string{fmt.Sprintf("runs %q \"-x\" \"a b\"", job), "sha256 ", "mode 0755", "owner "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if seen(job, "-x", "a b").Fingerprint != first.Fingerprint {
		t.Error("the same has another fingerprint")
	}
	if seen(job, "-x", "a", "b").Fingerprint == first.Fingerprint {
		t.Error("other arguments have the same fingerprint")
	}
	byShell := seen("/bin/sh", job)
	write(t, job, "#!/bin/sh\necho two\n", 0o755)
	if seen(job, "-x", "a b").Fingerprint == first.Fingerprint {
		t.Error("another script has the same fingerprint")
	}
	if seen("/bin/sh", job).Fingerprint == byShell.Fingerprint {
		t.Error("another script given to a shell has the same fingerprint")
	}
}

func TestTheArgumentsAreExactlyTheSites(t *testing.T) {
	t.Parallel()
	var live bytes.Buffer
	env := site(t, script(t, `for a; do echo "[$a]"; done`), "a b", "$(id)", "*", "-n", "")
	env.Out = &live
	if res := act(t, env, nil); res.Level != checks.OK {
		t.Fatalf("%v: %s", res.Level, res.Err)
	}
	if want := "[a b]\n[$(id)]\n[*]\n[-n]\n[]\n"; live.String() != want {
		t.Errorf("the command saw %q", live.String())
	}
	for _, raw := range []map[string]any{{"command": "job", "args": "x"}, {}, {"command": "job", "count": "("}, {"command": "job", "count": "a"}, {"command": "job", "artifact": "x"}} {
		if _, problems := checks.NewCheck(Run, "job", raw, checks.Rules{}); len(problems) == 0 {
			t.Errorf("%v binds", raw)
		}
	}
}

// TestAKilledRunIsNotTakenForAnything runs itself again, is killed in the
// middle and looks at what it left.
func TestAKilledRunIsNotTakenForAnything(t *testing.T) {
	if dir := os.Getenv("BE_KILLED"); dir != "" {
		env := site(t, os.Getenv("BE_KILLED_JOB"))
		env.Dir = dir
		env.Out = onFirst(func() { _ = killSelf() })
		act(t, env, nil)
		t.Fatal("still there")
	}
	t.Parallel()
	env := site(t, script(t, `echo ready; exec sleep 2`))
	if p := probed(t, env); p.Level != checks.Crit || !strings.Contains(p.Note, "never started") {
		t.Errorf("before it, the probe says %v: %s %s", p.Level, p.Note, p.Err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledRunIsNotTakenForAnything$")
	cmd.Env = append(os.Environ(), "BE_KILLED="+env.Dir, "BE_KILLED_JOB="+env.Site.Commands["job"].Argv[0])
	if err := cmd.Run(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the run ended with %v", err)
	}
	if p := probed(t, env); p.Level != checks.Unknown || !strings.Contains(p.Err, "nobody saw it end") {
		t.Errorf("after it, the probe says %v: %s %s", p.Level, p.Note, p.Err)
	}
	env.Token = "opsdeck/other"
	if p := probed(t, env); p.Level != checks.Unknown || !strings.Contains(p.Err, "another run") {
		t.Errorf("of another run, the probe says %v: %s %s", p.Level, p.Note, p.Err)
	}
}

func killSelf() error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Kill()
}
