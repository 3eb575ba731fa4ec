package certbot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// week is the time over which Let's Encrypt counts certificates of one set of
// names.
const week = 7 * 24 * time.Hour

// Renew renews what is due, and only that.
var Renew = module(checks.Module{
	Name:   "certbot.renew",
	Doc:    "Renews the certificates of certbot that are due, one by one and each at most once, and proves that the file has a newer one and that every server serves it; where nothing is due it is not applicable",
	Effect: checks.Reversible, Danger: 2,
	Crash: "the file has the old certificate or the new one, both are kept; servers may go on with the old one because the deploy hook did not run, and what a pre hook has stopped may stay stopped",
	Params: []checks.Param{
		certificateParam,
		{Name: "within", Type: checks.DurationParam, Default: "30d", Doc: "due is what ends within this time; of a certificate that lives less than 60 days, what has less than a third of its life left"},
		{Name: "most", Type: checks.NumberParam, Default: "3", Doc: "versions of one certificate in 7 days at which it is not renewed again: Let's Encrypt issues 5 and then none for a week"},
		{Name: "reload", Type: checks.DurationParam, Default: "30s", Doc: "time in which the servers have to serve what was renewed"},
	},
	Facts: []fact.Spec{
		{Name: "renewed", Type: fact.Bool, Label: "certificate", Worse: fact.Lower, Doc: "the file has a newer certificate than the preview saw, which ends later"},
		{Name: "left", Type: fact.Duration, Label: "certificate", Worse: fact.Lower, Optional: true, Doc: "until the certificate of the file ends"},
		{Name: "not_after", Type: fact.Time, Label: "certificate", Optional: true, Doc: "when the certificate of the file ends"},
		{Name: "issued", Type: fact.Count, Label: "certificate", Worse: fact.Higher, Optional: true, Doc: "versions that were issued in the last 7 days, from the preview"},
		sameSpec, exitSpec, hooksSpec, problemSpec, tookSpec, serialSpec,
		checks.DoneFact,
	},
	Warn: "hooks_failed > 0", Fail: "renewed == false or served_same == false or exit != 0", Source: "guide (only if due; another certificate is served); proposed",
	Timeout: 20 * time.Minute,
	Example: "use: certbot.renew\nwith: {certificate: lms.example.com}\ndanger: 2\ntimeout: 15m",
	Preview: previewRenew, Run: runRenew, Probe: probeRenew,
})

func previewRenew(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, all, err := begin(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Locks: []string{p.lock()}}
	var due []lineage
	var rest []string
	within := args.Duration("within")
	for _, l := range all {
		switch {
		case l.err != nil && len(all) == 1:
			return f, fmt.Errorf("%s cannot be renewed as it is: %w", l.name, l.err)
		case l.err != nil:
			f.Detail = append(f.Detail, fmt.Sprintf("careful: %s is left out, it cannot be renewed as it is: %v", l.name, l.err))
		case !l.due(now(env), within):
			rest = append(rest, fmt.Sprintf("%s has %s left", l.name, fact.FormatDuration(l.cert.NotAfter.Sub(now(env)))))
		default:
			due = append(due, l)
		}
	}
	if len(due) == 0 {
		return f, nothingDue(f, rest)
	}
	f.Target, f.Note = named(due), fmt.Sprintf("%d of %d certificates are due", len(due), len(all))
	for _, l := range due {
		if err := p.announce(env, args, l, &f); err != nil {
			return f, err
		}
	}
	for _, one := range rest {
		f.Detail = append(f.Detail, "not due: "+one)
	}
	return f, nil
}

// nothingDue: there is nothing to do here, unless what could be due cannot be read.
func nothingDue(f checks.Findings, rest []string) error {
	if len(f.Detail) > 0 {
		return checks.Failed(checks.NoData, "nothing else is due; %s", strings.Join(f.Detail, "; "))
	}
	return checks.NotHere{What: "no certificate is due: " + strings.Join(rest, ", ")}
}

// announce says of one certificate what its renewal would do, and refuses what
// could not be proven afterwards or would use up what the server grants.
func (p place) announce(env checks.Env, args checks.Args, l lineage, f *checks.Findings) error {
	targets, err := p.targets(l)
	if err != nil {
		return err
	}
	issued, err := p.issuedSince(l, now(env).Add(-week))
	if err != nil {
		return err
	}
	if most := args.Int("most"); issued >= most {
		return checks.Failed(checks.Limit, "%s was issued %d times in the last 7 days: again would use up what its server grants (at most %d)", l.name, issued, most)
	}
	f.Fingerprint += l.name + " " + serial(l.cert) + "\n"
	f.Facts = append(f.Facts, fact.Word("serial", serial(l.cert)).On(l.name), fact.At("not_after", l.cert.NotAfter).On(l.name), fact.Number("issued", issued).On(l.name))
	f.Detail = append(f.Detail, fmt.Sprintf("%s is renewed at %s: it has %s left; serial %s", l.name, or(l.server, "Let's Encrypt"), fact.FormatDuration(l.cert.NotAfter.Sub(now(env))), serial(l.cert)))
	f.Detail = append(f.Detail, p.disturbs(l, "pre", "deploy", "post")...)
	if len(p.hooksOf(l, "deploy"))+len(p.hooksOf(l, "post")) == 0 && !l.reloads() && len(targets) > 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("careful: %s has no deploy hook: nothing makes %s read the new certificate", l.name, strings.Join(targets, ", ")))
	}
	if len(targets) == 0 {
		f.Detail = append(f.Detail, fmt.Sprintf("careful: the site file says that %s is served nowhere that can be asked: only its file is looked at", l.name))
	}
	return nil
}

