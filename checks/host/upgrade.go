package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Upgrade upgrades packages of a Debian or Ubuntu host.
var Upgrade = module(checks.Module{
	Name:   "pkg.upgrade",
	Doc:    "Upgrades packages with apt to the versions the preview has shown, those with security fixes if none are named",
	Effect: checks.Destructive, Danger: 3,
	Crash: "packages already unpacked stay so; if dpkg was in the middle some are half installed, and dpkg --configure -a goes on",
	Params: []checks.Param{
		{Name: "packages", Type: checks.TextsParam, Check: checkPackages, Doc: "packages to upgrade; without it all that have a security fix", Example: "openssl, libssl3"},
		{Name: "full", Type: checks.BoolParam, Default: false, Doc: "also install new and remove old packages where an upgrade needs that, as a new kernel does"},
	},
	Facts: []fact.Spec{
		{Name: "exit", Type: fact.Count, Signed: true, Doc: "apt-get's exit code", Worse: fact.Higher},
		{Name: "missing", Type: fact.Count, Unit: "packages", Doc: "packages that are not at the version they should have", Worse: fact.Higher},
		{Name: "broken", Type: fact.Count, Unit: "packages", Doc: "packages on this host that are half installed", Worse: fact.Higher},
		{Name: "reboot_required", Type: fact.Bool, Doc: "a reboot is needed for it to take effect", Worse: fact.Higher},
		{Name: "upgrades", Type: fact.Count, Unit: "packages", Optional: true, Doc: "packages that would be upgraded, from the preview"},
		{Name: "security", Type: fact.Count, Unit: "packages", Optional: true, Doc: "packages with a security fix among what would change, from the preview"},
		{Name: "added", Type: fact.Count, Unit: "packages", Optional: true, Doc: "packages that would be new, from the preview"},
		{Name: "removed", Type: fact.Count, Unit: "packages", Optional: true, Doc: "packages that would go, from the preview", Worse: fact.Higher},
		{Name: "waiting", Type: fact.Count, Unit: "packages", Optional: true, Doc: "all changes that wait on this host, from the preview"},
		{Name: "lists_age", Type: fact.Duration, Optional: true, Doc: "time since the package lists were fetched, from the preview", Worse: fact.Higher},
		{Name: "target", Type: fact.Text, Label: "package", Optional: true, Doc: "version the package is to have, from the preview"},
		checks.DoneFact,
	},
	Warn:    "reboot_required == true",
	Fail:    "exit != 0 or missing > 0 or broken > 0",
	Source:  "guide: post versions; the rest: proposed",
	Verify:  "done == true and broken == 0",
	Timeout: 30 * time.Minute, Repeatable: true,
	Example: "use: pkg.upgrade\nwith:\n  packages: [openssl, libssl3]",
	Preview: previewUpgrade, Run: upgrade, Probe: probeUpgrade,
})

func checkPackages(value any) error {
	names, _ := value.([]string)
	for _, name := range names {
		if !pkgName.MatchString(name) {
			return fmt.Errorf("%q is not the name of a package", name)
		}
	}
	return nil
}

// targets are the versions the confirmed preview has shown. Nothing else is
// ever installed; without such a preview nothing is.
func targets(env checks.Env) ([]change, error) {
	if _, ok := env.BeforeFact("upgrades", ""); !ok {
		return nil, checks.Failed(checks.NoData, "the confirmed preview of the upgrade is not known")
	}
	var list []change
	for _, f := range env.Before {
		if f.Name != "target" {
			continue
		}
		if !pkgName.MatchString(f.Label) || !pkgValue.MatchString(f.Text) {
			return nil, checks.Failed(checks.Internal, "the preview named %q in version %q", f.Label, f.Text)
		}
		list = append(list, change{pkg: f.Label, to: f.Text})
	}
	return list, nil
}

