package certbot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// The facts that both actions report.
var (
	exitSpec    = fact.Spec{Name: "exit", Type: fact.Count, Label: "certificate", Signed: true, Optional: true, Worse: fact.Higher, Doc: "certbot's exit code; it is 0 too where nothing was renewed"}
	hooksSpec   = fact.Spec{Name: "hooks_failed", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "hooks that ended with an error, at which certbot still ends with 0"}
	problemSpec = fact.Spec{Name: "problem", Type: fact.Text, Label: "certificate", Optional: true, Doc: "why it did not go well"}
	tookSpec    = fact.Spec{Name: "took", Type: fact.Duration, Label: "certificate", Optional: true, Worse: fact.Higher, Doc: "time that certbot took"}
	serialSpec  = fact.Spec{Name: "serial", Type: fact.Text, Label: "certificate", Optional: true, Doc: "serial number of the certificate in the file, from the preview"}
)

// DryRun tries out whether certificates would be renewed.
var DryRun = module(checks.Module{
	Name: "certbot.dryrun",
	Doc:  "Simulates the renewal of each certificate of certbot at the server it comes from, staging for Let's Encrypt, and counts as passed only what certbot names as renewed; pre and post hooks do run, deploy hooks do not",
	// The certificates stay, but hooks may stop and start what serves them.
	Effect: checks.Reversible, Danger: 1, Repeatable: true,
	Crash:  "the certificates stay as they are; what a pre hook has stopped may stay stopped, because the post hook did not run",
	Params: []checks.Param{certificateParam},
	Facts: []fact.Spec{
		{Name: "certificates", Type: fact.Count, Optional: true, Doc: "certificates that certbot keeps here, or the one that is named"},
		{Name: "passed", Type: fact.Bool, Label: "certificate", Worse: fact.Lower, Doc: "certbot names it as renewed, and ended with 0"},
		{Name: "unchanged", Type: fact.Bool, Label: "certificate", Optional: true, Worse: fact.Lower, Doc: "the file has the certificate it had before"},
		exitSpec, hooksSpec, problemSpec, tookSpec, serialSpec,
		checks.DoneFact,
	},
	Warn: "hooks_failed > 0", Fail: "passed == false or unchanged == false", Source: "guide (exit 0 for each); proposed",
	Timeout: 20 * time.Minute,
	Example: "use: certbot.dryrun\nwith: {certificate: lms.example.com}\ntimeout: 15m",
	Preview: previewDryRun, Run: dryRun, Probe: probeDryRun,
})

func previewDryRun(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, all, err := begin(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: named(all), Locks: []string{p.lock()}, Note: fmt.Sprintf("%d certificates", len(all))}
	f.Facts = append(f.Facts, fact.Number("certificates", len(all)))
	for _, l := range all {
		if l.err != nil {
			f.Detail = append(f.Detail, fmt.Sprintf("careful: %s cannot be renewed as it is: %v", l.name, l.err))
			f.Fingerprint += l.name + "?\n"
			continue
		}
		f.Facts = append(f.Facts, fact.Word("serial", serial(l.cert)).On(l.name))
		f.Fingerprint += l.name + " " + serial(l.cert) + "\n"
		f.Detail = append(f.Detail, fmt.Sprintf("%s is tried out at %s", l.name, l.renewal))
		if !l.letsEncrypt() {
			f.Detail = append(f.Detail, fmt.Sprintf("careful: %s is no staging server: it issues a certificate that is thrown away, and may count it", l.server))
		}
		f.Detail = append(f.Detail, p.disturbs(l, "pre", "post")...)
		if deploy := p.hooksOf(l, "deploy"); len(deploy) > 0 {
			f.Detail = append(f.Detail, "not tried out, because a dry run leaves it out: "+strings.Join(deploy, ", "))
		}
	}
	return f, nil
}

// begin is what both actions need to begin: certificates, and a certbot that runs.
func begin(ctx context.Context, env checks.Env, args checks.Args) (place, []lineage, error) {
	p, err := here(env)
	if err != nil {
		return p, nil, err
	}
	all, err := p.lineages(args.Text("certificate"))
	if err != nil {
		return p, nil, err
	}
	out, err := env.Exec(ctx, checks.Call{Argv: []string{"certbot", "--version"}})
	switch {
	case err != nil:
		return p, nil, missing(err)
	case out.Code != 0:
		return p, nil, checks.Failed(checks.Other, "certbot --version ends with %d: %s", out.Code, lastLine(string(out.Stderr)))
	}
	return p, all, p.writable()
}

// disturbs says what a run does beside certificates.
func (p place) disturbs(l lineage, kinds ...string) []string {
	var list []string
	for _, kind := range kinds {
		for _, hook := range p.hooksOf(l, kind) {
			line := fmt.Sprintf("%s hook of %s runs: %s", kind, l.name, hook)
			if kind != "deploy" { // which is what makes a renewal count
				line = "careful: " + line
			}
			list = append(list, line)
		}
	}
	switch l.authenticator {
	case "standalone":
		list = append(list, fmt.Sprintf("careful: for %s certbot itself listens where the server asks; nothing else may hold that port meanwhile", l.name))
	case "nginx", "apache":
		list = append(list, fmt.Sprintf("careful: for %s certbot reloads %s with a configuration of its own, and again without it", l.name, l.authenticator))
	}
	return list
}

