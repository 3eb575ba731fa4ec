package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/checks/site"
	"github.com/advanced-lms/opsdeck/runbooks/markdown"
)

// maxLintFile is beyond what either parser accepts; it bounds the read.
const maxLintFile = 4 << 20

func (p *program) lintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lint FILE...",
		Short: "Check runbooks (*.md) and site files (*.yaml): every problem with its line and column",
		Long: `Checks runbooks and site files and prints every problem as
file:line:col severity CODE message (hint). Exits 0 when clean, 1 with
warnings only, 65 with errors.`,
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			found := []markdown.Diagnostic{}
			for _, path := range files {
				diagnostics, err := p.lint(path)
				if err != nil {
					return &exit{exitData, err, ""}
				}
				found = append(found, diagnostics...)
			}
			if err := p.printDiagnostics(found); err != nil {
				return err
			}
			switch {
			case markdown.HasErrors(found):
				return &exit{code: exitData}
			case len(found) > 0:
				return &exit{code: 1}
			}
			return nil
		},
	}
}

// lint reads one file by its ending.
func (p *program) lint(path string) ([]markdown.Diagnostic, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".yaml", ".yml":
		s, problems, err := site.Load(path, p.registry, p.Env)
		var refused *owner.Refusal
		if errors.As(err, &refused) {
			problems, err = site.Problems{site.Refused(refused)}, nil
		}
		if err != nil {
			return nil, err
		}
		found := fromSite(problems)
		if s != nil && len(s.Withheld) > 0 {
			fmt.Fprintf(p.Stderr, "not checked: %d secrets that only the supervisor can have, the first: %s\n", len(s.Withheld), clean.Line(s.Withheld[0], 0))
		}
		return found, nil
	case ".md", ".markdown":
		source, err := readSteering(path)
		var refused *owner.Refusal
		if errors.As(err, &refused) {
			return []markdown.Diagnostic{{
				File: path, Line: 1, Col: 1, Severity: markdown.Error, Code: "owner", Msg: refused.Cause(), Hint: refused.Remedy,
			}}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the runbook: %w", err)
		}
		dir := filepath.Dir(path)
		_, diagnostics := markdown.Parse(path, source, markdown.Options{
			Registry: p.registry, Now: time.Now(),
			HasFile: func(link string) bool { _, err := os.Stat(filepath.Join(dir, link)); return err == nil },
		})
		return diagnostics, nil
	default:
		return nil, fmt.Errorf("%s is neither a runbook (.md) nor a site file (.yaml)", path)
	}
}

// readSteering reads a file that decides what we do: one that somebody else could
// have written is an *owner.Refusal.
func readSteering(path string) ([]byte, error) {
	rule, err := owner.Current()
	if err != nil {
		return nil, err
	}
	return rule.Read(path, maxLintFile)
}

func fromSite(problems site.Problems) []markdown.Diagnostic {
	var list []markdown.Diagnostic
	for _, p := range problems {
		list = append(list, markdown.Diagnostic{
			File: p.File, Line: p.Line, Col: p.Col, Severity: markdown.Severity(p.Severity), Code: p.Code, Msg: p.Msg, Hint: p.Hint,
		})
	}
	return list
}

func (p *program) printDiagnostics(found []markdown.Diagnostic) error {
	if p.flags.json {
		return printJSON(p.Stdout, found, true)
	}
	for _, d := range found {
		fmt.Fprintln(p.Stdout, clean.Line(d.String(), 0))
	}
	return nil
}
