package systemd

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
	"github.com/advanced-lms/opsdeck/checks/nginx"
)

// Reload has a service read its configuration again.
//
// That systemd calls a reload successful says only that a command was: nginx
// takes the signal and goes on with the old configuration if it does not like
// the new one. So nginx's configuration is tested first, and afterwards there
// have to be new workers, and every name has to serve what its file holds.
var Reload = module(checks.Module{
	Name:   "systemd.reload",
	Doc:    "Has a running service read its configuration again; nginx's is tested first, and afterwards its workers are new and every name serves the certificate of its file",
	Effect: checks.Reversible, Danger: 1, Reach: checks.Network, Repeatable: true,
	Crash: "systemd ends a reload that was begun by itself; a service that refuses what it reads goes on with what it had",
	Params: []checks.Param{
		{Name: "unit", Type: checks.TextParam, Required: true, Check: checkService, Doc: "name of a service", Example: "nginx.service"},
	},
	Facts: []fact.Spec{
		{Name: "active", Type: fact.Bool, Doc: "the service runs"},
		{Name: "main_pid", Type: fact.Count, Doc: "its main process"},
		{Name: "invocation", Type: fact.Text, Doc: "systemd's id of this start of it"},
		{Name: "changed", Type: fact.Count, Unit: "µs", Doc: "when its state changed last, by systemd's monotonic clock; a reload changes it twice"},
		{Name: "reload_result", Type: fact.Text, Optional: true, Doc: "what systemd says of the service's last reload"},
		{Name: "job", Type: fact.Text, Optional: true, Doc: "how systemd ended what it was told: done, failed, timeout, canceled"},
		{Name: "same_process", Type: fact.Bool, Optional: true, Doc: "main process and start are those of before; if not, it was restarted, and what was in flight was lost"},
		{Name: "config", Type: fact.Text, Optional: true, Doc: "digest of nginx's configuration, all files of it"},
		{Name: "worker_ticks", Type: fact.Count, Unit: "ticks", Optional: true, Doc: "when nginx's newest worker started, in the kernel's ticks since boot"},
		{Name: "workers_started", Type: fact.Count, Unit: "workers", Worse: fact.Lower, Optional: true, Doc: "workers of nginx that started since the preview"},
		{Name: "certificates", Type: fact.Count, Unit: "names", Optional: true, Doc: "names of nginx whose certificate was compared with its file"},
		{Name: "stale", Type: fact.Count, Unit: "names", Worse: fact.Higher, Optional: true, Doc: "of those, names that serve another certificate than the file holds, or none"},
		{Name: "took", Type: fact.Duration, Optional: true, Doc: "until the reload could be seen, or was given up"},
		checks.DoneFact,
	},
	Warn: "same_process == false", Fail: "done == false or active == false or stale > 0", Source: "guide (configuration tested first), proposed (served serial = file's)",
	Timeout: 2 * time.Minute,
	Example: "use: systemd.reload\nwith: {unit: nginx.service}",
	Preview: previewReload, Run: reload, Probe: probeReload,
})

// A service to be reloaded, as all three functions find it.
type reloading struct {
	m      manager
	s      state
	tested nginx.Tested // if it is nginx
}

// find opens systemd and looks at the service. Close its manager.
func find(ctx context.Context, env checks.Env, args checks.Args) (reloading, error) {
	m, err := open(ctx, env)
	if err != nil {
		return reloading{}, err
	}
	r := reloading{m: m}
	if r.s, err = look(ctx, m, args.Text("unit")); err == nil && !r.s.loaded() {
		err = checks.Failed(checks.Missing, "%s is %s", args.Text("unit"), r.s.load)
	}
	if err != nil {
		m.close()
	}
	return r, err
}

// mayBegin refuses what would not work, or would do harm.
func (r *reloading) mayBegin(ctx context.Context, env checks.Env) error {
	switch {
	case r.s.active == "reloading":
		return checks.Failed(checks.Other, "%s is being reloaded already", r.s.name)
	case !r.s.running():
		return checks.Failed(checks.Other, "%s is %s: what does not run has nothing to reload", r.s.name, r.s.says())
	case !r.s.canReload:
		return checks.Failed(checks.Other, "%s has no way to reload (ExecReload): it could only be restarted", r.s.name)
	case !r.s.isNginx():
		return nil
	}
	var err error
	if r.tested, err = testNginx(ctx, env, r.s); err != nil {
		return fmt.Errorf("testing the configuration of %s: %w", r.s.name, err)
	}
	if !r.tested.Valid {
		return checks.Failed(checks.Other, "nginx does not take its configuration: %s", r.tested.Warnings[len(r.tested.Warnings)-1])
	}
	return nil
}

