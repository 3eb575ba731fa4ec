package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/sandbox"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

func (p *program) demoCommand() *cobra.Command {
	var headless, fetch bool
	var bloat, group string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The deck on a throwaway site with a real database, some of it unwell",
		Long: `Starts a sandbox site, a learning platform with a real PostgreSQL, Redis, web and API
endpoints, TLS, logs and backups, some of them unwell on purpose, and opens the deck
on it. Everything is removed when the demo ends, however it ends; only the record of
the runs is kept, under the name "demo".

With --bloat one table is half dead rows, so that the maintenance window has something
to rebuild that takes a while. With --group the members of a Unix group may come to the
demo's runs from logins of their own, and sign as the second person that danger 3 asks
for: opsdeck --site FILE, with the file that is printed.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			opts := sandbox.Options{Fetch: fetch}
			if err := sandboxOptions(&opts, bloat, group); err != nil {
				return err
			}
			box, err := p.startSandbox(ctx, opts)
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
			if box.Socket != "" {
				kept, err := p.keepSupervisor(ctx, group)
				if err != nil {
					return err
				}
				defer kept()
				fmt.Fprintf(p.Stderr, "demo: members of %s join with: opsdeck --site %s\n", group, box.Site)
			}
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
	cmd.Flags().StringVar(&bloat, "bloat", "", "size of a table that is half dead rows: 1GiB")
	cmd.Flags().StringVar(&group, "group", "", "group whose members may join the demo's runs")
	return cmd
}

// mostBloat bounds what a demo takes from the disk on purpose.
const mostBloat = 64 << 30

// sandboxOptions reads what the sandbox is to have beside the usual.
func sandboxOptions(opts *sandbox.Options, bloat, group string) error {
	if bloat != "" {
		size, err := checks.ParseBytes(bloat)
		if err != nil {
			return usage("--bloat 1GiB", "--bloat: %w", err)
		}
		if size < 1 || size > mostBloat {
			return usage("--bloat 1GiB", "--bloat %s is not between 1B and 64GiB", bloat)
		}
		opts.Bloat = int64(size)
	}
	if group != "" {
		gid, err := groupOf(group)
		if err != nil {
			return err
		}
		if gid == 0 {
			return usage("a group of those who are to join", "--group %s is root's own", group)
		}
		opts.Group = gid
	}
	return nil
}

// superviseEvery is how soon a supervisor that has ended is missed.
const superviseEvery = time.Second

// keepSupervisor starts the demo's supervisor, for a group, and starts it again
// when it has ended, as it does when nobody needs it for a minute. The last one
// ends so by itself.
func (p *program) keepSupervisor(ctx context.Context, group string) (stop func(), err error) {
	w, err := p.enter(ctx, serves)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if _, err := w.journal(); err != nil { // it makes the state directory
		return nil, err
	}
	dir, args := w.dir, append(p.selfArgs(w, "supervise"), "--group", group)
	start := func() error {
		if err := supervisor.Spawn(ctx, dir, args...); !errors.Is(err, supervisor.ErrServed) {
			return err
		}
		return nil
	}
	if err := start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer crash.Recover()
		tick := time.NewTicker(superviseEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !supervisor.Serves(dir) {
				start() //nolint:errcheck // whoever needs it is told that it is not there, and it is tried again
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

func (p *program) startSandbox(ctx context.Context, opts sandbox.Options) (*sandbox.Sandbox, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program for the sandbox's janitor: %w", err)
	}
	opts.Janitor = []string{self, "janitor"}
	opts.Progress = func(line string) { fmt.Fprintf(p.Stderr, "demo: %s\n", line) }
	box, err := sandbox.Start(ctx, opts)
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