// confirmed are the certificates that the confirmed preview has shown, by name
// with the serial that it saw. Nothing else is ever renewed.
func confirmed(env checks.Env) ([]fact.Fact, error) {
	var list []fact.Fact
	for _, b := range env.Before {
		if b.Name == "serial" {
			list = append(list, b)
		}
	}
	if len(list) == 0 {
		return nil, checks.Failed(checks.NoData, "the confirmed preview of the renewal is not known")
	}
	return list, nil
}

func runRenew(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := here(env)
	if err != nil {
		return checks.Findings{}, err
	}
	wanted, err := confirmed(env)
	if err != nil {
		return checks.Findings{}, err
	}
	var f checks.Findings
	renewed, hooks := 0, 0
	for i, w := range wanted {
		step := func(what string) { env.Report(float64(i), float64(len(wanted)), w.Label+": "+what) }
		ok, bad, err := p.renewOne(ctx, env, args, w, step, &f)
		if err != nil {
			f.Note = fmt.Sprintf("%d of %d certificates were renewed", renewed, len(wanted))
			return f, err
		}
		if hooks += bad; ok {
			renewed++
		}
	}
	env.Report(float64(len(wanted)), float64(len(wanted)), "done")
	f.Facts = append(f.Facts, fact.Number("hooks_failed", hooks))
	if f.Note == "" {
		f.Note = fmt.Sprintf("%d of %d certificates were renewed", renewed, len(wanted))
	}
	return f, nil
}

// renewOne renews a certificate that is still the one of the preview. One that
// the timer or somebody else has renewed meanwhile is not renewed again.
func (p place) renewOne(ctx context.Context, env checks.Env, args checks.Args, w fact.Fact, step func(string), f *checks.Findings) (renewed bool, hooks int, err error) {
	l, err := p.lineage(w.Label)
	if err != nil {
		return false, 0, fmt.Errorf("%s: %w", w.Label, err)
	}
	targets, err := p.targets(l)
	if err != nil {
		return false, 0, err
	}
	if serial(l.cert) != w.Text {
		env.Printf("%s has been renewed by somebody else meanwhile", l.name)
		f.Detail = append(f.Detail, l.name+" had been renewed by somebody else meanwhile, and was not again")
	} else {
		env.Printf("%s: renewal at %s", l.name, or(l.server, "Let's Encrypt"))
		step("asking " + or(l.server, "Let's Encrypt"))
		// What is due was decided by the preview; certbot would decide once more.
		s, err := p.renew(ctx, env, l, step, "--force-renewal")
		if err != nil {
			return false, 0, err
		}
		hooks = len(s.hooks)
		f.Facts = append(f.Facts, fact.Number("exit", s.code).On(l.name), fact.Dur("took", s.took).On(l.name))
		f.Detail = append(f.Detail, s.traces(l)...)
		if s.problem != "" {
			f.Facts = append(f.Facts, fact.Word("problem", s.problem).On(l.name))
			f.Note = l.name + ": " + s.problem
		}
	}
	after, err := p.lineage(l.name)
	if err != nil {
		return false, hooks, fmt.Errorf("looking at what was renewed: %w", err)
	}
	renewed = p.judged(env, w, after, f)
	if renewed {
		step("waiting until it is served")
		err = p.proven(ctx, env, after, targets, args.Duration("reload"), f)
	}
	return renewed, hooks, err
}

// judged compares the file with what the preview saw.
func (p place) judged(env checks.Env, w fact.Fact, l lineage, f *checks.Findings) bool {
	before, known := env.BeforeFact("not_after", l.name)
	renewed := serial(l.cert) != w.Text && known && l.cert.NotAfter.After(before.Instant())
	f.Facts = append(f.Facts, fact.Flag("renewed", renewed).On(l.name), fact.At("not_after", l.cert.NotAfter).On(l.name), fact.Dur("left", l.cert.NotAfter.Sub(now(env))).On(l.name))
	f.Detail = append(f.Detail, fmt.Sprintf("%s: the file has serial %s, until %s", l.name, serial(l.cert), l.cert.NotAfter.UTC().Format(time.RFC3339)))
	return renewed
}

// proven adds what every target serves.
func (p place) proven(ctx context.Context, env checks.Env, l lineage, targets []string, within time.Duration, f *checks.Findings) error {
	seen, _, err := settle(ctx, env, l, targets, within)
	for _, one := range seen.Facts {
		if one.Name == "served_same" {
			f.Facts = append(f.Facts, one)
		}
	}
	f.Detail = append(f.Detail, seen.Detail...)
	if seen.Note != "" {
		f.Note = seen.Note
	}
	return err
}

// probeRenew: done is a newer certificate in the file that every target serves.
func probeRenew(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	p, err := here(env)
	if err != nil {
		return checks.Findings{}, err
	}
	wanted, err := confirmed(env)
	if err != nil {
		return checks.Findings{}, err
	}
	var f checks.Findings
	done := true
	for _, w := range wanted {
		l, err := p.lineage(w.Label)
		if err != nil {
			return f, fmt.Errorf("%s: %w", w.Label, err)
		}
		targets, err := p.targets(l)
		if err != nil {
			return f, err
		}
		if !p.judged(env, w, l, &f) {
			done = false
			continue
		}
		if err := p.proven(ctx, env, l, targets, 0, &f); err != nil {
			return f, err
		}
	}
	for _, one := range f.Facts {
		if one.Name == "served_same" && !one.Bool() {
			done = false
		}
	}
	if f.Note == "" {
		f.Note = "renewed and served"
		if !done {
			f.Note = "not renewed"
		}
	}
	f.Facts = append(f.Facts, fact.Flag(checks.DoneFact.Name, done))
	return f, nil
}
