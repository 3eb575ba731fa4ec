package nginx

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Config tests nginx's configuration and reads what it says of backends.
var Config = module(checks.Module{
	Name:  "config.nginx",
	Doc:   "Tests nginx's configuration as nginx -t does, reaches every backend of its upstreams, and reads the headers and timeouts of what it proxies",
	Reach: checks.Network,
	Params: []checks.Param{
		{Name: "upstream", Type: checks.TextParam, Doc: "only the upstream of this name", Example: "backend"},
		{Name: "location", Type: checks.TextParam, Doc: "only proxied locations whose path begins so", Example: "/api"},
	},
	Facts: []fact.Spec{
		{Name: "valid", Type: fact.Bool, Doc: "nginx takes the configuration"},
		{Name: "warnings", Type: fact.Count, Unit: "warnings", Worse: fact.Higher, Doc: "what nginx itself warns of"},
		{Name: "upstreams", Type: fact.Count, Unit: "upstreams", Worse: fact.Lower, Optional: true, Doc: "upstreams in the configuration"},
		{Name: "proxied", Type: fact.Count, Unit: "locations", Worse: fact.Lower, Optional: true, Doc: "locations that are proxied"},
		{Name: "servers", Type: fact.Count, Unit: "servers", Label: "upstream", Optional: true, Doc: "backends of the upstream, without those that are down by configuration"},
		{Name: "healthy", Type: fact.Count, Unit: "servers", Worse: fact.Lower, Label: "upstream", Optional: true, Doc: "backends that accept a connection now"},
		{Name: "dead", Type: fact.Count, Unit: "servers", Worse: fact.Higher, Label: "upstream", Optional: true, Doc: "backends that accept none, and still get requests"},
		{Name: "headers_missing", Type: fact.Count, Unit: "headers", Worse: fact.Higher, Label: "location", Optional: true, Doc: "of Host, X-Real-IP, X-Forwarded-For and X-Forwarded-Proto, those that the backend does not get"},
		{Name: "read_timeout", Type: fact.Duration, Worse: fact.Higher, Label: "location", Optional: true, Doc: "how long nginx waits for the backend"},
	},
	Warn: "warnings > 0 or dead > 0 or headers_missing > 0", Fail: "valid == false or healthy < 1", Source: "proposed",
	Timeout: 20 * time.Second, Every: 10 * time.Minute,
	Example: "use: config.nginx",
	Run:     runConfig,
})

// A configuration is what nginx -T said of it.
type configuration struct {
	valid    bool
	warnings []string
	text     string // all files of it, as nginx printed them
	main     []directive
	upstream []directive
}

// configured is the configuration that the site file names.
func configured(ctx context.Context, env checks.Env) (configuration, error) {
	if env.Site.Nginx.Config == "" {
		return configuration{}, checks.NotHere{What: "no nginx.config in the site file"}
	}
	return dump(ctx, env, env.Site.Nginx)
}

