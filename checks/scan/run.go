package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Run attacks staging: what it does can alter data.
var Run = active(checks.Module{
	Name:   "scan.run",
	Doc:    "Attacks the staging targets of the site file with sqlmap and ZAP, keeps the report, and counts what was found; refuses production, and a target that nobody has allowed",
	Danger: 3,
	Crash:  "the target keeps what requests that were sent have altered; a report that was not finished is never read",
	Fail:   "high > 0 or injectable > 0", Warn: "medium > 0", Source: "guide",
	Example: "use: scan.run\ndanger: 3",
}, "sqlmap", "zap")

// Ports compares what is open with what was accepted.
var Ports = active(checks.Module{
	Name:   "scan.ports",
	Doc:    "Scans the hosts of the site file with nmap and compares open ports and versions with the accepted report; without one every open port is new",
	Danger: 2, Repeatable: true,
	Crash: "nothing is left but a report that was not finished and is never read",
	Fail:  "opened > 0", Warn: "changed > 0", Source: "guide",
	Example: "use: scan.ports\ndanger: 2",
}, "nmap")

// TLS counts what testssl has to say against a listener.
var TLS = active(checks.Module{
	Name:   "scan.tls",
	Doc:    "Tests the TLS listeners of the site file with testssl and counts findings by severity, less those of the accepted report; its exit code is a count and is not looked at",
	Danger: 1, Repeatable: true,
	Crash: "nothing is left but a report that was not finished and is never read",
	Fail:  "high > 0", Warn: "medium > 0", Source: "guide",
	Example: "use: scan.tls\ndanger: 1",
}, "testssl")

// active completes a module that sends something to a target.
func active(m checks.Module, tools ...string) *checks.Module {
	m.Effect, m.Timeout = checks.Destructive, 30*time.Minute
	m.Params = []checks.Param{scanParam}
	count := func(name, doc string) fact.Spec {
		return fact.Spec{Name: name, Type: fact.Count, Label: "scan", Worse: fact.Higher, Optional: true, Doc: doc}
	}
	m.Facts = []fact.Spec{
		count("high", "findings that are high or critical, less those of the accepted report"),
		count("medium", "medium findings, less those of the accepted report"),
		count("opened", "ports that are open and are not so in the accepted report"),
		count("closed", "ports of the accepted report that are not open any more"),
		count("changed", "open ports with another service or version than in the accepted report"),
		count("injectable", "parameters that can be injected"),
		{Name: "report", Type: fact.Text, Label: "scan", Optional: true, Doc: "file of the report"},
		checks.DoneFact,
	}
	m.Preview = func(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return preview(env, args, tools)
	}
	m.Run = func(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return scan(ctx, env, args, tools)
	}
	m.Probe = func(_ context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
		return probe(env, args, tools)
	}
	return module(m)
}

func preview(env checks.Env, args checks.Args, tools []string) (checks.Findings, error) {
	all, err := chosen(env, args, tools...)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Note: fmt.Sprintf("%d targets", len(all))}
	var targets []string
	for _, s := range all {
		if err := allowed(s, env.Now()); err != nil {
			return f, err
		}
		if info, err := os.Stat(s.Reports); err != nil || !info.IsDir() {
			return f, checks.Failed(checks.Missing, "scan %s: %s is not a directory to keep reports in", s.Name, s.Reports)
		}
		targets = append(targets, s.Target)
		f.Locks = append(f.Locks, "scan:"+s.Target)
		f.Fingerprint += fmt.Sprintf("%s %s %s %s\n", s.Tool, s.Target, s.Ports, s.Reference)
		f.Detail = append(f.Detail, fmt.Sprintf("%s looks at %s, allowed by %s until %s, for %v at most", s.Tool, s.Target, s.Reference, s.Until.Format(time.DateOnly), longest(s)))
		if s.Tool == "sqlmap" || s.Tool == "zap" {
			f.Detail = append(f.Detail, "careful: it sends attacks that may alter data of "+s.Target+", fill its logs and have this host banned")
		}
		if s.Baseline == "" && s.Tool == "nmap" {
			f.Detail = append(f.Detail, "careful: there is no accepted report to compare with: every open port will be new")
		}
	}
	f.Target = strings.Join(targets, " ")
	return f, nil
}

