package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// No test here is given an Exec that could change the host: all but one speak
// to a machine, and the one that asks the real apt-get lets only questions pass.

func TestFamily(t *testing.T) {
	t.Parallel()
	checktest.Family(t, Family())
}

const (
	bootA = "11111111-2222-3333-4444-555555555555"
	bootB = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
)

// A machine stands for a host: a tree of files and what its programs answer.
type machine struct {
	t    *testing.T
	root string

	mu      sync.Mutex
	answers map[string]func(checks.Call) (checks.Output, error) // by the beginning of the command line; the longest counts
	missing []string
	ran     []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), answers: map[string]func(checks.Call) (checks.Output, error){}}
	m.file("proc/sys/kernel/random/boot_id", bootA+"\n")
	m.file("proc/sys/kernel/hostname", "lms1\n")
	m.file("proc/uptime", "86400.00 1000.00\n")
	m.file("proc/locks", "")
	m.file("var/lib/dpkg/status", "")
	m.file("var/lib/dpkg/lock-frontend", "")
	m.file("var/lib/apt/periodic/update-success-stamp", "")
	m.says("who", "root pts/0 2026-11-23 03:00\n")
	m.says("systemctl is-system-running", "running\n")
	m.says("systemctl list-units", "")
	m.says("dpkg --audit", "")
	return m
}

func (m *machine) file(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(m.t, os.WriteFile(path, []byte(content), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) does(command string, do func(checks.Call) (checks.Output, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[command] = do
}

func (m *machine) says(command, stdout string) { m.ends(command, 0, stdout, "") }

func (m *machine) ends(command string, code int, stdout, stderr string) {
	m.does(command, func(call checks.Call) (checks.Output, error) {
		if call.Live != nil {
			call.Live.Write([]byte(stdout + stderr))
		}
		if call.Stdout != nil {
			call.Stdout.Write([]byte(stdout))
			return checks.Output{Stderr: []byte(stderr), Code: code}, nil
		}
		return checks.Output{Stdout: []byte(stdout), Stderr: []byte(stderr), Code: code}, nil
	})
}

// lacks takes away the program, or only the command lines that begin so.
func (m *machine) lacks(command string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.missing = append(m.missing, command)
}

func (m *machine) exec(ctx context.Context, call checks.Call) (checks.Output, error) {
	if err := ctx.Err(); err != nil {
		return checks.Output{}, err
	}
	line := strings.Join(call.Argv, " ")
	m.mu.Lock()
	m.ran = append(m.ran, line)
	var best string
	for command := range m.answers {
		if strings.HasPrefix(line, command) && len(command) >= len(best) {
			best = command
		}
	}
	answer := m.answers[best]
	if slices.ContainsFunc(m.missing, func(command string) bool { return strings.HasPrefix(line, command) }) {
		answer = func(checks.Call) (checks.Output, error) {
			return checks.Output{}, checks.Failed(checks.Missing, "no program %s", call.Argv[0])
		}
	}
	m.mu.Unlock()
	if answer == nil {
		m.t.Errorf("nobody expected %q", line)
		return checks.Output{}, checks.Failed(checks.Internal, "unexpected: %s", line)
	}
	return answer(call)
}

// has reports whether a command that begins so was run.
func (m *machine) has(command string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.ran {
		if strings.HasPrefix(line, command) {
			return true
		}
	}
	return false
}

func (m *machine) env() checks.Env {
	return checks.Env{Root: m.root, Exec: m.exec, Now: time.Now, Token: "opsdeck/test", Dir: m.t.TempDir()}
}

func bind(t *testing.T, module *checks.Module, with map[string]any) checks.Check {
	t.Helper()
	c, problems := checks.NewCheck(module, module.Name, with, checks.Rules{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func (m *machine) preview(module *checks.Module, with map[string]any) checks.Result {
	m.t.Helper()
	env := m.env()
	return checks.NewRunner(env, nil).Preview(m.t.Context(), bind(m.t, module, with), env)
}

func (m *machine) act(ctx context.Context, module *checks.Module, with map[string]any, before []fact.Fact) checks.Result {
	m.t.Helper()
	env := m.env()
	env.Before = before
	return checks.NewRunner(env, nil).Act(ctx, bind(m.t, module, with), env)
}

func (m *machine) probe(module *checks.Module, before []fact.Fact) checks.Result {
	m.t.Helper()
	env := m.env()
	env.Before = before
	return checks.NewRunner(env, nil).Probe(m.t.Context(), bind(m.t, module, nil), env, checks.Rule{})
}

func number(t *testing.T, res checks.Result, name string) float64 {
	t.Helper()
	f, ok := res.Fact(name, "")
	if !ok {
		t.Errorf("no fact %s in %+v", name, res.Facts)
	}
	return f.Num
}

func hasDetail(res checks.Result, part string) bool {
	return strings.Contains(strings.Join(res.Detail, "\n"), part)
}
