package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Expiry reads the certificates that targets serve.
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
		{Name: "valid", Type: fact.Bool, Label: "target", Doc: "a client accepts the certificate now: chain, name and dates"},
		{Name: "chain_ok", Type: fact.Bool, Label: "target", Optional: true, Doc: "the chain ends at a trusted authority"},
		{Name: "name_ok", Type: fact.Bool, Label: "target", Optional: true, Doc: "the certificate is for the name that was asked for"},
		{Name: "left", Type: fact.Duration, Label: "target", Optional: true, Worse: fact.Lower, Doc: "until the first certificate of the chain ends; negative when it has; absent when unreachable"},
		{Name: "lifetime", Type: fact.Duration, Label: "target", Optional: true, Doc: "of that certificate, from its begin to its end"},
		{Name: "left_share", Type: fact.Percent, Label: "target", Optional: true, Worse: fact.Lower, Doc: "left as a share of the lifetime, for short-lived certificates"},
		{Name: "not_after", Type: fact.Time, Label: "target", Optional: true, Doc: "when it ends"},
		{Name: "issuer", Type: fact.Text, Label: "target", Optional: true, Doc: "who issued the target's own certificate"},
		{Name: "subject", Type: fact.Text, Label: "target", Optional: true, Doc: "names in the target's own certificate"},
		{Name: "problem", Type: fact.Text, Label: "target", Optional: true, Doc: "why a client refuses it, or why there is no answer"},
	},
	Warn: "left < 30d", Fail: "left < 7d or valid == false or reachable == false", Source: "guide (30 days), proposed (7 days)",
	Timeout: 10 * time.Second, Every: time.Hour,
	Example: "use: tls.expiry\nwith: {targets: [\"lms.example.com:443\"]}\nwarn: left < 30d",
	Run:     expiry,
})

// found is what one target served.
type found struct {
	target    target
	reachable bool
	chain     []*x509.Certificate
	err       error // of the connection, or of the verified handshake
}

func expiry(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Dialer == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	roots, err := trusted(args.Text("ca"))
	if err != nil {
		return checks.Findings{}, err
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
		all.Go(func() { results[i] = look(ctx, env, t, roots) })
	}
	all.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return checks.Findings{}, ctx.Err() // we gave up, not the targets
	}
	now := time.Now()
	if env.Now != nil {
		now = env.Now()
	}
	return report(results, now), nil
}

// trusted is the system's authorities and those of a file.
func trusted(ca string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if ca == "" {
		return pool, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("reading trusted certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, checks.Failed(checks.Parse, "%s holds no certificate in PEM", ca)
	}
	return pool, nil
}

// look makes the handshake that decides. A chain that is refused is described
// all the same: it comes with the refusal, or, where the server is the one who
// refuses, from the moment it was accepted.
func look(ctx context.Context, env checks.Env, t target, roots *x509.CertPool) found {
	f := found{target: t}
	config := &tls.Config{ServerName: t.name, RootCAs: roots, Time: env.Now}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		f.chain = state.PeerCertificates
		return nil
	}
	f.err = t.handshake(ctx, env.Dialer, config)
	var refused *tls.CertificateVerificationError
	if errors.As(f.err, &refused) {
		f.chain = refused.UnverifiedCertificates
	}
	f.reachable = f.err == nil || len(f.chain) > 0
	return f
}

func report(results []found, now time.Time) checks.Findings {
	var out checks.Findings
	soonest, named := time.Duration(0), ""
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
		facts, left := describe(f, now)
		for _, one := range facts {
			out.Facts = append(out.Facts, one.On(label))
		}
		out.Detail = append(out.Detail, members(f)...)
		if named == "" || left < soonest {
			soonest, named = left, label
		}
	}
	out.Note = note(results, soonest, named)
	if len(results) == 1 {
		out.Target = results[0].target.text
	}
	return out
}

func note(results []found, soonest time.Duration, named string) string {
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
	return fmt.Sprintf("%s left for %s", fact.FormatDuration(soonest), named)
}

// describe reads the chain. The certificate that ends first is the one that
// counts: an intermediate can be it.
func describe(f found, now time.Time) ([]fact.Fact, time.Duration) {
	first := slices.MinFunc(f.chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	leaf := f.chain[0]
	left, lifetime := first.NotAfter.Sub(now), first.NotAfter.Sub(first.NotBefore)
	facts := []fact.Fact{
		fact.Flag("chain_ok", f.err == nil || !isChain(f.err)), fact.Flag("name_ok", leaf.VerifyHostname(f.target.name) == nil),
		fact.Dur("left", left), fact.Dur("lifetime", lifetime), fact.At("not_after", first.NotAfter),
		fact.Word("issuer", leaf.Issuer.String()), fact.Word("subject", names(leaf)),
	}
	if lifetime > 0 {
		facts = append(facts, fact.Pct("left_share", 100*float64(left)/float64(lifetime)))
	}
	return facts, left
}

// isChain: refused for who signed it, not for its name or its dates.
func isChain(err error) bool {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &invalid) && invalid.Reason != x509.Expired
}

// names are those in the certificate; the subject itself is often empty.
func names(c *x509.Certificate) string {
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return c.Subject.String()
	}
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", list[:most], len(list)-most)
	}
	return fmt.Sprint(list)
}

// members lists the chain, so that the one that ends first can be named.
func members(f found) []string {
	var lines []string
	for i, c := range f.chain {
		lines = append(lines, fmt.Sprintf("%s: chain %d: %s, issued by %s, ends %s", f.target.text, i, names(c), c.Issuer, c.NotAfter.UTC().Format(time.RFC3339)))
	}
	return lines
}