func longest(s checks.Scan) time.Duration {
	if s.MaxTime > 0 {
		return s.MaxTime
	}
	return 15 * time.Minute
}

func scan(ctx context.Context, env checks.Env, args checks.Args, tools []string) (checks.Findings, error) {
	all, err := chosen(env, args, tools...)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Exec == nil || env.Token == "" {
		return checks.Findings{}, checks.Failed(checks.Internal, "a scan needs a confirmed preview")
	}
	f := checks.Findings{Note: fmt.Sprintf("%d targets", len(all))}
	f.Tables = []checks.Table{{Name: "findings", Columns: []checks.Column{
		{Name: "scan", Type: fact.Text}, {Name: "severity", Type: fact.Text}, {Name: "where", Type: fact.Text}, {Name: "finding", Type: fact.Text},
	}}}
	for _, s := range all {
		if err := allowed(s, env.Now()); err != nil {
			return f, err
		}
		if err := one(ctx, env, s, &f); err != nil {
			return f, fmt.Errorf("scan %s: %w", s.Name, err)
		}
	}
	return f, nil
}

// one makes a scan. Its report has its own name only when it was read whole.
func one(ctx context.Context, env checks.Env, s checks.Scan, f *checks.Findings) error {
	tool, ok := known[s.Tool]
	if !ok {
		return checks.Failed(checks.Unconfigured, "there is no tool %q", s.Tool)
	}
	ctx, cancel := context.WithTimeout(ctx, longest(s))
	defer cancel()
	file := report(env, s)
	part := file + ".part"
	if err := hostfs.RemoveFile(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what an earlier attempt left: %w", err)
	}
	env.Printf("%s: %s looks at %s", s.Name, s.Tool, s.Target)
	out, err := env.Exec(ctx, checks.Call{Argv: tool.argv(s, part, env.Dir), Live: env.Out, Max: 16 << 20, Env: []string{"TERM=dumb", "HOME=" + env.Dir}})
	if checks.ClassOf(err) == checks.Missing {
		return checks.NotHere{What: s.Tool + " is not installed"}
	}
	if err != nil {
		return err
	}
	if tool.prints {
		if out.Truncated {
			return checks.Failed(checks.Limit, "%s said more than can be read", s.Tool)
		}
		if err := hostfs.WriteAtomic(part, out.Stdout, 0o600); err != nil {
			return fmt.Errorf("keeping the report: %w", err)
		}
	}
	got, err := read(part, tool)
	if err != nil {
		return fmt.Errorf("%s ended with %d: %w", s.Tool, out.Code, err)
	}
	if err := compare(s, tool, got, f); err != nil {
		return err
	}
	if err := keep(part, file); err != nil {
		return fmt.Errorf("keeping the report: %w", err)
	}
	f.Facts = append(f.Facts, fact.Word("report", file).On(s.Name))
	return nil
}

// keep gives a report that was read whole its name, in the folder of both.
func keep(part, file string) error {
	dir, err := hostfs.OpenDir(filepath.Dir(part))
	if err != nil {
		return err
	}
	info, err := dir.Stat(filepath.Base(part))
	if err == nil && !info.IsRegular() {
		err = fmt.Errorf("the report is %s", info.Kind())
	}
	if err == nil {
		err = dir.Replace(info.Name, info.ID, dir, filepath.Base(file))
	}
	return errors.Join(err, dir.Close())
}

// report is where a scan's report is kept; the token makes it this run's.
func report(env checks.Env, s checks.Scan) string {
	return filepath.Join(s.Reports, s.Name+"-"+strings.ReplaceAll(env.Token, "/", "-")+known[s.Tool].ext)
}

// probe: a scan was made when its report is there, whole.
func probe(env checks.Env, args checks.Args, tools []string) (checks.Findings, error) {
	all, err := chosen(env, args, tools...)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Token == "" {
		return checks.Findings{}, checks.Failed(checks.NoData, "it is not known whose report to look for")
	}
	done := true
	for _, s := range all {
		if _, err := read(report(env, s), known[s.Tool]); err != nil {
			done = false
		}
	}
	return checks.Findings{Facts: []fact.Fact{fact.Flag(checks.DoneFact.Name, done)}}, nil
}
