package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/runbooks/importer"
)

func (p *program) importCommand() *cobra.Command {
	var output string
	var force bool
	cmd := &cobra.Command{
		Use:   "import GUIDE.md",
		Short: "Make a runbook from a guide: tasks found, limits, contradictions, the rest by hand",
		Long: `Reads a maintenance guide in Markdown and prints it as a runbook: each task an item to
be done by hand, with the guide's own commands below it as text that is never
executed. What an owner should know goes to stderr, with its line: sections that the
contents list omits, facts stated more than once, contradictions, placeholders,
mis-decoded bytes. Placeholders are errors to lint until the real values stand there.

Exits 0 when nothing is to be resolved, 1 when something is.`,
		Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			source, err := hostfs.Read(args[0], maxLintFile)
			if err != nil {
				return &exit{exitData, fmt.Errorf("reading the guide: %w", err), ""}
			}
			g, err := importer.Import(source)
			if err != nil {
				return &exit{exitData, err, ""}
			}
			if p.flags.json {
				if err := printJSON(p.Stdout, g, true); err != nil {
					return err
				}
				return toResolve(g)
			}
			p.printImported(args[0], g)
			id := strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0]))
			runbook := g.Markdown(importer.Slug(id), filepath.Base(args[0]))
			if output != "" {
				err = writeNew(output, runbook, force)
			} else {
				_, err = p.Stdout.Write(runbook)
			}
			return errors.Join(err, toResolve(g))
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "file to write the runbook to, instead of stdout")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite the file")
	return cmd
}

// printImported says what was found, the worst first, to stderr: the runbook
// is on stdout.
func (p *program) printImported(file string, g importer.Guide) {
	fmt.Fprintf(p.Stderr, "%s: %d tasks in %d sections, %d thresholds, %d to resolve\n", clean.Line(file, 0), g.Tasks(), len(g.Sections), len(g.Of(importer.Threshold)), unresolved(g))
	for _, code := range []string{importer.Contradiction, importer.Repeated, importer.Unlisted, importer.Placeholder, importer.NoLanguage, importer.Misdecoded} {
		for _, f := range g.Of(code) {
			fmt.Fprintf(p.Stderr, "%s:%d %s %s\n", clean.Line(file, 0), f.Line, f.Code, clean.Line(f.Text, 0))
		}
	}
}

// unresolved are the findings that an owner has to do something about.
func unresolved(g importer.Guide) int {
	return len(g.Of(importer.Contradiction)) + len(g.Of(importer.Placeholder)) + len(g.Of(importer.Misdecoded))
}

func toResolve(g importer.Guide) error {
	if unresolved(g) > 0 {
		return &exit{code: 1}
	}
	return nil
}