func (r *reloading) findings() checks.Findings {
	f := checks.Findings{Target: r.s.name, Facts: []fact.Fact{
		fact.Flag("active", r.s.running()), fact.Number("main_pid", r.s.service.mainPID), fact.Word("invocation", r.s.invocation),
		fact.Number("changed", float64(r.s.changed)), fact.Word("reload_result", r.s.service.reloadResult),
	}}
	if r.tested.Hash != "" {
		f.Facts = append(f.Facts, fact.Word("config", r.tested.Hash))
	}
	return f
}

func previewReload(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	r, err := find(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer r.m.close()
	if err := r.mayBegin(ctx, env); err != nil {
		return checks.Findings{}, err
	}
	f := r.findings()
	f.Locks = []string{"systemd:" + r.s.name}
	f.Fingerprint = r.s.name + " " + r.s.invocation + " " + r.tested.Hash
	f.Note = fmt.Sprintf("%s, process %d", r.s.says(), r.s.service.mainPID)
	f.Detail = []string{fmt.Sprintf("%s reads its configuration again; its process %d stays, and with it what is in flight", r.s.name, r.s.service.mainPID)}
	if os.Geteuid() != 0 {
		f.Detail = append(f.Detail, "careful: asked by a user who is not root, systemd may refuse it")
	}
	if r.s.changedFile {
		f.Detail = append(f.Detail, "careful: "+r.s.path+" was changed and systemd has not read it: the old one counts until systemctl daemon-reload")
	}
	if !r.s.isNginx() {
		f.Detail = append(f.Detail, "careful: nothing here can test the configuration of "+r.s.name+" before it is read")
		return f, nil
	}
	return f, r.previewNginx(ctx, env, &f)
}

// previewNginx says which certificates the reload will bring.
func (r *reloading) previewNginx(ctx context.Context, env checks.Env, f *checks.Findings) error {
	f.Detail = append(f.Detail, "nginx takes its configuration")
	for _, w := range r.tested.Warnings {
		f.Detail = append(f.Detail, "careful: "+w)
	}
	_, newest, err := workers(env.Root, r.s.service.mainPID, 0)
	if err != nil {
		return err
	}
	f.Facts = append(f.Facts, fact.Number("worker_ticks", newest))
	compared, left, err := compare(ctx, env, r.tested.TLS)
	if err != nil {
		return err
	}
	stale := 0
	for _, c := range compared {
		if c.stale() {
			stale++
		}
		f.Detail = append(f.Detail, c.says())
	}
	f.Detail = append(f.Detail, left...)
	f.Facts = append(f.Facts, fact.Number("certificates", len(compared)), fact.Number("stale", stale))
	f.Note += fmt.Sprintf("; %d of %d names serve another certificate than their file's", stale, len(compared))
	return nil
}

const (
	// jobTime is how long systemd has: a service's own 90 s and some more.
	jobTime = 100 * time.Second

	// settle is how long a service may take after that until it can be seen.
	settle = 10 * time.Second
)

// reload leaves systemd to end once it was told, cancelled or not.
func reload(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	began := time.Now()
	r, err := find(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer r.m.close()
	if err := r.mayBegin(ctx, env); err != nil {
		return checks.Findings{}, err
	}
	if shown, ok := env.BeforeFact("config", ""); r.tested.Hash != "" && (!ok || shown.Text != r.tested.Hash) {
		return checks.Findings{}, checks.Failed(checks.Other, "nginx's configuration is not the one of the preview any more: look at it again")
	}
	if ctx.Err() != nil {
		return checks.Findings{}, ctx.Err()
	}
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobTime)
	defer cancel()
	own, err := open(inner, env) // the other ends with ctx
	if err != nil {
		return checks.Findings{}, err
	}
	defer own.close()
	env.Printf("reloading %s", r.s.name)
	job, err := own.reload(inner, r.s.name)
	if err != nil {
		return checks.Findings{}, fmt.Errorf("reloading %s: %w", r.s.name, err)
	}
	f, err := await(inner, env, args, job)
	f.Facts = append(f.Facts, fact.Word("job", job), fact.Dur("took", time.Since(began)))
	return f, err
}

// await looks until the reload can be seen, for as long as it may take.
func await(ctx context.Context, env checks.Env, args checks.Args, job string) (checks.Findings, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(settle)
	for {
		f, err := probeReload(ctx, env, args)
		if err != nil || job != "done" || seen(f) || time.Now().After(end) {
			return f, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f, ctx.Err()
		}
	}
}

func seen(f checks.Findings) bool {
	for _, one := range f.Facts {
		if one.Name == checks.DoneFact.Name {
			return one.Bool()
		}
	}
	return false
}
