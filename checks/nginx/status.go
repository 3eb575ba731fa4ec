package nginx

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Status reads stub_status.
var Status = module(checks.Module{
	Name:  "nginx.status",
	Doc:   "Reads nginx's stub_status: connections against worker_connections, and those that were dropped",
	Reach: checks.Network,
	Facts: []fact.Spec{
		{Name: "ok", Type: fact.Bool, Doc: "the status page answered with 200"},
		{Name: "active", Type: fact.Count, Unit: "connections", Worse: fact.Higher, Optional: true, Doc: "open connections of clients, waiting ones included"},
		{Name: "reading", Type: fact.Count, Unit: "connections", Optional: true, Doc: "connections whose request is being read"},
		{Name: "writing", Type: fact.Count, Unit: "connections", Optional: true, Doc: "connections that are being answered"},
		{Name: "waiting", Type: fact.Count, Unit: "connections", Optional: true, Doc: "idle connections kept alive"},
		{Name: "dropped", Type: fact.Count, Unit: "connections", Worse: fact.Higher, Optional: true, Doc: "connections accepted and not handled since nginx began"},
		{Name: "capacity", Type: fact.Count, Unit: "connections", Optional: true, Doc: "worker_processes times worker_connections; absent if the configuration cannot be read"},
		{Name: "used", Type: fact.Percent, Worse: fact.Higher, Optional: true, Doc: "active as a share of capacity; a proxied request needs a second connection, so that 50% may be full"},
	},
	Warn: "used > 35% or dropped > 0", Fail: "ok == false or used > 45%", Source: "proposed",
	Timeout: 10 * time.Second, Every: 30 * time.Second,
	Example: "use: nginx.status",
	Run:     runStatus,
})

var stubStatus = regexp.MustCompile(`^Active connections: (\d+) *\r?\n *server accepts handled requests\r?\n (\d+) (\d+) (\d+) *\r?\nReading: (\d+) Writing: (\d+) Waiting: (\d+)`)

func runStatus(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	site := env.Site.Nginx
	if site.Status == "" {
		return checks.Findings{}, checks.NotHere{What: "no nginx.status in the site file"}
	}
	if env.HTTP == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "no HTTP client")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, site.Status, nil)
	if err != nil {
		return checks.Findings{}, fmt.Errorf("asking nginx.status: %w", err)
	}
	res, err := env.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return checks.Findings{}, fmt.Errorf("asking nginx.status: %w", ctx.Err())
		}
		return checks.Findings{Note: "does not answer", Facts: []fact.Fact{fact.Flag("ok", false)}, Detail: []string{err.Error()}}, nil
	}
	defer res.Body.Close()
	body, err := hostfs.All(res.Body, "the status page", 4<<10)
	if err != nil {
		return checks.Findings{}, fmt.Errorf("reading nginx.status: %w", err)
	}
	switch {
	case res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized:
		return checks.Findings{}, checks.Failed(checks.Denied, "%s answers %d: allow this host there", site.Status, res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return checks.Findings{Note: res.Status, Facts: []fact.Fact{fact.Flag("ok", false)}}, nil
	}
	m := stubStatus.FindSubmatch(body)
	if m == nil {
		return checks.Findings{}, checks.Failed(checks.Parse, "%s is not stub_status: %.60q", site.Status, body)
	}
	var n [8]float64
	for i := 1; i < len(m); i++ {
		if n[i], err = strconv.ParseFloat(string(m[i]), 64); err != nil {
			return checks.Findings{}, checks.Failed(checks.Parse, "stub_status: %w", err)
		}
	}
	f := checks.Findings{Note: fmt.Sprintf("%.0f active, %.0f waiting", n[1], n[7]), Facts: []fact.Fact{
		fact.Flag("ok", true), fact.Number("active", n[1]), fact.Number("dropped", n[2]-n[3]),
		fact.Number("reading", n[5]), fact.Number("writing", n[6]), fact.Number("waiting", n[7])}}
	return withCapacity(ctx, env, f, n[1]), nil
}

// withCapacity sets the open connections against what nginx may have, if its
// configuration can be read; if not, the evidence says why.
func withCapacity(ctx context.Context, env checks.Env, f checks.Findings, active float64) checks.Findings {
	conf, err := configured(ctx, env)
	if err == nil && !conf.valid {
		err = checks.Failed(checks.Parse, "the configuration is not valid")
	}
	if err != nil {
		f.Detail = append(f.Detail, fmt.Sprintf("capacity is not known: %v", err))
		return f
	}
	if total := conf.capacity(); total > 0 {
		f.Facts = append(f.Facts, fact.Number("capacity", total), fact.Pct("used", 100*active/float64(total)))
	}
	return f
}
