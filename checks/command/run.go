package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

const (
	// defaultTimeout is for a command whose entry names none.
	defaultTimeout = 10 * time.Minute

	// ending is what a command needs at most to be ended; it is kept free
	// before the check's own deadline, so that the facts still come back.
	ending = 7 * time.Second

	// shown is how many lines of the output's end become evidence.
	shown = 40
)

// Run runs one command of the site file.
var Run = module(checks.Module{
	Name:   "cmd.run",
	Doc:    "Runs one command that the site file names, exactly as it stands there, and reports how it ended",
	Effect: checks.Reversible, Danger: 1,
	Crash: "the command goes on alone until it ends or writes output that nobody takes any more; how it ended is then not known",
	Params: []checks.Param{
		{Name: "command", Type: checks.TextParam, Required: true, Names: "commands", Doc: "the name under commands in the site file", Example: "full-backup"},
		{Name: "count", Type: checks.TextParam, Check: checkCount, Doc: "regular expression with one group that finds a number in the output, the last match counts: how many tests ran", Example: `Tests:.* ([0-9]+) total`},
		{Name: "artifact", Type: checks.TextParam, Check: checkAbsolute, Doc: "file that the command has to write anew", Example: "/srv/lms/frontend/dist/index.html"},
	},
	Facts: []fact.Spec{
		{Name: "exit", Type: fact.Count, Signed: true, Doc: "exit code; -1 if a signal ended it", Worse: fact.Higher},
		{Name: "duration", Type: fact.Duration, Doc: "how long it ran", Worse: fact.Higher},
		{Name: "output_bytes", Type: fact.Bytes, Doc: "what it put out, both streams"},
		{Name: "truncated", Type: fact.Bool, Doc: "more than the first and the last 64 KiB of a stream came; at 64 MiB it was ended"},
		{Name: "left", Type: fact.Count, Unit: "processes", Doc: "processes that outlived it and were ended", Worse: fact.Higher},
		{Name: "timed_out", Type: fact.Bool, Doc: "it was ended because its time was over", Worse: fact.Higher},
		{Name: "counted", Type: fact.Count, Optional: true, Doc: "the number that count found", Worse: fact.Lower},
		{Name: "artifact_new", Type: fact.Bool, Optional: true, Doc: "the artifact was written anew"},
		{Name: "danger", Type: fact.Count, Optional: true, Doc: "danger of the entry in the site file, from its preview"},
		checks.DoneFact,
	},
	Fail:   "exit != 0 or left > 0 or counted == 0 or artifact_new == false",
	Source: "guide: exit 0, tests > 0, artefact newer than start; the rest: proposed",
	Verify: "done == true and exit == 0", Timeout: 30 * time.Minute,
	Example: "use: cmd.run\nwith:\n  command: full-backup\nfail: exit != 0 or duration > 20m",
	Preview: preview, Run: run, Probe: probe,
})

func checkCount(value any) error {
	pattern, err := regexp.Compile(fmt.Sprint(value))
	if err != nil {
		return fmt.Errorf("not a regular expression: %w", err)
	}
	if pattern.NumSubexp() != 1 {
		return fmt.Errorf("it has %d groups and needs one, around the number", pattern.NumSubexp())
	}
	return nil
}

func checkAbsolute(value any) error {
	if path := fmt.Sprint(value); !strings.HasPrefix(path, "/") {
		return fmt.Errorf("%q is not an absolute path", path)
	}
	return nil
}

// entry is the site's command of the arguments.
func entry(env checks.Env, args checks.Args) (checks.Command, error) {
	name := args.Text("command")
	c, ok := env.Site.Commands[name]
	switch {
	case !ok:
		return c, checks.NotHere{What: fmt.Sprintf("no command %q in the site file", name)}
	case len(c.Argv) == 0:
		return c, checks.Failed(checks.Unconfigured, "the command %q of the site file is empty", name)
	case env.Exec == nil:
		return c, checks.Failed(checks.Unconfigured, "commands cannot be run here")
	}
	return c, nil
}

