package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/watch"
)

func (p *program) triageCommand() *cobra.Command {
	var nagios bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "triage",
		Short: "Run every configured read-only check once, worst first, causes folded",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := p.enter(cmd.Context(), looks)
			if err != nil {
				return err
			}
			defer w.close()
			w.waits(wait)
			snapshot := w.once(cmd.Context(), asked(w.site.Checks(p.registry)))
			ordered := worstFirst(snapshot)
			worst := checks.Skipped
			results := make([]checks.Result, len(ordered))
			for i, s := range ordered {
				results[i] = s.Result
				worst = checks.Worst(worst, s.Level)
			}
			switch {
			case nagios:
				printNagios(p.Stdout, results)
			case p.flags.json:
				if err := printJSON(p.Stdout, results, true); err != nil {
					return err
				}
			default:
				p.printTriage(snapshot, ordered)
			}
			return verdict(worst)
		},
	}
	waitFlag(cmd, &wait)
	cmd.Flags().BoolVar(&nagios, "nagios", false, "print in the format of monitoring plugins")
	return cmd
}

// asked are the checks that say how the site is, without those that are there
// to be looked at.
func asked(cs []checks.Check) []checks.Check {
	return slices.DeleteFunc(cs, func(c checks.Check) bool { return c.OnDemand })
}

// once runs all checks in parallel; the Runner's pools bound how many at a time.
func (w *world) once(ctx context.Context, cs []checks.Check) watch.Snapshot {
	results := make([]checks.Result, len(cs))
	var all sync.WaitGroup
	for i, c := range cs {
		all.Go(func() {
			defer crash.Recover()
			crash.Point("check")
			results[i] = w.runner.Run(ctx, c)
		})
	}
	all.Wait()
	for i := range results {
		results[i].Collecting = false // nothing comes after: it is unknown like any other
	}
	return watch.Once(time.Now(), cs, results)
}

// worstFirst is every check: those that are not well by rank, then the others
// in their own order.
func worstFirst(s watch.Snapshot) []watch.State {
	ordered := s.WorstFirst(s.At)
	seen := map[string]bool{}
	for _, st := range ordered {
		seen[st.Check.ID] = true
	}
	for _, level := range []checks.Level{checks.OK, checks.Skipped} {
		for _, st := range s.States {
			if !seen[st.Check.ID] && st.Level == level {
				ordered = append(ordered, st)
			}
		}
	}
	return ordered
}

func (p *program) printTriage(s watch.Snapshot, ordered []watch.State) {
	counts := s.Counts(s.At)
	paint := p.painter()
	level, worst := checks.Skipped, "nothing to look at"
	if len(ordered) > 0 {
		level, worst = ordered[0].Result.Level, ordered[0].Check.ID
	}
	tally := fmt.Sprintf("%d crit, %d unknown, %d warn, %d held, %d ok, %d not here",
		counts[checks.Crit], counts[checks.Unknown], counts[checks.Warn], s.Held(), counts[checks.OK], counts[checks.Skipped])
	fmt.Fprintln(p.Stdout, paint.verdict(level, worst, tally))
	for _, st := range ordered {
		line := paint.headline(st.Result)
		if st.HeldBy != "" {
			line = "   held by " + st.HeldBy + ": " + st.Check.ID + "  " + summary(st.Result)
		}
		fmt.Fprintln(p.Stdout, line)
		for _, b := range st.Result.Why {
			if st.HeldBy == "" {
				fmt.Fprintf(p.Stdout, "        %s\n", breachText(b))
			}
		}
	}
}
