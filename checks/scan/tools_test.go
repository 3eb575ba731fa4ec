package scan_test

import (
	"context"
	"strings"
	"testing"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/checktest"
	"github.com/advanced-lms/opsdeck/checks/scan"
)

func toolIs(t *testing.T, res checks.Result, name string) (present bool, version string) {
	t.Helper()
	f, ok := res.Fact("present", name)
	if !ok {
		t.Fatalf("%s was not looked for: %s", name, res.Err)
	}
	v, _ := res.Fact("version", name)
	return f.Bool(), v.Text
}

// TestRealToolsSayTheirVersion: each in a form of its own, wrk with a failure.
func TestRealToolsSayTheirVersion(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nmap", "sqlmap", "testssl", "ab"} {
		need(t, name)
	}
	res := checktest.Run(t, env(t), scan.Tools, map[string]any{"tools": []any{"nmap", "sqlmap", "testssl", "ab"}, "least": map[string]any{"nmap": "7.9"}})
	if res.Level != checks.OK {
		t.Fatalf("%v %s %v", res.Level, res.Err, res.Detail)
	}
	for _, name := range []string{"nmap", "sqlmap", "testssl", "ab"} {
		if here, version := toolIs(t, res, name); !here || !strings.Contains(version, ".") {
			t.Errorf("%s: %v %q", name, here, version)
		}
	}
	if res := checktest.Run(t, env(t), scan.Tools, map[string]any{"least": map[string]any{"nmap": "1000.1"}}); res.Level != checks.Crit || !strings.Contains(strings.Join(res.Detail, "\n"), "1000.1 is the least") {
		t.Errorf("an old one: %v %s %v", res.Level, res.Err, res.Detail)
	}
}

// says is a host that has the programs given, with what they say.
func says(programs map[string]string) checks.Exec {
	return func(_ context.Context, call checks.Call) (checks.Output, error) {
		text, ok := programs[call.Argv[0]]
		if !ok {
			return checks.Output{}, checks.Failed(checks.Missing, "no %s", call.Argv[0])
		}
		return checks.Output{Stdout: []byte(text), Code: 1}, nil
	}
}

func TestAToolThatAScanNeedsHasToBeHere(t *testing.T) {
	t.Parallel()
	e := env(t, allowedScan(t, "zap", "http://127.0.0.1:1/"))
	e.Exec = says(map[string]string{"nmap": "Nmap version 7.93 ( https://nmap.org )\n"})
	res := checktest.Run(t, e, scan.Tools, nil)
	if res.Level != checks.Crit || !strings.Contains(strings.Join(res.Detail, "\n"), "zap is not here") {
		t.Errorf("%v %s %v", res.Level, res.Err, res.Detail)
	}
	e.Exec = says(map[string]string{"zap.sh": "Found Java version 17.0.9\nAvailable memory: 3914 MB\n2.14.0\n"})
	res = checktest.Run(t, e, scan.Tools, nil)
	if here, version := toolIs(t, res, "zap"); res.Level != checks.OK || !here || version != "2.14.0" {
		t.Errorf("%v %v %q", res.Level, here, version)
	}
	if here, _ := toolIs(t, res, "nmap"); here {
		t.Error("nmap is not here")
	}
}

// TestVersionsAreComparedByTheirNumbers, of recorded words of the tools that
// this machine need not have.
func TestVersionsAreComparedByTheirNumbers(t *testing.T) {
	t.Parallel()
	e := env(t)
	e.Exec = says(map[string]string{
		"vegeta": "Version: 12.8.4\nCommit: \nRuntime: go1.19.4 linux/amd64\n", "k6": "k6 v0.45.0 (2023-06-26T10:33:59+0000/v0.45.0-0-g5cd0f8e8, go1.20.5, linux/amd64)\n",
		"wrk": "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\n", "artillery": "Artillery: 2.0.21\n\nNode.js: v20.20.2\n", "gitleaks": "version is set by build process\n",
	})
	for tool, want := range map[string]map[string]checks.Level{
		"vegeta":    {"12.8.4": checks.OK, "12.10": checks.Crit, "9.9.9": checks.OK},
		"k6":        {"0.45": checks.OK, "0.45.1": checks.Crit},
		"wrk":       {"4.1": checks.OK, "5.0": checks.Crit},
		"artillery": {"2.0.21": checks.OK, "2.0.100": checks.Crit},
		"gitleaks":  {"8.0": checks.Unknown},
		"nmap":      {"7.0": checks.Crit},
	} {
		for least, level := range want {
			if res := checktest.Run(t, e, scan.Tools, map[string]any{"least": map[string]any{tool: least}}); res.Level != level {
				t.Errorf("%s of %s: %v %s", tool, least, res.Level, res.Err)
			}
		}
	}
	e.Exec = func(context.Context, checks.Call) (checks.Output, error) {
		return checks.Output{}, checks.Failed(checks.Denied, "it may not be run")
	}
	if res := checktest.Run(t, e, scan.Tools, nil); res.Level != checks.Unknown || res.Class != checks.Denied {
		t.Errorf("what may not be run is %v %s", res.Level, res.Class)
	}
	for with, part := range map[string]map[string]any{"did you mean": {"tools": []any{"namp"}}, "is not a version": {"least": map[string]any{"nmap": "new"}}, "in quotes": {"least": map[string]any{"nmap": 7.8}}} {
		if _, problems := checks.NewCheck(scan.Tools, "it", part, checks.Rules{}); len(problems) != 1 || !strings.Contains(problems[0].Error(), with) {
			t.Errorf("%v: %v", part, problems)
		}
	}
}
