package scan

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/git"
)

// Secrets looks for secrets in the history of repositories, and shows none.
var Secrets = module(checks.Module{
	Name:   "scan.secrets",
	Doc:    "Looks with gitleaks for secrets in the whole history of the repositories of the site file and counts those that are not in the accepted report; shows where each is and never what it is",
	Params: []checks.Param{scanParam},
	Facts: []fact.Spec{
		{Name: "secrets", Type: fact.Count, Label: "scan", Worse: fact.Higher, Doc: "secrets that the accepted report does not have"},
		{Name: "accepted", Type: fact.Count, Label: "scan", Doc: "secrets that it has"},
	},
	Fail: "secrets > 0", Source: "guide",
	Timeout: 10 * time.Minute, Every: 24 * time.Hour,
	Example: "use: scan.secrets",
	Run:     secrets,
})

// A leak is an entry of gitleaks' report without what it found.
type leak struct {
	RuleID, File, Commit, Fingerprint string
	StartLine                         int
}

func secrets(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	all, err := chosen(env, args, "gitleaks")
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Exec == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	f := checks.Findings{}
	table := checks.Table{Name: "secrets", Columns: []checks.Column{
		{Name: "scan", Type: fact.Text}, {Name: "rule", Type: fact.Text}, {Name: "file", Type: fact.Text}, {Name: "line", Type: fact.Count}, {Name: "commit", Type: fact.Text}, {Name: "fingerprint", Type: fact.Text},
	}}
	for _, s := range all {
		found, err := leaks(ctx, env, s)
		if err != nil {
			return f, fmt.Errorf("scan %s: %w", s.Name, err)
		}
		accepted, err := acceptedLeaks(s)
		if err != nil {
			return f, fmt.Errorf("scan %s: %w", s.Name, err)
		}
		fresh := 0
		for _, l := range found {
			if accepted[l.Fingerprint] {
				continue
			}
			fresh++
			table.Rows = append(table.Rows, []fact.Value{
				fact.WordValue(s.Name), fact.WordValue(l.RuleID), fact.WordValue(l.File), fact.NumberValue(l.StartLine), fact.WordValue(l.Commit), fact.WordValue(l.Fingerprint),
			})
		}
		f.Facts = append(f.Facts, fact.Number("secrets", fresh).On(s.Name), fact.Number("accepted", len(found)-fresh).On(s.Name))
	}
	f.Note = fmt.Sprintf("%d secrets in %d repositories", len(table.Rows), len(all))
	f.Tables = []checks.Table{table}
	return f, nil
}

// leaks has gitleaks blank what it finds before it writes it anywhere. Its
// exit code for findings is set to 0, so that any other is a failure.
func leaks(ctx context.Context, env checks.Env, s checks.Scan) ([]leak, error) {
	ctx, cancel := context.WithTimeout(ctx, longest(s))
	defer cancel()
	if _, err := os.Stat(s.Target); err != nil {
		return nil, checks.Failed(checks.Missing, "there is no repository: %w", err)
	}
	rule, err := owner.Current()
	if err != nil {
		return nil, err
	}
	if err := rule.Check(s.Target); err != nil {
		return nil, checks.Failed(checks.Denied, "the repository: %w", err)
	}
	steering, err := git.Sources(s.Target)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	out, err := env.Exec(ctx, checks.Call{
		Argv:   []string{"gitleaks", "detect", "--source", s.Target, "--redact", "--no-banner", "--no-color", "--log-level", "error", "--exit-code", "0", "--report-format", "json", "--report-path", "/dev/stdout"},
		Stdout: &text, Max: maxReport,
		Config: append(steering, filepath.Join(s.Target, ".gitleaks.toml"), filepath.Join(s.Target, ".gitleaksignore")),
	})
	if checks.ClassOf(err) == checks.Missing {
		return nil, checks.NotHere{What: "gitleaks is not installed"}
	}
	if err != nil {
		return nil, err
	}
	if out.Code != 0 || len(bytes.TrimSpace(out.Stderr)) > 0 {
		return nil, checks.Failed(checks.NoData, "gitleaks ended with %d: %.200s", out.Code, bytes.TrimSpace(out.Stderr))
	}
	return parseLeaks(text.Bytes())
}

func parseLeaks(raw []byte) ([]leak, error) {
	var all []leak
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, checks.Failed(checks.Parse, "the report of gitleaks: %w", err)
	}
	if all == nil {
		return nil, checks.Failed(checks.NoData, "gitleaks reports neither findings nor that there are none")
	}
	return all, nil
}

func acceptedLeaks(s checks.Scan) (map[string]bool, error) {
	accepted := map[string]bool{}
	if s.Baseline == "" {
		return accepted, nil
	}
	rule, err := owner.Current()
	if err != nil {
		return nil, err
	}
	raw, err := rule.Read(s.Baseline, maxReport) // it decides what counts
	if err != nil {
		return nil, fmt.Errorf("the accepted report: %w", err)
	}
	all, err := parseLeaks(raw)
	for _, l := range all {
		accepted[l.Fingerprint] = true
	}
	return accepted, err
}
