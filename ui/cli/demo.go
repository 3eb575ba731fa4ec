package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks/sandbox"
)

func (p *program) demoCommand() *cobra.Command {
	var headless, fetch bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The deck on a throwaway site with a real database, some of it unwell",
		Long: `Starts a sandbox site, a learning platform with a real PostgreSQL, Redis, web and API
endpoints, TLS, logs and backups, some of them unwell on purpose, and opens the deck
on it. Everything is removed when the demo ends, however it ends; only the record of
the runs is kept, under the name "demo".`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			box, err := p.startSandbox(ctx, fetch)
			if err != nil {
				return err
			}
			defer func() {
				if err := box.Close(); err != nil {
					fmt.Fprintf(p.Stderr, "warning: %v\n", err)
				}
			}()
			for _, line := range box.Missing {
				fmt.Fprintf(p.Stderr, "note: %s\n", line)
			}
			p.flags.site = box.Site
			if headless {
				fmt.Fprintln(p.Stdout, box.Site)
				<-ctx.Done()
				return nil
			}
			return p.deck(ctx)
		},
	}
	cmd.Flags().BoolVar(&headless, "headless", false, "start the sandbox, print the path of its site file, and wait")
	cmd.Flags().BoolVar(&fetch, "fetch", true, "download PostgreSQL into the user's cache if the machine has none")
	return cmd
}

func (p *program) startSandbox(ctx context.Context, fetch bool) (*sandbox.Sandbox, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program for the sandbox's janitor: %w", err)
	}
	box, err := sandbox.Start(ctx, sandbox.Options{
		Janitor: []string{self, "janitor"}, Fetch: fetch,
		Progress: func(line string) { fmt.Fprintf(p.Stderr, "demo: %s\n", line) },
	})
	if err != nil {
		return nil, fmt.Errorf("starting the sandbox: %w", err)
	}
	return box, nil
}

// janitorCommand removes a sandbox's directory when its process is gone.
func (p *program) janitorCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "janitor DIR",
		Hidden: true,
		Args:   exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return sandbox.Clean(args[0], p.Stdin)
		},
	}
}
