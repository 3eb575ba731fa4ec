package rotation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Run rotates logs.
//
// It goes by the host's own state file, so that the host's timer knows of it,
// and by the host's own defaults: a part of the configuration that is run alone,
// as the guide does, has logrotate's instead, which keep no old log at all.
var Run = module(checks.Module{
	Name:   "logrotate.run",
	Doc:    "Rotates the logs that are due, those of the site's own part of logrotate's configuration if it names one, with the host's defaults and state, and sees who writes to them afterwards",
	Effect: checks.Destructive, Danger: 1,
	Crash: "logrotate goes on to its end by itself; if it ends too, logs may be renamed without a new one and without their hook, and its state file, which it writes last, does not know of it",
	Params: []checks.Param{
		{Name: "force", Type: checks.BoolParam, Default: false, Doc: "rotates what is not due as well; each time an old log more is removed than the configuration means to"},
	},
	Facts: []fact.Spec{
		{Name: "logs", Type: fact.Count, Unit: "logs", Optional: true, Doc: "logs that logrotate considered, from the preview"},
		{Name: "due", Type: fact.Count, Unit: "logs", Doc: "of those, logs that are rotated"},
		{Name: "removed", Type: fact.Count, Unit: "files", Optional: true, Doc: "old logs that are removed by it, from the preview"},
		{Name: "hooks", Type: fact.Count, Unit: "scripts", Optional: true, Doc: "scripts of the configuration that are run, from the preview"},
		{Name: "errors", Type: fact.Count, Unit: "errors", Worse: fact.Higher, Optional: true, Doc: "what logrotate and its hooks called an error"},
		{Name: "rotated", Type: fact.Count, Unit: "logs", Optional: true, Doc: "logs that were rotated, by the state file and by the files themselves"},
		{Name: "left", Type: fact.Count, Unit: "logs", Worse: fact.Higher, Optional: true, Doc: "logs that were to be rotated and were not"},
		{Name: "writers", Type: fact.Count, Unit: "processes", Worse: fact.Higher, Optional: true, Doc: "processes that go on writing to a log that was rotated away"},
		{Name: "identity", Type: fact.Text, Label: "log", Optional: true, Doc: "device, inode, size and last rotation by which a log is known again"},
		{Name: "took", Type: fact.Duration, Optional: true, Doc: "until logrotate had ended"},
		checks.DoneFact,
	},
	Fail: "errors > 0 or left > 0 or writers > 0", Source: "guide (debug first, state file updated, writes to the new file)",
	Verify:  "done == true and writers == 0",
	Timeout: 10 * time.Minute,
	Example: "use: logrotate.run",
	Preview: previewRun, Run: run, Probe: probeRun,
})

// A rotation is what is to be done, as the debug run says it.
type rotation struct {
	*survey
	args   []string // for logrotate: state, force, configuration
	plan   plan
	known  map[string]identity
	remove func() // takes the defaults' file away
}

func previewRun(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	r, err := prepare(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer r.remove()
	writers, err := r.writers(ctx)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{
		Target: r.target(), Fingerprint: r.fingerprint(), Locks: []string{"logrotate:" + r.site.State}, Note: r.plan.says(), Detail: r.plan.lines(),
		Facts: []fact.Fact{
			fact.Number("logs", r.plan.considered), fact.Number("due", len(r.plan.due)), fact.Number("removed", len(r.plan.removed)), fact.Number("hooks", r.plan.hooks),
		},
	}
	for _, log := range r.plan.due {
		f.Facts = append(f.Facts, fact.Word("identity", r.known[log].String()).On(log))
		for _, who := range writers[log] {
			f.Detail = append(f.Detail, fmt.Sprintf("%s is written by %s", log, who))
		}
	}
	f.Detail = append(f.Detail, r.hooks()...)
	return f, nil
}

// hooks are the scripts that will be run, word for word.
func (r *rotation) hooks() []string {
	var lines []string
	for _, b := range r.concerned() {
		for _, name := range slices.Sorted(maps.Keys(b.hooks)) {
			script := b.hooks[name]
			lines = append(lines, fmt.Sprintf("%s:%d runs %s:", b.file, b.line, name))
			for _, command := range commands(script) {
				lines = append(lines, "  "+command)
			}
			if masks(script) {
				lines = append(lines, "careful: it hides that a command failed")
			}
		}
	}
	return lines
}

// run leaves logrotate to end once it has begun, cancelled or not: half a
// rotation is a log without a file, or a writer that nobody told.
func run(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	began := time.Now()
	r, err := prepare(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer r.remove()
	if err := r.asPreviewed(); err != nil {
		return checks.Findings{}, err
	}
	if ctx.Err() != nil {
		return checks.Findings{}, ctx.Err()
	}
	steering, err := r.configs()
	if err != nil {
		return checks.Findings{}, err
	}
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), 9*time.Minute)
	defer cancel()
	var said bytes.Buffer
	env.Printf("rotating %d logs", len(r.plan.due))
	out, err := env.Exec(inner, checks.Call{
		Argv: append([]string{"logrotate", "-v"}, r.args...), Live: both(env.Out, &said), Leave: true, Config: steering,
	})
	if err != nil {
		return checks.Findings{}, fmt.Errorf("logrotate: %w", err)
	}
	failed := complaints(said.String())
	if out.Code != 0 && len(failed) == 0 {
		failed = append(failed, fmt.Sprintf("logrotate ended with %d: %s", out.Code, clean.Line(string(out.Stderr), 200)))
	}
	f, err := r.await(inner)
	f.Detail = append(failed, f.Detail...)
	f.Facts = append(f.Facts, fact.Number("errors", len(failed)), fact.Dur("took", time.Since(began)))
	return f, err
}

func both(live io.Writer, kept *bytes.Buffer) io.Writer {
	if live == nil {
		return kept
	}
	return io.MultiWriter(live, kept)
}

// complaints are the lines in which logrotate, or a hook, names an error.
func complaints(said string) []string {
	var found []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); complaint.MatchString(line) {
			found = append(found, clean.Line(line, 300))
		}
	}
	return found
}

// reopen is how long a service may take to open its new log.
const reopen = 5 * time.Second

// await looks until nobody writes to what was rotated away, as long as it may
// take a service to heed the signal of a hook.
func (r *rotation) await(ctx context.Context) (checks.Findings, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(reopen)
	for {
		f, held, err := outcome(ctx, r.survey, r.env.Before)
		if err != nil || held == 0 || time.Now().After(end) {
			return f, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f, ctx.Err()
		}
	}
}