// dump tests the configuration and reads it. nginx opens its logs on the way,
// as -t always does, and nothing else.
func dump(ctx context.Context, env checks.Env, site checks.Nginx) (configuration, error) {
	if env.Exec == nil {
		return configuration{}, checks.Failed(checks.Unconfigured, "no commands can be run here")
	}
	binary := site.Binary
	if binary == "" {
		binary = "nginx"
	}
	argv := []string{binary, "-T"}
	if site.Config != "" {
		argv = append(argv, "-c", site.Config)
	}
	if site.Prefix != "" {
		argv = append(argv, "-p", site.Prefix)
	}
	steering, err := sources(site)
	if err != nil {
		return configuration{}, err
	}
	var text bytes.Buffer
	out, err := env.Exec(ctx, checks.Call{Argv: argv, Config: steering, Stdout: &text, Max: 16 << 20})
	if err != nil {
		return configuration{}, fmt.Errorf("testing nginx's configuration: %w", err)
	}
	conf := configuration{valid: out.Code == 0}
	denied := false
	for line := range strings.Lines(string(out.Stderr)) {
		if line = strings.TrimSpace(line); strings.Contains(line, "[warn]") || strings.Contains(line, "[emerg]") {
			conf.warnings = append(conf.warnings, line)
			denied = denied || strings.Contains(line, "[emerg]") && strings.Contains(line, "Permission denied")
		}
	}
	switch {
	case denied:
		return conf, checks.Failed(checks.Denied, "nginx -T as this user: %s", conf.warnings[len(conf.warnings)-1])
	case out.Signal != "":
		return conf, checks.Failed(checks.Other, "nginx -T was ended by %s", out.Signal)
	case !conf.valid && len(conf.warnings) == 0:
		return conf, checks.Failed(checks.Other, "nginx -T ended with %d: %.200s", out.Code, out.Stderr)
	case !conf.valid:
		return conf, nil
	}
	conf.text = text.String()
	conf.main, err = parse(conf.text)
	for _, h := range all(conf.main, "http") {
		conf.upstream = append(conf.upstream, all(h.block, "upstream")...)
	}
	return conf, err
}

// capacity is how many connections all workers may have; 0 if it is not clear.
func (c configuration) capacity() int {
	workers, err := strconv.Atoi(last(c.main, "worker_processes", "1"))
	if err != nil {
		workers = runtime.NumCPU() // auto
	}
	each := "512"
	for _, events := range all(c.main, "events") {
		each = last(events.block, "worker_connections", each)
	}
	n, err := strconv.Atoi(each)
	if err != nil {
		return 0
	}
	return workers * n
}

func runConfig(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	conf, err := configured(ctx, env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Detail: conf.warnings, Facts: []fact.Fact{fact.Flag("valid", conf.valid), fact.Number("warnings", len(conf.warnings))}}
	if !conf.valid {
		f.Note = "nginx does not take the configuration"
		return f, nil
	}
	found := 0
	for _, u := range conf.upstream {
		if len(u.args) == 0 || args.Text("upstream") != "" && u.args[0] != args.Text("upstream") {
			continue
		}
		found++
		if err := backends(ctx, env, u, &f); err != nil {
			return checks.Findings{}, err
		}
	}
	locations := conf.proxied(args.Text("location"))
	for _, l := range locations {
		l.report(&f)
	}
	f.Facts = append(f.Facts, fact.Number("upstreams", found), fact.Number("proxied", len(locations)))
	f.Note = fmt.Sprintf("valid; %d upstreams, %d proxied locations", found, len(locations))
	return f, nil
}

// backends reaches every server of an upstream at the same time.
func backends(ctx context.Context, env checks.Env, u directive, f *checks.Findings) error {
	var addresses []string
	for _, s := range all(u.block, "server") {
		if len(s.args) > 0 && !contains(s.args[1:], "down") {
			addresses = append(addresses, s.args[0])
		}
	}
	if env.Dialer == nil {
		return checks.Failed(checks.Unconfigured, "nothing to connect with")
	}
	failed := make([]error, len(addresses))
	var done sync.WaitGroup
	for i, address := range addresses {
		done.Go(func() { defer crash.Recover(); failed[i] = reach(ctx, env.Dialer, address) })
	}
	done.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("reaching upstream %s: %w", u.args[0], ctx.Err())
	}
	healthy := 0
	for i, err := range failed {
		if err != nil {
			f.Detail = append(f.Detail, fmt.Sprintf("upstream %s: %s: %v", u.args[0], addresses[i], err))
			continue
		}
		healthy++
	}
	f.Facts = append(f.Facts, fact.Number("servers", len(addresses)).On(u.args[0]), fact.Number("healthy", healthy).On(u.args[0]), fact.Number("dead", len(addresses)-healthy).On(u.args[0]))
	return nil
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// reachTime is how long one backend has to accept a connection.
const reachTime = 3 * time.Second

func reach(ctx context.Context, dialer *net.Dialer, address string) error {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	} else if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(strings.Trim(address, "[]"), "80")
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}
