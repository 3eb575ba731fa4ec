// Package checktest holds every module to what the rest of opsdeck relies on:
// documented and lintable metadata, facts as declared, no panic and no false
// ok when nothing is configured, and an end when the context ends.
//
// It is test support and is not linked into the program.
package checktest

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

var (
	moduleName = regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
	wordName   = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Family runs the conformance suite on every module of a family.
func Family(t *testing.T, f checks.Family) {
	t.Helper()
	if _, err := checks.NewRegistry(f); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Modules {
		t.Run(m.Name, func(t *testing.T) {
			metadata(t, m)
			parameters(t, m)
			facts(t, m)
			example(t, m)
			nothingConfigured(t, m)
			cancelled(t, m)
		})
	}
}

func metadata(t *testing.T, m *checks.Module) {
	t.Helper()
	if !moduleName.MatchString(m.Name) {
		t.Errorf("the name %q is not family.subject in lower case", m.Name)
	}
	if m.Doc == "" || strings.HasSuffix(m.Doc, ".") || strings.Contains(m.Doc, "\n") {
		t.Errorf("the doc %q is not one sentence without a full stop", m.Doc)
	}
	if m.Timeout < 0 || m.Timeout > 30*time.Minute {
		t.Errorf("a timeout of %v", m.Timeout)
	}
	effect(t, m)
	difference(t, m)
	for _, text := range []string{m.Warn, m.Fail} {
		for _, err := range checks.LintRule(m, text) {
			t.Errorf("default rule %q: %v", text, err)
		}
	}
}

// difference: a module that takes two samples says how far apart they must and
// may be. Its facts or parameters give it away.
func difference(t *testing.T, m *checks.Module) {
	t.Helper()
	declares := m.Window > 0 || m.Least > 0
	if p, ok := m.Param("sample"); ok && p.Type == checks.DurationParam {
		declares = true
	}
	for _, name := range []string{"measured", "delta"} {
		if _, ok := m.FactSpec(name); ok {
			declares = true
		}
	}
	switch {
	case !declares:
	case m.Window <= 0 || m.Least <= 0 && !m.SinceReset:
		t.Errorf("it takes the difference of two samples, with Least %v, Window %v", m.Least, m.Window)
	case m.Least > checks.DefaultWait || m.Least > m.Window:
		t.Errorf("Least is %v: a headless command waits for %v, and the Window is %v", m.Least, checks.DefaultWait, m.Window)
	}
}

// effect: what changes something can be looked at before and after, says what
// a crash leaves, and is never without danger; what only looks has none of it.
func effect(t *testing.T, m *checks.Module) {
	t.Helper()
	if m.Effect == checks.ReadOnly {
		if m.Preview != nil || m.Probe != nil || m.Danger != 0 || m.Crash != "" {
			t.Error("a read-only module has a preview, a probe, a danger or a crash policy")
		}
		return
	}
	if m.Preview == nil || m.Probe == nil || m.Danger < 1 || m.Danger > 3 || m.Crash == "" {
		t.Errorf("an action needs a preview, a probe, a danger from 1 to 3 (has %d) and a crash policy", m.Danger)
	}
	if done, ok := m.FactSpec(checks.DoneFact.Name); !ok || done != checks.DoneFact {
		t.Error("an action declares checks.DoneFact")
	}
	for _, err := range checks.LintRule(m, m.Verify) {
		t.Errorf("verify rule %q: %v", m.Verify, err)
	}
}

func parameters(t *testing.T, m *checks.Module) {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range m.Params {
		if !wordName.MatchString(p.Name) || seen[p.Name] {
			t.Errorf("parameter %q is badly named or declared twice", p.Name)
		}
		seen[p.Name] = true
		if p.Doc == "" {
			t.Errorf("parameter %s has no doc", p.Name)
		}
		if p.Required && p.Default != nil {
			t.Errorf("parameter %s is required and has a default", p.Name)
		}
	}
	for _, problem := range without(required(m), bindProblems(m, nil)) {
		t.Errorf("the defaults do not bind: %v", problem)
	}
}

func required(m *checks.Module) map[string]bool {
	names := map[string]bool{}
	for _, p := range m.Params {
		names[p.Name] = p.Required
	}
	return names
}

func bindProblems(m *checks.Module, raw map[string]any) []checks.ArgError {
	_, problems := checks.Bind(m, raw)
	return problems
}

func without(names map[string]bool, problems []checks.ArgError) []checks.ArgError {
	var rest []checks.ArgError
	for _, p := range problems {
		if !names[p.Path] {
			rest = append(rest, p)
		}
	}
	return rest
}

func facts(t *testing.T, m *checks.Module) {
	t.Helper()
	seen := map[string]bool{}
	for _, s := range m.AllFacts() {
		if !wordName.MatchString(s.Name) || seen[s.Name] {
			t.Errorf("fact %q is badly named or declared twice", s.Name)
		}
		seen[s.Name] = true
		if s.Doc == "" {
			t.Errorf("fact %s has no doc", s.Name)
		}
	}
}

// example parses the module's example as the block of a runbook and binds it.
func example(t *testing.T, m *checks.Module) {
	t.Helper()
	var block struct {
		Use  string         `yaml:"use"`
		With map[string]any `yaml:"with"`
		Warn string         `yaml:"warn"`
		Fail string         `yaml:"fail"`
	}
	if err := yaml.Unmarshal([]byte(m.Example), &block); err != nil || block.Use != m.Name {
		t.Errorf("the example does not parse to a block that uses %s: %v\n%s", m.Name, err, m.Example)
		return
	}
	rules := checks.Rules{Warn: checks.Rule{Text: block.Warn}, Fail: checks.Rule{Text: block.Fail}}
	if _, problems := checks.NewCheck(m, "example", block.With, rules); len(problems) > 0 {
		t.Errorf("the example does not bind: %v", problems)
	}
}

// exampleArgs are arguments with which the module can be run at all.
func exampleArgs(t *testing.T, m *checks.Module) map[string]any {
	t.Helper()
	var block struct {
		With map[string]any `yaml:"with"`
	}
	if err := yaml.Unmarshal([]byte(m.Example), &block); err != nil {
		t.Fatalf("example: %v", err)
	}
	return block.With
}

// nothingConfigured: an Env without anything must give a reason, not a panic
// and never an ok.
func nothingConfigured(t *testing.T, m *checks.Module) {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, exampleArgs(t, m), checks.Rules{})
	if len(problems) > 0 {
		return // reported by example
	}
	check.Timeout = 3 * time.Second
	env := checks.Env{Root: t.TempDir()}
	res := checks.NewRunner(env, nil).Run(t.Context(), check)
	if res.Class == checks.Internal {
		t.Errorf("with nothing configured: %s", res.Err)
	}
	if res.Level == checks.OK || res.Level == checks.Warn {
		t.Errorf("with nothing configured the verdict is %v: %s", res.Level, res.Note)
	}
	if (res.Level == checks.Unknown || res.Level == checks.Skipped) && res.Err == "" {
		t.Errorf("with nothing configured the verdict is %v without a reason", res.Level)
	}
}

