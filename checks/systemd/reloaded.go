package systemd

import (
	"context"
	"fmt"
	"strings"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// probeReload compares the service with what the confirmed preview saw.
func probeReload(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	changed, known := env.BeforeFact("changed", "")
	pid, knownPID := env.BeforeFact("main_pid", "")
	invocation, knownInvocation := env.BeforeFact("invocation", "")
	if !known || !knownPID || !knownInvocation {
		return checks.Findings{}, checks.Failed(checks.NoData, "there is no preview to compare %s with", args.Text("unit"))
	}
	r, err := find(ctx, env, args)
	if err != nil {
		return checks.Findings{}, err
	}
	defer r.m.close()
	f := r.findings()
	same := r.s.invocation == invocation.Text && float64(r.s.service.mainPID) == pid.Num
	f.Facts = append(f.Facts, fact.Flag("same_process", same))
	var wrong []string
	switch {
	case r.s.active != "active":
		wrong = append(wrong, "it is "+r.s.says())
	case float64(r.s.changed) <= changed.Num:
		wrong = append(wrong, "its state did not change since the preview: it was not reloaded")
	case r.s.service.reloadResult != "success":
		wrong = append(wrong, "its reload ended with "+r.s.service.reloadResult)
	case r.s.isNginx():
		if wrong, err = r.probeNginx(ctx, env, &f); err != nil {
			return f, err
		}
	}
	f.Facts = append(f.Facts, fact.Flag(checks.DoneFact.Name, len(wrong) == 0))
	f.Detail = append(wrong, f.Detail...)
	f.Note = fmt.Sprintf("reloaded, process %d", r.s.service.mainPID)
	switch {
	case len(wrong) > 0:
		f.Note = "not reloaded: " + strings.Join(wrong, "; ")
	case !same:
		f.Note = fmt.Sprintf("restarted instead: it is process %d now", r.s.service.mainPID)
	}
	return f, nil
}

// probeNginx says what nginx did not do that a reload does.
func (r *reloading) probeNginx(ctx context.Context, env checks.Env, f *checks.Findings) (wrong []string, err error) {
	if r.tested, err = testNginx(ctx, env, r.s); err != nil {
		return nil, fmt.Errorf("reading nginx's configuration: %w", err)
	}
	if !r.tested.Valid {
		return nil, checks.Failed(checks.NoData, "nginx does not take its configuration any more: what it should serve is not known")
	}
	before, ok := env.BeforeFact("worker_ticks", "")
	if !ok {
		return nil, checks.Failed(checks.NoData, "it is not known which workers nginx had before")
	}
	started, newest, err := workers(env.Root, r.s.service.mainPID, int64(before.Num))
	if err != nil {
		return nil, err
	}
	compared, left, err := compare(ctx, env, r.tested.TLS)
	if err != nil {
		return nil, err
	}
	if started == 0 {
		wrong = append(wrong, "nginx has no new workers: it goes on with the old configuration, its error log says why")
	}
	stale := 0
	for _, c := range compared {
		if c.stale() {
			stale++
			wrong = append(wrong, c.says())
			continue
		}
		f.Detail = append(f.Detail, c.says())
	}
	f.Detail = append(f.Detail, left...)
	f.Facts = append(f.Facts, fact.Number("workers_started", started), fact.Number("worker_ticks", newest),
		fact.Number("certificates", len(compared)), fact.Number("stale", stale))
	return wrong, nil
}
