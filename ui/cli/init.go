package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/site"
)

func (p *program) initCommand() *cobra.Command {
	var force, system bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented opsdeck.yaml from what this host has",
		Long:  "Writes a commented site file (default ./opsdeck.yaml) from what this host has. It only\nlooks: nothing is changed but FILE, and an existing FILE only with --force.",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if system {
				s, err := p.loadSite(cmd.Context())
				if err != nil {
					return err
				}
				return p.printSystem(p.Stdout, s.Name)
			}
			path := "opsdeck.yaml"
			if len(args) == 1 {
				path = args[0]
			}
			found := site.Detect(cmd.Context(), site.ThisHost(p.Env), p.registry)
			if err := writeNew(path, found.Write(), force); err != nil {
				return err
			}
			fmt.Fprintf(p.Stdout, "wrote %s: %d connections, %d services, %d logs, %d backup sets found on %s\n",
				path, len(found.Connections), len(found.Services), len(found.Logs), len(found.Backups), found.Name)
			fmt.Fprintf(p.Stdout, "next: edit it, opsdeck lint %s, opsdeck doctor\n", path)
			return nil
		},
	}
	cmd.Flags().BoolVar(&system, "system", false, "print how the site gets a supervisor that runs as a service, and write nothing")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite FILE")
	return cmd
}

// writeNew never overwrites without force. The file is its owner's alone,
// since passwords tend to end up in it.
func writeNew(path string, content []byte, force bool) error {
	write := hostfs.WriteNew
	if force {
		write = hostfs.WriteAtomic
	}
	err := write(path, content, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usage("--force overwrites it", "%s exists", path)
	}
	if err != nil {
		return &exit{exitState, fmt.Errorf("writing the site file: %w", err), ""}
	}
	return nil
}
