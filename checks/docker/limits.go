package docker

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/container"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Limits reads the limits that the engine enforces. A compose file may name
// limits that the command in use leaves out.
var Limits = module(checks.Module{
	Name: "docker.limits",
	Doc:  "Compares the processor and memory limits that the engine enforces on every running container with those wanted",
	Params: []checks.Param{
		{Name: "project", Type: checks.TextParam, Default: "", Doc: "compose project; without it that of the connection, or every container of the engine"},
		{Name: "service", Type: checks.TextParam, Default: "", Doc: "this service alone; without it every container", Example: "backend"},
		{Name: "cpus", Type: checks.NumberParam, Default: 2, Check: checkPositive, Doc: "processors each may use (guide: 2)"},
		{Name: "memory", Type: checks.BytesParam, Default: "4GiB", Check: checkPositive, Doc: "memory each may use (guide: 4G)"},
	},
	Facts: []fact.Spec{
		{Name: "limited", Type: fact.Bool, Label: "container", Worse: fact.Lower, Doc: "both a processor and a memory limit are enforced"},
		{Name: "as_wanted", Type: fact.Bool, Label: "container", Worse: fact.Lower, Doc: "both are those wanted"},
		{Name: "cpu_limit", Type: fact.Count, Unit: "processors", Label: "container", Optional: true, Doc: "processors it may use; absent without a limit"},
		{Name: "memory_limit", Type: fact.Bytes, Label: "container", Optional: true, Doc: "memory it may use; absent without a limit"},
	},
	Warn: "limited == false or as_wanted == false", Source: "guide (2 processors, 4 GiB)",
	Every:   checks.DefaultEvery * 6,
	Example: "use: docker.limits\nwith: {service: backend, cpus: 2, memory: 4GiB}",
	Run:     limits,
})

func checkPositive(value any) error {
	if n, ok := value.(float64); ok && n <= 0 {
		return fmt.Errorf("%v is not above 0", n)
	}
	return nil
}

func limits(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.projectOf(args)}
	all, err := s.containers(ctx, f.Target)
	if err != nil {
		return f, err
	}
	cpus, memory := args.Number("cpus"), args.Number("memory")
	seen, wanted := 0, 0
	for _, c := range all {
		if name := args.Text("service"); c.state.Status != container.StateRunning || name != "" && c.service != name {
			continue
		}
		seen++
		asWanted := c.cores == cpus && float64(c.memory) == memory
		if asWanted {
			wanted++
		}
		own := []fact.Fact{fact.Flag("limited", c.cores > 0 && c.memory > 0), fact.Flag("as_wanted", asWanted)}
		if c.cores > 0 {
			own = append(own, fact.Number("cpu_limit", c.cores))
		}
		if c.memory > 0 {
			own = append(own, fact.Size("memory_limit", c.memory))
		}
		for _, one := range own {
			f.Facts = append(f.Facts, one.On(c.name))
		}
	}
	if seen == 0 {
		return f, checks.Failed(checks.NoData, "no container runs whose limits could be read")
	}
	f.Note = fmt.Sprintf("%d of %d containers are limited as wanted", wanted, seen)
	return f, nil
}