func named(all []lineage) string {
	names := make([]string, len(all))
	for i, l := range all {
		names[i] = l.name
	}
	return strings.Join(names, " ")
}

func dryRun(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := here(env)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Token == "" {
		return checks.Findings{}, checks.Failed(checks.Internal, "a dry run needs a confirmed preview")
	}
	all, err := p.lineages(args.Text("certificate"))
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: named(all), Facts: []fact.Fact{fact.Number("certificates", len(all))}}
	passed, failedHooks := 0, 0
	for i, l := range all {
		step := func(what string) { env.Report(float64(i), float64(len(all)), l.name+": "+what) }
		ok, hooks, err := p.simulate(ctx, env, l, step, &f)
		if err != nil {
			f.Note = fmt.Sprintf("%d of %d certificates were tried out", i, len(all))
			return f, err
		}
		if failedHooks += hooks; ok {
			passed++
		}
	}
	env.Report(float64(len(all)), float64(len(all)), "tried out")
	f.Facts = append(f.Facts, fact.Number("hooks_failed", failedHooks))
	if passed == len(all) {
		f.Note = fmt.Sprintf("%d of %d certificates would be renewed", passed, len(all))
	}
	return f, nil
}

// simulate is the dry run of one certificate, by the server of its own: without
// being told, certbot asks the staging server of Let's Encrypt for all.
func (p place) simulate(ctx context.Context, env checks.Env, l lineage, step func(string), f *checks.Findings) (ok bool, hooks int, err error) {
	fails := func(why string) {
		f.Facts = append(f.Facts, fact.Word("problem", why).On(l.name))
		f.Detail = append(f.Detail, l.name+": "+why)
		if f.Note == "" {
			f.Note = l.name + " would not be renewed: " + why
		}
	}
	if l.err != nil {
		f.Facts = append(f.Facts, fact.Flag("passed", false).On(l.name))
		fails(l.err.Error())
		return false, 0, nil
	}
	more := []string{"--dry-run"}
	if l.server != "" {
		more = append(more, "--server", l.server)
	}
	env.Printf("%s: dry run at %s", l.name, l.renewal)
	step("asking " + l.asked())
	s, err := p.renew(ctx, env, l, step, more...)
	if err != nil {
		return false, 0, err
	}
	ok = s.success && s.code == 0
	f.Facts = append(f.Facts, fact.Flag("passed", ok).On(l.name), fact.Number("exit", s.code).On(l.name), fact.Dur("took", s.took).On(l.name))
	if after, err := p.lineage(l.name); err == nil {
		f.Facts = append(f.Facts, fact.Flag("unchanged", after.cert.Equal(l.cert)).On(l.name))
	}
	if !ok {
		fails(s.problem)
	}
	f.Detail = append(f.Detail, s.traces(l)...)
	return ok, len(s.hooks), nil
}

// traces are what hooks have left behind.
func (s said) traces(l lineage) []string {
	var list []string
	for _, h := range s.hooks {
		list = append(list, l.name+": "+h)
	}
	for _, left := range s.left {
		list = append(list, l.name+": started by a hook and still running: "+left)
	}
	return list
}

// probeDryRun looks into certbot's own log for the runs that carry our mark.
func probeDryRun(_ context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	p, err := here(env)
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Token == "" {
		return checks.Findings{}, checks.Failed(checks.NoData, "it is not known whose dry run to look for")
	}
	runs, whole, err := p.logged(mark(env.Token))
	if err != nil {
		return checks.Findings{}, err
	}
	var tried []string
	for _, b := range env.Before {
		if b.Name == "serial" {
			tried = append(tried, b.Label)
		}
	}
	if len(tried) == 0 {
		return checks.Findings{}, checks.Failed(checks.NoData, "the preview names no certificate that could have been tried out")
	}
	passed := 0
	f := checks.Findings{Target: strings.Join(tried, " ")}
	for _, name := range tried {
		run, found := runs[name]
		switch {
		case !found && !whole:
			return f, checks.Failed(checks.NoData, "%s: certbot's log has no dry run of ours in the last %d MiB of each file", name, maxLog>>20)
		case !found:
			f.Detail = append(f.Detail, name+": certbot's log has no dry run of ours")
		case !run.ended:
			return f, checks.Failed(checks.NoData, "%s: certbot's log has the begin of our dry run and no end", name)
		case run.success:
			passed++
		default:
			f.Detail = append(f.Detail, name+": by certbot's log the dry run did not succeed")
		}
	}
	f.Note = fmt.Sprintf("by certbot's log %d of %d dry runs succeeded", passed, len(tried))
	f.Facts = []fact.Fact{fact.Flag(checks.DoneFact.Name, passed == len(tried))}
	return f, nil
}
