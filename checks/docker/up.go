package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/volume"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Up starts a project beside production.
var Up = module(checks.Module{
	Name:   "compose.up",
	Doc:    "Starts the compose project of the connection test under its own name, with volumes of its own, and waits until it is healthy",
	Effect: checks.Reversible, Danger: 2, Repeatable: true,
	Crash: "part of the project may be there; all of it is marked, and compose.down removes it",
	Params: []checks.Param{
		{Name: "wait", Type: checks.DurationParam, Default: "2m", Doc: "how long the containers have to become healthy"},
	},
	Facts: []fact.Spec{
		{Name: "services", Type: fact.Count, Optional: true, Doc: "services of the compose file"},
		{Name: "containers", Type: fact.Count, Optional: true, Doc: "containers of the project that this action made"},
		{Name: "healthy", Type: fact.Bool, Worse: fact.Lower, Optional: true, Doc: "every container runs and none says that it is not healthy yet"},
		{Name: "unchecked", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "containers without a health check: nothing says that they work"},
		checks.DoneFact,
	},
	Warn: "unchecked > 0", Fail: "done == false", Source: "proposed",
	Timeout: 10 * time.Minute,
	Example: "use: compose.up\nwith: {wait: 2m}",
	Preview: previewUp, Run: up, Probe: probeUp,
})

// upward is a project that is to be started.
type upward struct {
	isolated
	tool    composeTool
	layout  layout
	volumes []string
}

func openUp(ctx context.Context, env checks.Env) (upward, error) {
	p, err := openIsolated(env)
	if err != nil {
		return upward{isolated: p}, err
	}
	u := upward{isolated: p}
	if u.tool, err = openCompose(ctx, env, p.s, p.project); err != nil {
		return u, err
	}
	if u.layout, err = u.tool.layout(ctx); err != nil {
		return u, err
	}
	if u.volumes, err = u.layout.volumeNames(p.project); err != nil {
		return u, err
	}
	return u, u.mayBegin(ctx)
}

// mayBegin refuses anything that is there already: it could be production's.
func (u upward) mayBegin(ctx context.Context) error {
	there, err := u.containers(ctx)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return checks.Failed(checks.Other, "project %s has %d containers already: take it down first", u.project, len(there))
	}
	all, err := u.s.volumes(ctx)
	if err != nil {
		return err
	}
	for _, name := range u.volumes {
		if slices.ContainsFunc(all, func(v volume.Volume) bool { return v.Name == name }) {
			return checks.Failed(checks.Other, "volume %s is there already: the project would work on somebody's data", name)
		}
	}
	return nil
}

func previewUp(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	u, err := openUp(ctx, env)
	f := checks.Findings{Target: u.project, Locks: []string{"compose:" + u.project}}
	if err != nil {
		return f, err
	}
	engine, err := u.s.engineID(ctx)
	if err != nil {
		return f, err
	}
	f.Fingerprint = strings.Join([]string{engine, u.project, u.tool.file}, " ")
	f.Facts = []fact.Fact{fact.Number("services", len(u.layout.Services))}
	f.Note = fmt.Sprintf("%d services of %s", len(u.layout.Services), u.tool.file)
	f.Detail = []string{"starts " + u.tool.file + " as project " + u.project + "; no image is built"}
	for _, name := range u.volumes {
		f.Detail = append(f.Detail, "makes volume "+name)
	}
	f.Detail = append(f.Detail, "careful: folders and ports that the file names are shared with whoever else names them")
	return f, nil
}

func up(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	u, err := openUp(ctx, env)
	f := checks.Findings{Target: u.project}
	if err != nil {
		return f, err
	}
	if env.Dir == "" || env.Token == "" {
		return f, checks.Failed(checks.Unconfigured, "an action without a directory and a token of its own cannot mark what it makes")
	}
	marks, err := u.layout.mark(env.Dir, u.tool.file, env.Token)
	if err != nil {
		return f, fmt.Errorf("marking what project %s will be: %w", u.project, err)
	}
	tool := u.tool
	tool.argv = append(slices.Clone(tool.argv), "-f", marks)
	env.Report(0, 2, "starting "+u.project)
	if _, err := tool.run(ctx, checks.Call{Live: env.Out}, "up", "-d", "--no-build"); err != nil {
		return f, err
	}
	env.Report(1, 2, "waiting until "+u.project+" is healthy")
	if err := u.await(ctx, args.Duration("wait")); err != nil {
		return f, err
	}
	return u.look(ctx, env, len(u.layout.Services))
}

// await ends when all are healthy, one will not become so, or time is over:
// which of these it was is told by look.
func (p isolated) await(ctx context.Context, wait time.Duration) error {
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	steady := map[string]time.Time{}
	for {
		all, err := p.replicas(ctx)
		if err != nil || condition(all, steady, time.Now()) != waiting {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s is healthy: %w", p.project, ctx.Err())
		case <-over.C:
			return nil
		case <-tick.C:
		}
	}
}

func (p isolated) replicas(ctx context.Context) ([]replica, error) {
	found, err := p.s.containers(ctx, p.project)
	all := make([]replica, len(found))
	for i, c := range found {
		all[i] = replica{inspected: c}
	}
	return all, err
}

// look holds what is there against the action's own mark.
func (p isolated) look(ctx context.Context, env checks.Env, services int) (checks.Findings, error) {
	f := checks.Findings{Target: p.project}
	listed, err := p.containers(ctx)
	if err != nil {
		return f, err
	}
	all, err := p.replicas(ctx)
	if err != nil {
		return f, err
	}
	marked, unchecked, well := 0, 0, 0
	for _, c := range listed {
		if c.Labels[createdLabel] == env.Token && env.Token != "" {
			marked++
		}
	}
	for _, c := range all {
		if c.well() {
			well++
		}
		if !c.healthcheck {
			unchecked++
		}
	}
	healthy := len(all) > 0 && well == len(all)
	f.Note = fmt.Sprintf("%d of %d containers of %s run well", well, len(all), p.project)
	f.Tables = []checks.Table{replicaTable(all)}
	f.Facts = []fact.Fact{
		fact.Number("containers", marked), fact.Number("services", services), fact.Flag("healthy", healthy), fact.Number("unchecked", unchecked),
		fact.Flag("done", healthy && marked == len(listed) && marked >= services),
	}
	return f, nil
}

func probeUp(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	p, err := openIsolated(env)
	if err != nil {
		return checks.Findings{}, err
	}
	services, known := env.BeforeFact("services", "")
	if !known {
		return checks.Findings{Target: p.project}, checks.Failed(checks.NoData, "there is no preview to compare %s with", p.project)
	}
	return p.look(ctx, env, int(services.Num))
}
