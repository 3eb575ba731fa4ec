package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Resolve asks a resolver for a name.
var Resolve = module(checks.Module{
	Name:  "dns.resolve",
	Doc:   "Whether a name resolves to what is expected, and how long the resolver takes",
	Reach: checks.Network,
	Params: []checks.Param{
		{Name: "name", Type: checks.TextParam, Required: true, Doc: "name to resolve", Example: "lms.example.com"},
		{Name: "type", Type: checks.TextParam, Default: "A", OneOf: []string{"A", "AAAA", "CNAME", "MX", "TXT", "NS"}, Doc: "kind of record; CNAME takes the name as complete"},
		{Name: "expect", Type: checks.TextsParam, Doc: "answers that must be there"},
		{Name: "server", Type: checks.TextParam, Check: checkAddress, Doc: "resolver to ask, host:port, instead of the host's", Example: "192.0.2.53:53"},
	},
	Facts: []fact.Spec{
		{Name: "ok", Type: fact.Bool, Doc: "the name resolved, to what was expected"},
		{Name: "took", Type: fact.Duration, Worse: fact.Higher, Doc: "the resolver's time"},
		{Name: "answers", Type: fact.Count, Unit: "records", Doc: "records in the answer"},
		{Name: "reason", Type: fact.Text, Doc: "what is wrong; empty when ok"},
	},
	Warn: "took > 500ms", Fail: "ok == false", Source: "proposed",
	Timeout: 5 * time.Second, Every: 30 * time.Second,
	Example: "use: dns.resolve\nwith: {name: lms.example.com, type: A}",
	Run:     resolve,
})

func resolve(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	resolver, err := asked(env, args.Text("server"))
	if err != nil {
		return checks.Findings{}, err
	}
	name := args.Text("name")
	began := time.Now()
	answers, err := lookup(ctx, resolver, args.Text("type"), name)
	took := time.Since(began)
	var dns *net.DNSError
	if err != nil && !(errors.As(err, &dns) && dns.IsNotFound) {
		return checks.Findings{}, fmt.Errorf("asking for %s: %w", name, err) // the resolver is not the name: unknown
	}
	why := ""
	if err != nil {
		why = "there is no such record"
	}
	for _, want := range args.Texts("expect") {
		if why == "" && !slices.Contains(answers, want) {
			why = fmt.Sprintf("%s is not among the answers", want)
		}
	}
	f := checks.Findings{Target: name, Detail: answers, Note: strings.Join(answers, ", ")}
	if why != "" {
		f.Note = why
	}
	f.Facts = []fact.Fact{fact.Flag("ok", why == ""), fact.Dur("took", took), fact.Number("answers", len(answers)), fact.Word("reason", why)}
	return f, nil
}

// asked is the host's resolver, or a server that was named: then never the host's.
func asked(env checks.Env, server string) (*net.Resolver, error) {
	switch {
	case server != "" && env.Dialer == nil:
		return nil, checks.Failed(checks.Unconfigured, "nothing to dial %s with", server)
	case server != "":
		return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return env.Dialer.DialContext(ctx, network, server)
		}}, nil
	case env.Resolver == nil:
		return nil, checks.Failed(checks.Unconfigured, "no resolver to ask")
	}
	return env.Resolver, nil
}

// alias is where a name leads, none if it has no CNAME: then LookupCNAME gives
// the name itself. The name is taken as complete, or a search domain that was
// appended to it would pass for an alias.
func alias(ctx context.Context, r *net.Resolver, name string) ([]string, error) {
	full := strings.TrimSuffix(name, ".") + "."
	cname, err := r.LookupCNAME(ctx, full)
	switch {
	case err != nil:
		return nil, err
	case strings.EqualFold(cname, full):
		return nil, &net.DNSError{Err: "no CNAME record", Name: name, IsNotFound: true}
	}
	return []string{cname}, nil
}

// lookup gives the answers in one form per kind of record.
func lookup(ctx context.Context, r *net.Resolver, kind, name string) ([]string, error) {
	switch kind {
	case "A", "AAAA":
		network := map[string]string{"A": "ip4", "AAAA": "ip6"}[kind]
		ips, err := r.LookupIP(ctx, network, name)
		return each(ips, func(ip net.IP) string { return ip.String() }), err
	case "CNAME":
		return alias(ctx, r, name)
	case "MX":
		records, err := r.LookupMX(ctx, name)
		return each(records, func(mx *net.MX) string { return fmt.Sprintf("%d %s", mx.Pref, mx.Host) }), err
	case "NS":
		records, err := r.LookupNS(ctx, name)
		return each(records, func(ns *net.NS) string { return ns.Host }), err
	}
	return r.LookupTXT(ctx, name)
}

func each[T any](list []T, text func(T) string) []string {
	var all []string
	for _, one := range list {
		all = append(all, text(one))
	}
	slices.Sort(all)
	return all
}
