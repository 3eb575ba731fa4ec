// Package cli is the other user interface: every headless command, with the
// exit codes, flags and JSON fields that cron, CI and a colleague's script
// rely on. Deck, in deck.go, is the one command with a screen.
//
// Start reading at New; world.go turns a site file into something that runs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/core/owner"
	"github.com/advanced-lms/opsdeck/ui/theme"
)

// A Program is what main puts together: everything that can be checked and
// the runbooks that ship with it.
type Program struct {
	Version  string
	Families []checks.Family
	Library  fs.FS // shipped runbooks, *.md

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(string) string

	// Now is the clock by which things are due; nil means time.Now.
	Now func() time.Time
}

// program is a Program at work.
type program struct {
	Program
	registry *checks.Registry
	flags    flags
	machine  bool           // the output is for a program: JSON, monitoring plugins
	names    bool           // the first line, on stderr, names the site file in use
	redact   clean.Redactor // of the secrets of every site file that was read
}

// flags are the global ones.
type flags struct {
	site     string
	state    string
	runbooks string
	color    string
	ascii    bool
	json     bool
}

// Main runs the command line and returns the process's exit code. Errors go
// to stderr as "error:" and "hint:" lines.
func Main(ctx context.Context, def Program, args []string) int {
	if def.Now == nil {
		def.Now = time.Now
	}
	registry, err := checks.NewRegistry(def.Families...)
	if err != nil {
		fmt.Fprintf(def.Stderr, "error: this build's modules do not fit together: %v\n", err)
		return exitInternal
	}
	p := &program{Program: def, registry: registry}
	root := p.root()
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	p.complain(err)
	return codeOf(err)
}

// maxComplaint bounds an error's text: a file that is wrong all over must not
// flood the terminal.
const maxComplaint = 16 << 10

// complain prints an error that the command's own output has not told yet.
func (p *program) complain(err error) {
	var e *exit
	if err == nil || errors.As(err, &e) && e.err == nil {
		return
	}
	fmt.Fprintf(p.Stderr, "error: %s\n", clean.Block(p.redact.Redact(err.Error()), maxComplaint))
	if e != nil && e.hint != "" {
		fmt.Fprintf(p.Stderr, "hint: %s\n", clean.Line(p.redact.Redact(e.hint), 0))
	}
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "opsdeck",
		Short: "A console for maintenance windows and incidents: live panes beside the checklist",
		Long: `opsdeck shows a host, its services and its database live beside the checklist
that is due, runs the checklist's items, and keeps what came of each as
evidence that nobody can quietly change. Without a command it opens the deck.

The site file, runbooks and files of secrets have to belong to the user or root, and so
do the folders above them; others may not write them. Further owners are trusted by a
line with their name in /etc/opsdeck/trusted-owners, which is root's, or for a user who
is not root in ~/.config/opsdeck/trusted-owners.

Exit codes: 0 ok, 1 worst is warn, 2 worst is crit or failed, 3 unknown,
pending or interrupted, 64 usage, 65 bad runbook or site file, 70 internal
error (a panic too), 73 cannot write state, 134 (SIGABRT) a crash that cannot be
recovered. The trace of either is in opsdeck.log in the state directory.`,
		Args:          none,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       p.Version,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			nagios := cmd.Flags().Lookup("nagios")
			p.machine = p.flags.json || nagios != nil && nagios.Changed
			if err := theme.ParseColor(p.flags.color); err != nil {
				return usage("one of auto, always, never", "--color: %w", err)
			}
			if _, err := owner.Current(); err != nil {
				return refusal(err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return p.deck(cmd.Context()) },
	}
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true
	f := root.PersistentFlags()
	f.StringVar(&p.flags.site, "site", "", "site file (default $OPSDECK_SITE, ./opsdeck.yaml, the user's, /etc/opsdeck, else detection)")
	f.StringVar(&p.flags.state, "state", "", "state directory (default $XDG_STATE_HOME/opsdeck)")
	f.StringVar(&p.flags.runbooks, "runbooks", "", "directory of more runbooks, beside the shipped ones")
	f.StringVar(&p.flags.color, "color", "auto", "auto, always or never")
	f.BoolVar(&p.flags.ascii, "ascii", false, "draw with ASCII only")
	f.BoolVar(&p.flags.json, "json", false, "print JSON where it makes sense")
	root.AddCommand(p.modulesCommand(), p.checkCommand(), p.triageCommand(), p.doctorCommand(), p.initCommand(),
		p.lintCommand(), p.runCommand(), p.dueCommand(), p.historyCommand(), p.showCommand(), p.verifyCommand(),
		p.demoCommand(), p.importCommand(), p.reportCommand(), p.diffCommand(), p.superviseCommand(), p.stepCommand(), p.janitorCommand(), p.completionCommand(root))
	return root
}

// flagError turns cobra's wording into ours, with the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var names []string
	for _, set := range []interface{ FlagUsages() string }{cmd.Flags(), cmd.InheritedFlags()} {
		for _, word := range strings.Fields(set.FlagUsages()) {
			if strings.HasPrefix(word, "--") {
				names = append(names, word)
			}
		}
	}
	_, wrong, _ := strings.Cut(err.Error(), "unknown flag: ")
	hint := "see " + cmd.CommandPath() + " --help"
	if wrong != "" {
		hint = checks.Nearest(wrong, names)
	}
	return usage(hint, "%w", err)
}

// none accepts no arguments; what looks like a command gets the nearest one.
func none(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if len(names) == 0 {
		return usage("see "+cmd.CommandPath()+" --help", "%s takes no arguments, found %q", cmd.CommandPath(), args[0])
	}
	return usage(checks.Nearest(args[0], names), "there is no command %q", args[0])
}

func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("usage: "+cmd.UseLine(), "%d arguments where at most %d are expected", len(args), n)
		}
		return nil
	}
}

func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("usage: "+cmd.UseLine(), "%d arguments where %d are expected", len(args), n)
		}
		return nil
	}
}

func atLeast(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("usage: "+cmd.UseLine(), "%d arguments where at least %d are expected", len(args), n)
		}
		return nil
	}
}

// painter colours for people: on a terminal, unless told otherwise.
func (p *program) painter() painter {
	switch p.flags.color {
	case "always":
		return painter{true}
	case "never":
		return painter{}
	}
	return painter{p.Env("NO_COLOR") == "" && p.Env("TERM") != "dumb" && isTerminal(p.Stdout)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