// cancelled: a module whose context has ended returns; the Runner would
// otherwise abandon it and say so.
func cancelled(t *testing.T, m *checks.Module) {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, exampleArgs(t, m), checks.Rules{})
	if len(problems) > 0 {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	root := "/"
	if m.Effect != checks.ReadOnly {
		root = t.TempDir()
	}
	runner := checks.NewRunner(checks.Env{Root: root}, nil)
	runner.Run(ctx, check)
	if runner.Abandoned() > 0 {
		t.Error("the module does not stop when its context ends")
	}
}

// Run runs a module as the program would and holds the result to the module's
// declaration: every fact declared and of the declared type, every required
// fact there unless the result says why not. It returns the result for the
// scene's own assertions.
func Run(t *testing.T, env checks.Env, m *checks.Module, raw map[string]any) checks.Result {
	t.Helper()
	check, problems := checks.NewCheck(m, m.Name, raw, checks.Rules{})
	if len(problems) > 0 {
		t.Fatalf("binding %s: %v", m.Name, problems)
	}
	return RunCheck(t, checks.NewRunner(env, nil), check)
}

// RunCheck is Run for a check and a Runner of the caller's, for scenes that
// need memory from one run to the next. What a scene changes between two runs
// is judged at once: the module's Least is lifted.
func RunCheck(t *testing.T, runner *checks.Runner, check checks.Check) checks.Result {
	t.Helper()
	if check.Module.Least > 0 {
		atOnce := *check.Module
		atOnce.Least, check.Module = 0, &atOnce
	}
	res := runner.Run(t.Context(), check)
	found := map[string]bool{}
	for _, f := range res.Facts {
		found[f.Name] = true
		declared(t, check.Module, f)
	}
	if res.Err != "" {
		return res
	}
	for _, s := range check.Module.Facts {
		if !found[s.Name] && !s.Optional && s.Label == "" {
			t.Errorf("%s found no %s and does not declare it optional", check.Module.Name, s.Name)
		}
	}
	return res
}

func declared(t *testing.T, m *checks.Module, f fact.Fact) {
	t.Helper()
	spec, ok := m.FactSpec(f.Name)
	switch {
	case !ok:
		t.Errorf("%s reports %s, which it does not declare", m.Name, f.Name)
	case spec.Type != f.Type:
		t.Errorf("%s reports %s as %v, declared as %v", m.Name, f.Name, f.Type, spec.Type)
	case spec.Label == "" && f.Label != "":
		t.Errorf("%s reports %s of %q, declared without a label", m.Name, f.Name, f.Label)
	}
}
