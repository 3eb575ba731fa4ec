package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// requestParams are shared by http.get and http.latency.
var requestParams = []checks.Param{
	{Name: "url", Type: checks.TextParam, Required: true, Check: checkURL, Doc: "address to ask", Example: "https://lms.example.com/health"},
	{Name: "method", Type: checks.TextParam, Default: "GET", OneOf: []string{"GET", "HEAD", "OPTIONS"}, Doc: "method; only those that change nothing"},
	{Name: "expect", Type: checks.MapParam, Check: checkExpect, Doc: "status (200; a redirect that is expected is not followed), body (a part, or /regexp/), json ({$.path: value}), header ({Name: part})", Example: "{status: 200, json: {$.status: ok}}"},
	{Name: "headers", Type: checks.MapParam, Doc: "headers to send, to this host only, and never in clear after https"},
	{Name: "cross_host", Type: checks.BoolParam, Default: false, Doc: "follow redirects to other hosts, without the headers"},
	{Name: "ca", Type: checks.TextParam, Doc: "file of certificates in PEM that are trusted besides the system's"},
}

// Get asks an address as a user's browser would.
var Get = module(checks.Module{
	Name:   "http.get",
	Doc:    "Whether an address answers with the right status and body, how long it takes, and where the time goes",
	Reach:  checks.Network,
	Params: requestParams,
	Facts: []fact.Spec{
		{Name: "ok", Type: fact.Bool, Doc: "the answer came and is as expected"},
		{Name: "reason", Type: fact.Text, Doc: "what is wrong; empty when ok"},
		{Name: "total", Type: fact.Duration, Worse: fact.Higher, Doc: "from the first packet to the end of the body, redirects included"},
		{Name: "status", Type: fact.Count, Doc: "status code of the last answer; unknown if there was none"},
		{Name: "dns", Type: fact.Duration, Optional: true, Worse: fact.Higher, Doc: "resolving the name"},
		{Name: "connect", Type: fact.Duration, Worse: fact.Higher, Doc: "opening the connection; unknown if that failed"},
		{Name: "tls", Type: fact.Duration, Optional: true, Worse: fact.Higher, Doc: "the TLS handshake"},
		{Name: "first_byte", Type: fact.Duration, Worse: fact.Higher, Doc: "from the request to the first byte of the answer: the application's own time; unknown if none came"},
		{Name: "size", Type: fact.Bytes, Doc: "length of the body, at most 1 MiB; unknown if it did not come whole"},
		{Name: "redirects", Type: fact.Count, Worse: fact.Higher, Doc: "redirects that were followed"},
		{Name: "body_ok", Type: fact.Bool, Doc: "the body came and is as expected"},
		{Name: "dependency", Type: fact.Bool, Label: "path", Optional: true, Doc: "what the body says at an expected JSON path is as expected"},
	},
	Warn: "total > 500ms or redirects > 0", Fail: "ok == false or total > 2s", Source: "proposed",
	Timeout: 5 * time.Second, Every: 10 * time.Second,
	Example: "use: http.get\nwith:\n  url: https://api.lms.example.com/health\n  expect: {status: 200, json: {$.status: ok}}",
	Run:     get,
})

func get(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Dialer == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	req, err := newRequest(args)
	if err != nil {
		return checks.Findings{}, err
	}
	soon, cancel := early(ctx)
	defer cancel()
	r := req.fetch(soon, req.client(env, false))
	if errors.Is(ctx.Err(), context.Canceled) {
		return checks.Findings{}, ctx.Err() // we gave up, not the target
	}
	if resolverFailed(r.err) {
		return checks.Findings{Target: req.url.Redacted()}, checks.Failed(checks.DNS, "the resolver fails, nobody was asked: %w", r.err)
	}
	return findings(r, req.want, req.url.Redacted()), nil
}

// early ends a little before the Runner's deadline: a target that hangs is a
// fact about the target.
func early(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-100*time.Millisecond))
}

func findings(r reply, want expectation, target string) checks.Findings {
	f := checks.Findings{Target: target, Phases: r.phases}
	add := func(one fact.Fact) { f.Facts = append(f.Facts, one) }
	paths, bodyOK, why := want.judge(r)
	size := float64(len(r.body))
	if r.err != nil {
		bodyOK, why, size = false, reason(r.err), math.NaN()
	}
	add(fact.Flag("body_ok", bodyOK))
	add(fact.Size("size", size))
	for _, p := range paths {
		add(fact.Flag("dependency", p.ok).On(p.path))
		f.Detail = append(f.Detail, fmt.Sprintf("%s is %.200s, expected %s", p.path, p.got, p.want))
	}
	add(fact.Flag("ok", why == ""))
	add(fact.Word("reason", why))
	add(fact.Dur("total", r.total))
	add(fact.Number("redirects", len(r.hops)))
	add(r.statusFact())
	f.Facts = append(f.Facts, r.phaseFacts()...)
	if r.truncated {
		f.Detail = append(f.Detail, "the body is larger than 1 MiB and was cut off there")
	}
	for _, hop := range r.hops {
		f.Detail = append(f.Detail, "redirected by "+hop)
	}
	f.Note = sentence(r, why)
	return f
}

// statusFact is there without an answer too, as a number that is not known: a
// rule about it is then undecided, where one about an absent fact would pass.
func (r reply) statusFact() fact.Fact {
	if r.status == 0 {
		return fact.Number("status", math.NaN())
	}
	return fact.Number("status", r.status)
}

// phaseFacts are the parts of the time. An address needs no name resolved and
// plain HTTP no TLS; any other part that is not there was not reached.
func (r reply) phaseFacts() []fact.Fact {
	var facts []fact.Fact
	for _, phase := range []struct{ name, fact string }{{"dns", "dns"}, {"connect", "connect"}, {"tls", "tls"}, {"first byte", "first_byte"}} {
		took, reached := r.phase(phase.name)
		switch {
		case reached:
			facts = append(facts, fact.Dur(phase.fact, took))
		case phase.name == "connect" || phase.name == "first byte":
			facts = append(facts, fact.Of(phase.fact, fact.Value{Type: fact.Duration, Num: math.NaN()}))
		}
	}
	return facts
}

func sentence(r reply, why string) string {
	took := fact.FormatDuration(r.total.Round(time.Millisecond / 10))
	switch {
	case r.err != nil:
		return fmt.Sprintf("%s after %s", why, took)
	case why != "":
		return fmt.Sprintf("%s, in %s", why, took)
	case len(r.hops) > 0:
		return fmt.Sprintf("%d in %s, %d redirects", r.status, took, len(r.hops))
	}
	return fmt.Sprintf("%d in %s", r.status, took)
}