// upgrade downloads first: until all is here nothing is changed, and a failing
// mirror or a cancel costs nothing.
func upgrade(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if err := equipped(env); err != nil {
		return checks.Findings{}, err
	}
	wanted, err := targets(env)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Token == "" {
		return checks.Findings{}, checks.Failed(checks.Internal, "an upgrade needs a confirmed preview")
	}
	if len(wanted) == 0 {
		return outcome(ctx, env, wanted, checks.Output{})
	}
	ask := request(wanted, args.Bool("full"))
	out, err := apt(ctx, env, append([]string{"--download-only"}, ask...), len(wanted))
	if err == nil && out.Code != 0 {
		err = checks.Failed(refusal(out), "%s", aptError(out))
	}
	if err != nil {
		return checks.Findings{}, fmt.Errorf("downloading the packages, nothing is changed yet: %w", err)
	}
	out, err = apt(ctx, env, append([]string{"--no-download"}, ask...), len(wanted))
	if err != nil {
		return checks.Findings{}, fmt.Errorf("installing the packages: %w", err)
	}
	if strings.Contains(string(out.Stderr), "Could not get lock") || strings.Contains(string(out.Stderr), "Unable to acquire the dpkg") {
		return checks.Findings{}, checks.Failed(checks.Other, "nothing was changed: %s", aptError(out))
	}
	return outcome(ctx, env, wanted, out)
}

// apt runs apt-get without ever asking. Daemons that package scripts start on
// a host without systemd are descendants of it and stay.
func apt(ctx context.Context, env checks.Env, args []string, packages int) (checks.Output, error) {
	live := &follower{env: env, total: 2 * float64(packages)}
	argv := append([]string{"apt-get", "-y", "-q"}, args...)
	out, err := env.Exec(ctx, checks.Call{Argv: argv, Env: environment, Live: live, Leave: true})
	if checks.ClassOf(err) == checks.Missing {
		return out, checks.NotHere{What: "no apt-get: packages are not upgraded here by apt"}
	}
	return out, err
}

// outcome says by dpkg's own database what came of it, and in which words
// apt-get failed.
func outcome(ctx context.Context, env checks.Env, wanted []change, out checks.Output) (checks.Findings, error) {
	f, _, err := measure(ctx, env, wanted)
	if err != nil {
		return f, err
	}
	required, err := rebootRequired(env)
	if err != nil {
		return f, err
	}
	f.Facts = append(f.Facts, fact.Number("exit", out.Code), fact.Flag("reboot_required", required))
	if out.Code != 0 {
		f.Note = "apt-get: " + aptError(out)
	}
	for _, l := range out.Left {
		f.Detail = append(f.Detail, "started and still running: "+l)
	}
	return f, nil
}

// measure compares what is installed with the targets.
func measure(ctx context.Context, env checks.Env, wanted []change) (f checks.Findings, missing int, err error) {
	in, err := query(ctx, env)
	if err != nil {
		return f, 0, err
	}
	for _, c := range wanted {
		if !in.has(c) {
			missing++
			f.Detail = append(f.Detail, fmt.Sprintf("%s is not at %s", c.pkg, c.to))
		}
	}
	for _, name := range in.broken {
		f.Detail = append(f.Detail, name+" is half installed: dpkg --configure -a goes on")
	}
	f.Note = fmt.Sprintf("%d of %d packages at their version", len(wanted)-missing, len(wanted))
	f.Facts = []fact.Fact{fact.Number("missing", missing), fact.Number("broken", len(in.broken))}
	return f, missing, nil
}

// has reports whether a package is installed in its target version.
func (in installed) has(c change) bool { return slices.Contains(in.versions[c.pkg], c.to) }

func probeUpgrade(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	if err := equipped(env); err != nil {
		return checks.Findings{}, err
	}
	wanted, err := targets(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f, missing, err := measure(ctx, env, wanted)
	if err != nil {
		return f, err
	}
	f.Facts = append(f.Facts, fact.Flag(checks.DoneFact.Name, missing == 0))
	return f, nil
}

// A follower passes apt-get's output on and counts its steps: each package is
// unpacked and then set up.
type follower struct {
	env         checks.Env
	total, done float64
	line        []byte
}

// Write never fails: who does not listen must not stop dpkg.
func (w *follower) Write(b []byte) (int, error) {
	if w.env.Out != nil {
		if _, err := w.env.Out.Write(b); err != nil {
			w.env.Out = io.Discard
		}
	}
	for rest := b; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		w.line = append(w.line, line[:min(len(line), 512-min(512, len(w.line)))]...)
		if !whole {
			break
		}
		w.step(string(w.line))
		w.line, rest = w.line[:0], after
	}
	return len(b), nil
}

func (w *follower) step(line string) {
	for _, verb := range []string{"Unpacking ", "Setting up "} {
		if rest, ok := strings.CutPrefix(line, verb); ok {
			name, _, _ := strings.Cut(rest, " ")
			w.done = min(w.done+1, w.total)
			w.env.Report(w.done, w.total, strings.ToLower(verb)+name)
		}
	}
}
