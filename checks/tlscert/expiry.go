package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/tlscert/trust"
)

// Expiry reads the certificates that targets serve.
//
// Days suit certificates that live for months. One of 45 days or of a week
// would be amber for most of its life, or red for all of it, and is judged by
// the share that is left. Without a certificate there is no time left to judge,
// which leaves a rule about it undecided: left, lifetime and left_share are
// absent then, and not optional.
var Expiry = module(checks.Module{
	Name:  "tls.expiry",
	Doc:   "How long the certificate of each target holds, and whether chain and name are accepted",
	Reach: checks.Network,
	Params: []checks.Param{
		{Name: "targets", Type: checks.TextsParam, Required: true, Check: checkTargets, Doc: "host:port, smtp://host:587 or postgres://host:5432 (both by STARTTLS)", Example: "[lms.example.com:443]"},
		{Name: "ca", Type: checks.TextParam, Doc: "file of certificates in PEM that are trusted besides the system's"},
		{Name: "server_name", Type: checks.TextParam, Doc: "name to ask for and to expect, instead of the target's host"},
	},
	Facts: []fact.Spec{
		{Name: "reachable", Type: fact.Bool, Label: "target", Doc: "the target answered and spoke TLS"},
		{Name: "valid", Type: fact.Bool, Label: "target", Doc: "a client accepts the certificate now: chain, name and dates, whether or not the server wants one of the client's"},
		{Name: "chain_ok", Type: fact.Bool, Label: "target", Doc: "the chain ends at a trusted authority, whatever the name and the age of the certificate"},
		{Name: "name_ok", Type: fact.Bool, Label: "target", Doc: "the certificate is for the name that was asked for"},
		{Name: "left", Type: fact.Duration, Label: "target", Worse: fact.Lower, Doc: "until the first certificate of the accepted chain ends, or of the chain that was sent when it is refused; negative when it has; absent when unreachable"},
		{Name: "lifetime", Type: fact.Duration, Label: "target", Doc: "of that certificate, from its begin to its end"},
		{Name: "left_share", Type: fact.Percent, Label: "target", Worse: fact.Lower, Doc: "left as a share of the lifetime, for short-lived certificates"},
		{Name: "not_after", Type: fact.Time, Label: "target", Optional: true, Doc: "when it ends"},
		{Name: "issuer", Type: fact.Text, Label: "target", Optional: true, Doc: "who issued the target's own certificate"},
		{Name: "subject", Type: fact.Text, Label: "target", Optional: true, Doc: "names in the target's own certificate"},
		{Name: "problem", Type: fact.Text, Label: "target", Optional: true, Doc: "why a client refuses it, or why there is no answer"},
	},
	Warn:    "left < 30d and lifetime >= 60d or left_share < 33% and lifetime < 60d",
	Fail:    "left < 7d and lifetime >= 60d or left_share < 10% and lifetime < 60d or valid == false or reachable == false",
	Source:  "guide (30 d), proposed (7 d; a third and a tenth of less than 60 d)",
	Timeout: 10 * time.Second, Every: time.Hour,
	Example: "use: tls.expiry\nwith: {targets: [\"lms.example.com:443\"]}\nwarn: left < 30d",
	Run:     expiry,
})

// found is what one target served.
type found struct {
	target    target
	reachable bool
	chain     []*x509.Certificate // as it was sent, the target's own first
	accepted  []*x509.Certificate // the verified path to an authority; nil when refused
	trusted   bool                // such a path exists, whatever the name
	wantsOurs bool                // the server asked for a client's certificate
	err       error               // of the connection, or of the verified handshake
}

func expiry(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Dialer == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	roots, err := trust.Roots(args.Text("ca"))
	if err != nil {
		return checks.Findings{}, err
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	texts := args.Texts("targets")
	results := make([]found, len(texts))
	var all sync.WaitGroup
	for i, text := range texts {
		t, err := parseTarget(text)
		if err != nil {
			return checks.Findings{}, err
		}
		if name := args.Text("server_name"); name != "" {
			t.name = name
		}
		all.Go(func() { defer crash.Recover(); results[i] = look(ctx, env, t, roots) })
	}
	all.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return checks.Findings{}, ctx.Err() // we gave up, not the targets
	}
	if !slices.ContainsFunc(results, func(f found) bool { return !resolverFailed(f.err) }) {
		return checks.Findings{}, checks.Failed(checks.DNS, "the resolver fails, nobody was asked: %w", results[0].err)
	}
	return report(results, env.Now()), nil
}

// look makes the handshake that decides. A chain that is refused is described
// all the same: it comes with the refusal, or, where the server is the one who
// refuses, from the moment it was accepted. A peer that cannot agree on a
// version with us, or ends the handshake with an alert, was reached all the same.
// We show no certificate of our own: that a server which wants one ends there
// (in TLS 1.3 only after our handshake) says nothing about its own.
func look(ctx context.Context, env checks.Env, t target, roots *x509.CertPool) found {
	f := found{target: t}
	config := &tls.Config{ServerName: t.name, RootCAs: roots, Time: env.Now}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		f.chain, f.accepted = state.PeerCertificates, longest(state.VerifiedChains)
		return nil
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		f.wantsOurs = true
		return &tls.Certificate{}, nil
	}
	f.reachable, f.err = t.handshake(ctx, env.Dialer, config)
	if f.wantsOurs && len(f.accepted) > 0 {
		f.err = nil
	}
	var refused *tls.CertificateVerificationError
	if errors.As(f.err, &refused) {
		f.chain = refused.UnverifiedCertificates
	}
	f.trusted = len(f.chain) > 0 && isTrusted(f.chain, roots, env.Now())
	return f
}

// resolverFailed: the name could not be asked for, which says nothing about the
// target. A resolver that answers "no such name" has not failed.
func resolverFailed(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.IsNotFound
}

func report(results []found, now time.Time) checks.Findings {
	var out checks.Findings
	var soonest ending
	for _, f := range results {
		label := f.target.text
		out.Facts = append(out.Facts, fact.Flag("reachable", f.reachable).On(label), fact.Flag("valid", f.reachable && f.err == nil).On(label))
		if f.err != nil {
			out.Facts = append(out.Facts, fact.Word("problem", f.err.Error()).On(label))
			out.Detail = append(out.Detail, label+": "+f.err.Error())
		}
		if len(f.chain) == 0 {
			continue
		}
		if f.wantsOurs {
			out.Detail = append(out.Detail, label+": the server wants a client's certificate, and was shown none")
		}
		end := f.end(now)
		for _, one := range describe(f, end) {
			out.Facts = append(out.Facts, one.On(label))
		}
		out.Detail = append(out.Detail, members(f, end)...)
		if soonest.target == "" || end.left < soonest.left {
			soonest = end
		}
	}
	out.Note = note(results, soonest)
	if len(results) == 1 {
		out.Target = results[0].target.text
	}
	return out
}

func note(results []found, soonest ending) string {
	for _, f := range results {
		if !f.reachable {
			return f.target.text + " does not answer: " + f.err.Error()
		}
	}
	for _, f := range results {
		if f.err != nil {
			return f.target.text + " is refused: " + f.err.Error()
		}
	}
	left := fmt.Sprintf("%s left for %s", fact.FormatDuration(soonest.left), soonest.target)
	if soonest.of != "" {
		left += ": " + soonest.of + " ends first"
	}
	return left
}
