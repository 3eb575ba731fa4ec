package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
)

// waitFlag declares --wait of a command that runs checks.
func waitFlag(cmd *cobra.Command, wait *time.Duration) {
	cmd.Flags().DurationVar(wait, "wait", checks.DefaultWait,
		"how long checks that compare two samples may wait for enough data, all together; 0: judge at once, or not")
}

// waits lets checks by difference wait for enough data. A deck's do not: it
// samples them again.
func (w *world) waits(wait time.Duration) {
	w.wait = wait
	env := w.runner.Env()
	env.Wait = wait
	w.runner.Use(env)
}
