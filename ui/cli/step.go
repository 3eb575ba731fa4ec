package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/command"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/runbooks"
	"github.com/advanced-lms/opsdeck/runbooks/lock"
	"github.com/advanced-lms/opsdeck/runbooks/step"
	"github.com/advanced-lms/opsdeck/runbooks/supervisor"
)

// stepCommand is the process of one action. Nobody types it: the supervisor
// starts it from a folder with an intent.
func (p *program) stepCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "step FOLDER",
		Hidden: true,
		Args:   exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			// Not the command's context: a step ends when it is asked to, or is done.
			ctx := context.Background()
			s, err := p.loadSite(ctx)
			if err != nil {
				return err
			}
			w, err := p.worldOf(ctx, s, serves, p.logTo(p.Stderr))
			if err != nil {
				return err
			}
			defer w.close()
			wrap := func(out io.Writer) io.Writer { return clean.NewWriter(out, w.redact) }
			spared := w.spare()
			return step.Main(ctx, step.Folder{Path: args[0]}, wrap, func(ctx context.Context, in step.Intent, own checks.Own) (checks.Result, bool) {
				return p.act(ctx, w, in, own)
			}, step.Spare(spared))
		},
	}
}

// spare makes the commands of this step those of a process that inherits their
// orphans, and says which of those may stay: the daemons of a command that was
// allowed to leave some.
func (w *world) spare() func(pid int) bool {
	var mu sync.Mutex
	stay := map[int]bool{}
	run := command.NewExec(command.Reaper())
	env := w.runner.Env()
	env.Exec = func(ctx context.Context, call checks.Call) (checks.Output, error) {
		out, err := run(ctx, call)
		mu.Lock()
		defer mu.Unlock()
		for _, left := range out.Left {
			pid, _, _ := strings.Cut(left, " ")
			if n, parseErr := strconv.Atoi(pid); call.Leave && parseErr == nil {
				stay[n] = true
			}
		}
		return out, err
	}
	w.runner.Use(env)
	return func(pid int) bool {
		mu.Lock()
		defer mu.Unlock()
		return stay[pid]
	}
}

// act does what an intent says, if its target is still the one that was
// previewed and nobody else works at it. Before that nothing is touched.
func (p *program) act(ctx context.Context, w *world, in step.Intent, own checks.Own) (result checks.Result, touched bool) {
	if now := siteHash(w.site); in.Site != "" && in.Site != now {
		why := fmt.Errorf("the site file was edited since the preview (%s, now %s)", runbooks.ShortHash(in.Site), runbooks.ShortHash(now))
		return refused(in, w.redact, why), false
	}
	check, err := p.checkOf(in)
	if err != nil {
		return refused(in, w.redact, err), false
	}
	folder, err := p.locks(w)
	if err != nil {
		return refused(in, w.redact, err), false
	}
	held, err := folder.Acquire(in.Locks, lock.Claim{Who: in.Who, What: in.Run + "/" + in.Item, PID: os.Getpid(), At: time.Now()})
	if err != nil {
		return refused(in, w.redact, err), false
	}
	defer held.Release()
	again := w.runner.Preview(ctx, check, own)
	switch {
	case again.Level != checks.OK:
		return refused(in, w.redact, fmt.Errorf("looking again just before: %s", again.Err)), false
	case again.Fingerprint != in.Fingerprint:
		return refused(in, w.redact, fmt.Errorf("the target is not the one that was previewed: it was %s, it is %s",
			in.Fingerprint, again.Fingerprint)), false
	}
	return w.runner.Act(ctx, check, own), true
}

// refused is the result of a step that did nothing.
func refused(in step.Intent, redact *clean.Redactor, err error) checks.Result {
	text := clean.Line("nothing was done: "+redact.Redact(err.Error()), 400)
	return checks.Result{
		ID: in.Check, Module: in.Module, Target: in.Target, Level: checks.Unknown, At: time.Now(),
		Err: text, Note: text, Class: checks.ClassOf(err), Facts: []fact.Fact{},
	}
}

// checkOf binds the check again that the supervisor resolved.
func (p *program) checkOf(in step.Intent) (checks.Check, error) {
	m, ok := p.registry.Lookup(in.Module)
	if !ok {
		return checks.Check{}, fmt.Errorf("no module %q in this build", in.Module)
	}
	check, problems := checks.NewCheck(m, in.Check, in.With, checks.Rules{Warn: in.Warn, Fail: in.Fail})
	if len(problems) > 0 {
		return checks.Check{}, fmt.Errorf("binding %s again: %w", in.Module, problems[0])
	}
	check.Connection, check.Target, check.Timeout = in.Connection, in.Target, in.Timeout
	return check, nil
}

// deeds hands actions to steps of ours.
func (p *program) deeds(w *world) runbooks.Deeds {
	return supervisor.Steps{
		Root: filepath.Join(w.dir, "steps"),
		Args: func(folder string) []string { return p.selfArgs(w, "step", folder) },
	}
}

// advice goes with every preview.
func (p *program) advice(time.Time) []string {
	if why := step.Logind(); why != "" {
		return []string{"careful: " + why}
	}
	return nil
}
