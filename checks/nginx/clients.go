package nginx

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/clean"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// TopClients lists who asks most.
var TopClients = module(checks.Module{
	Name: "nginx.top_clients",
	Doc:  "Lists the client addresses with the most requests in nginx's access log, behind trusted proxies the forwarded ones",
	Params: []checks.Param{
		windowParam("30d"),
		{Name: "top", Type: checks.NumberParam, Default: float64(20), Doc: "how many clients the table shows"},
	},
	Facts: withReadFacts(
		fact.Spec{Name: "requests", Type: fact.Count, Unit: "requests", Doc: "requests in the window"},
		fact.Spec{Name: "clients", Type: fact.Count, Unit: "clients", Doc: "different addresses; of more than 100000 the frequent ones"},
		fact.Spec{Name: "top_share", Type: fact.Percent, Worse: fact.Higher, Doc: "share of the requests that came from the most frequent client"},
		fact.Spec{Name: "top_client", Type: fact.Text, Doc: "the most frequent client"},
		fact.Spec{Name: "unattributed", Type: fact.Percent, Worse: fact.Higher, Doc: "share of requests of which only a proxy is known"},
	),
	Warn: "top_share > 20% or unattributed > 5% or gaps > 0 or skipped > 5%", Source: "proposed",
	Timeout: 2 * time.Minute, Every: time.Hour,
	Example: "use: nginx.top_clients\nwith: {window: 30d}",
	Run:     runTopClients,
})

// proxies is whose word on a client's address is taken.
type proxies []netip.Prefix

func (p proxies) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr.Unmap()) })
}

// client is who sent a request: the peer or, if that is a trusted proxy, the
// last forwarded address that is not one. What a client wrote further left in
// the header is its own invention. known is false if only a proxy is known.
func (p proxies) client(peer, forwarded string) (client string, known bool) {
	addr, err := netip.ParseAddr(peer)
	if err != nil || !p.trusts(addr) {
		return peer, true
	}
	hops := strings.Split(forwarded, ",")
	for _, hop := range slices.Backward(hops) {
		addr, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return peer, false
		}
		if !p.trusts(addr) {
			return addr.Unmap().String(), true
		}
	}
	return peer, false
}

// mostClients bounds what a flood of ever new addresses makes us keep.
const mostClients = 100_000

// counts are requests by client; when full, the rarest make room, so that what
// is frequent stays exact enough.
type counts map[string]int64

func (c counts) add(client string) {
	if _, ok := c[client]; !ok && len(c) >= mostClients {
		ordered := c.ordered()
		for _, rare := range ordered[len(ordered)*3/4:] {
			delete(c, rare)
		}
	}
	c[strings.Clone(client)]++
}

func (c counts) ordered() []string {
	return slices.SortedFunc(maps.Keys(c), func(a, b string) int { return cmp.Or(cmp.Compare(c[b], c[a]), cmp.Compare(a, b)) })
}

func runTopClients(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	site, now := env.Site.Nginx, clock(env)
	forwarded := cmp.Or(site.RealIP, "http_x_forwarded_for")
	byClient := counts{}
	var all, unknown int64
	reading, err := requests(ctx, env, now.Add(-args.Duration("window")), now, func(r *request) {
		all++
		client, known := proxies(site.Trusted).client(r.fields["remote_addr"], r.fields[forwarded])
		if !known {
			unknown++
		}
		byClient.add(client)
	})
	if err != nil {
		return checks.Findings{}, err
	}
	order := byClient.ordered()
	top := order[0]
	if top == "" {
		return checks.Findings{}, checks.Failed(checks.Parse, "the log lines have no $remote_addr")
	}
	f := checks.Findings{
		Note: fmt.Sprintf("%d clients; %s sent %.3g %%", len(byClient), clean.Line(top, 40), share(byClient[top], all)),
		Facts: append(reading.Facts, fact.Number("requests", all), fact.Number("clients", len(byClient)),
			fact.Pct("top_share", share(byClient[top], all)), fact.Word("top_client", clean.Line(top, 60)), fact.Pct("unattributed", share(unknown, all))),
		Detail: reading.Detail, NotUnderstood: reading.NotUnderstood,
		Tables: []checks.Table{clientTable(byClient, order[:min(len(order), max(1, args.Int("top")))], all)},
	}
	if addr, err := netip.ParseAddr(top); err == nil && unknown == 0 && (addr.IsPrivate() || addr.IsLoopback()) {
		f.Detail = append(f.Detail, fmt.Sprintf("careful: %s is a private address: if it is a proxy, name it under nginx.trusted", top))
	}
	return f, nil
}

func clientTable(byClient counts, top []string, all int64) checks.Table {
	t := checks.Table{Name: "clients", Columns: []checks.Column{
		{Name: "client", Type: fact.Text}, {Name: "requests", Type: fact.Count}, {Name: "share", Type: fact.Percent},
	}}
	for _, client := range top {
		t.Rows = append(t.Rows, []fact.Value{fact.WordValue(clean.Line(client, 60)), fact.NumberValue(byClient[client]), fact.PctValue(share(byClient[client], all))})
	}
	return t
}