func run(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	c, err := entry(env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	before := stamp(args.Text("artifact"))
	rec, err := begin(env, c)
	if err != nil {
		return checks.Findings{}, err
	}
	inner, cancel := within(ctx, c.Timeout)
	defer cancel()
	live := &counter{to: env.Out}
	began := time.Now()
	out, err := env.Exec(inner, checks.Call{Argv: c.Argv, Live: live})
	took := time.Since(began)
	end := whyEnded(inner, ctx, err)
	if recorded := rec.conclude(out, err); recorded != nil {
		return checks.Findings{}, recorded
	}
	if err != nil && end == "" {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: c.Name, Facts: outcome(out, took, live.n.Load(), end == timedOut)}
	f.Note = says(out, took, end)
	f.Detail = evidence(out)
	if path := args.Text("artifact"); path != "" {
		f.Facts = append(f.Facts, fact.Flag("artifact_new", renewed(before, stamp(path))))
	}
	return counted(f, out, args.Text("count"))
}

// within gives the command its own time, ending early enough for the facts to
// come back before the check's deadline.
func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, max(time.Until(deadline)-ending, time.Until(deadline)/2))
	}
	return context.WithTimeout(ctx, timeout)
}

// Why a command that was ended was ended by us, if that is a finding.
const (
	timedOut = "its time was over"
	flooded  = "it put out too much"
)

// whyEnded tells what the error of a run means: "" is an error of the check,
// one of the reasons above a fact about the command.
func whyEnded(inner, outer context.Context, err error) string {
	switch {
	case err == nil || outer.Err() != nil:
		return ""
	case checks.ClassOf(err) == checks.Limit:
		return flooded
	case errors.Is(inner.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded):
		return timedOut
	}
	return ""
}

func outcome(out checks.Output, took time.Duration, bytes int64, timeout bool) []fact.Fact {
	return []fact.Fact{
		fact.Number("exit", out.Code), fact.Dur("duration", took), fact.Size("output_bytes", bytes),
		fact.Flag("truncated", out.Truncated), fact.Number("left", len(out.Left)), fact.Flag("timed_out", timeout),
	}
}

func says(out checks.Output, took time.Duration, end string) string {
	note := fmt.Sprintf("exit %d after %s", out.Code, fact.FormatDuration(took))
	if out.Signal != "" {
		note = fmt.Sprintf("%s after %s", out.Signal, fact.FormatDuration(took))
	}
	if end != "" {
		note = fmt.Sprintf("ended after %s: %s", fact.FormatDuration(took), end)
	}
	if len(out.Left) > 0 {
		note += fmt.Sprintf(", %d left behind", len(out.Left))
	}
	return note
}

// evidence is what it left behind and the end of what it said, errors last.
func evidence(out checks.Output) []string {
	var lines []string
	for _, l := range out.Left {
		lines = append(lines, "left behind and ended: "+l)
	}
	return append(append(lines, last(out.Stdout)...), last(out.Stderr)...)
}

func last(text []byte) []string {
	trimmed := strings.TrimRight(string(text), "\n")
	if trimmed == "" {
		return nil
	}
	lines := strings.Split(trimmed, "\n")
	return lines[max(0, len(lines)-shown):]
}

// counted adds the number that the pattern finds. A command that ended well
// without saying it has not shown what was asked: that is not known, not zero.
func counted(f checks.Findings, out checks.Output, pattern string) (checks.Findings, error) {
	if pattern == "" {
		return f, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return f, checks.Failed(checks.Internal, "the pattern %q does not compile: %w", pattern, err)
	}
	matches := re.FindAllSubmatch(append(append(out.Stderr, '\n'), out.Stdout...), -1)
	if len(matches) == 0 {
		if out.Code != 0 {
			return f, nil
		}
		return f, checks.Failed(checks.NoData, "nothing in the output matches %q", pattern)
	}
	text := string(matches[len(matches)-1][1])
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return f, checks.Failed(checks.Parse, "%q, found by %q, is not a number", text, pattern)
	}
	f.Facts = append(f.Facts, fact.Number("counted", n))
	return f, nil
}

// A counter counts what passes.
type counter struct {
	to io.Writer
	n  atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	if c.to == nil {
		return len(b), nil
	}
	return c.to.Write(b)
}

// written is what changes when a file is written anew.
type written struct {
	there bool
	inode uint64
	size  int64
	at    time.Time
}

func stamp(path string) written {
	info, err := os.Stat(path)
	if path == "" || err != nil {
		return written{}
	}
	w := written{there: info.Mode().IsRegular(), size: info.Size(), at: info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		w.inode = stat.Ino
	}
	return w
}

// renewed compares a file with what it was. The clock plays no part: that of a
// file system may be coarser than ours or another machine's.
func renewed(before, after written) bool {
	return after.there && after.size > 0 && (!before.there || before.inode != after.inode || !before.at.Equal(after.at))
}
