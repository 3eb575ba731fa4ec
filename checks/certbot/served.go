package certbot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/tlscert"
)

var sameSpec = fact.Spec{Name: "served_same", Type: fact.Bool, Label: "target", Worse: fact.Lower, Optional: true, Doc: "the target serves the certificate of the file, by its serial number; false as well when it does not answer"}

// Served compares what is served with what certbot keeps.
var Served = module(checks.Module{
	Name:   "certbot.served",
	Doc:    "Whether each server serves the certificate that certbot keeps, by its serial number: a renewal of which no server knows is none",
	Params: []checks.Param{certificateParam},
	Facts: []fact.Spec{
		{Name: "served_same", Type: fact.Bool, Label: "target", Worse: fact.Lower, Doc: sameSpec.Doc},
		{Name: "left", Type: fact.Duration, Label: "certificate", Worse: fact.Lower, Optional: true, Doc: "until the certificate of the file ends"},
		problemOf,
	},
	Fail: "served_same == false", Source: "guide",
	Timeout: 20 * time.Second, Every: time.Hour,
	Example: "use: certbot.served",
	Run:     served,
})

var problemOf = fact.Spec{Name: "problem", Type: fact.Text, Label: "target", Optional: true, Doc: "what is served instead, or why there is no answer"}

func served(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	p, err := here(env)
	if err != nil {
		return checks.Findings{}, err
	}
	all, err := p.lineages(args.Text("certificate"))
	if err != nil {
		return checks.Findings{}, err
	}
	var f checks.Findings
	asked := 0
	for _, l := range all {
		if l.err != nil {
			return f, fmt.Errorf("%s: %w", l.name, l.err)
		}
		targets, err := p.targets(l)
		if err != nil {
			return f, err
		}
		if asked += len(targets); len(targets) == 0 {
			f.Detail = append(f.Detail, l.name+" is served nowhere that can be asked, by the site file")
		}
		f.Facts = append(f.Facts, fact.Dur("left", l.cert.NotAfter.Sub(now(env))).On(l.name))
		f.Detail = append(f.Detail, fmt.Sprintf("%s: the file has serial %s, until %s", l.name, serial(l.cert), l.cert.NotAfter.UTC().Format(time.RFC3339)))
		if _, err := compare(ctx, env, l, targets, &f); err != nil {
			return f, err
		}
	}
	if asked == 0 {
		return f, checks.Failed(checks.NoData, "the site file names no target to ask (certbot.served)")
	}
	if f.Note == "" {
		f.Note = fmt.Sprintf("%d targets serve what certbot keeps", asked)
	}
	return f, nil
}

// targets are where a certificate is served. Nobody having said so is an error:
// a renewal could not be proven.
func (p place) targets(l lineage) ([]string, error) {
	targets, ok := p.Served[l.name]
	if !ok {
		return nil, checks.Failed(checks.Unconfigured, "the site file does not say where %s is served (certbot.served.%s; [] if nowhere that can be asked)", l.name, l.name)
	}
	return targets, nil
}

// compare asks every target once what it serves. An error says that we could
// not ask, not that nobody answered.
func compare(ctx context.Context, env checks.Env, l lineage, targets []string, f *checks.Findings) (all bool, err error) {
	all = true
	for _, target := range targets {
		seen, err := tlscert.Served(ctx, env, target, l.asks(target))
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if checks.ClassOf(err) == checks.Unconfigured {
			return false, err
		}
		same := err == nil && seen.Equal(l.cert)
		f.Facts = append(f.Facts, fact.Flag("served_same", same).On(target))
		if same {
			continue
		}
		all = false
		why := ""
		if err != nil {
			why = fmt.Sprintf("%s does not answer: %v", target, err)
		} else {
			why = fmt.Sprintf("%s serves serial %s until %s, the file has %s: it has to be reloaded", target, serial(seen), seen.NotAfter.UTC().Format(time.DateOnly), serial(l.cert))
		}
		f.Detail = append(f.Detail, why)
		if f.Note == "" {
			f.Note = why
		}
		f.Facts = append(f.Facts, fact.Word("problem", why).On(target))
	}
	return all, nil
}

// asks is the name by which a target is asked: its own host if the certificate
// is for it, else the first name that the certificate is for.
func (l lineage) asks(target string) string {
	host := tlscert.Host(target)
	if l.cert.VerifyHostname(host) == nil || len(l.cert.DNSNames) == 0 {
		return host
	}
	return l.cert.DNSNames[0]
}

// settle asks until every target serves the certificate of the file, or the
// time is over: a server that was told to reload takes a moment.
func settle(ctx context.Context, env checks.Env, l lineage, targets []string, within time.Duration) (checks.Findings, bool, error) {
	for end := time.Now().Add(within); ; {
		var f checks.Findings
		all, err := compare(ctx, env, l, targets, &f)
		if err != nil || all || time.Now().After(end) {
			return f, all, err
		}
		select {
		case <-ctx.Done():
			return f, false, errors.New("nobody waited until the new certificate is served")
		case <-time.After(250 * time.Millisecond):
		}
	}
}
