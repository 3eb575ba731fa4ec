package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Connect opens TCP connections and closes them again.
var Connect = module(checks.Module{
	Name:  "tcp.connect",
	Doc:   "Whether TCP ports accept connections, and how long that takes",
	Reach: checks.Network,
	Params: []checks.Param{
		{Name: "targets", Type: checks.TextsParam, Required: true, Check: checkAddresses, Doc: "host:port, one or more", Example: "[mail.example.com:25]"},
	},
	Facts: []fact.Spec{
		{Name: "ok", Type: fact.Bool, Label: "target", Doc: "the port accepted a connection"},
		{Name: "connect", Type: fact.Duration, Label: "target", Worse: fact.Higher, Doc: "name lookup and connecting; absent if that failed"},
		{Name: "reason", Type: fact.Text, Label: "target", Optional: true, Doc: "why not"},
	},
	Warn: "connect > 500ms", Fail: "ok == false", Source: "proposed",
	Timeout: 5 * time.Second, Every: 10 * time.Second,
	Example: "use: tcp.connect\nwith: {targets: [\"mail.example.com:25\"]}",
	Run:     connect,
})

func connect(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	if env.Dialer == nil {
		return checks.Findings{}, checks.Failed(checks.Unconfigured, "nothing to dial with")
	}
	targets := args.Texts("targets")
	took, errs := make([]time.Duration, len(targets)), make([]error, len(targets))
	soon, cancel := early(ctx)
	defer cancel()
	var all sync.WaitGroup
	for i, target := range targets {
		all.Go(func() { defer crash.Recover(); took[i], errs[i] = dial(soon, env.Dialer, target) })
	}
	all.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return checks.Findings{}, ctx.Err()
	}
	if !slices.ContainsFunc(errs, func(err error) bool { return !resolverFailed(err) }) {
		return checks.Findings{}, checks.Failed(checks.DNS, "the resolver fails, nobody was asked: %w", errs[0])
	}
	return connected(targets, took, errs), nil
}

func connected(targets []string, took []time.Duration, errs []error) checks.Findings {
	var f checks.Findings
	var failing []string
	for i, target := range targets {
		f.Facts = append(f.Facts, fact.Flag("ok", errs[i] == nil).On(target))
		if errs[i] != nil {
			f.Facts = append(f.Facts, fact.Word("reason", reason(errs[i])).On(target))
			failing = append(failing, target+": "+reason(errs[i]))
			continue
		}
		f.Facts = append(f.Facts, fact.Dur("connect", took[i]).On(target))
	}
	f.Detail, f.Note = failing, tally(failing, len(targets))
	if len(targets) == 1 {
		f.Target = targets[0]
	}
	return f
}

// tally counts what failed and shows the first.
func tally(failing []string, targets int) string {
	switch {
	case len(failing) == 0:
		return fmt.Sprintf("%d of %d accept", targets, targets)
	case targets == 1:
		return failing[0]
	}
	return fmt.Sprintf("%d of %d fail, %s", len(failing), targets, failing[0])
}

func dial(ctx context.Context, dialer *net.Dialer, target string) (time.Duration, error) {
	began := time.Now()
	conn, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return 0, err
	}
	return time.Since(began), conn.Close()
}
