package docker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Volume measures named volumes: nothing else bounds what is kept in them.
var Volume = module(checks.Module{
	Name: "docker.volume",
	Doc:  "Measures the volumes of a compose project, and finds those that should be there and are not",
	Params: []checks.Param{
		{Name: "project", Type: checks.TextParam, Default: "", Doc: "compose project; without it that of the connection, or every volume of the engine"},
		{Name: "expect", Type: checks.TextsParam, Doc: "names of volumes that must be there", Example: "[lms_prometheus_data]"},
	},
	Facts: []fact.Spec{
		{Name: "volumes", Type: fact.Count, Doc: "volumes there are"},
		{Name: "missing", Type: fact.Count, Worse: fact.Higher, Doc: "volumes that are expected and not there"},
		{Name: "size", Type: fact.Bytes, Label: "volume", Worse: fact.Higher, Growth: true, Optional: true, Doc: "what is in it; absent if the engine cannot tell"},
		{Name: "unmeasured", Type: fact.Count, Worse: fact.Higher, Doc: "volumes whose size the engine cannot tell"},
	},
	Warn: "missing > 0 or size > 20GiB or unmeasured > 0", Source: "proposed",
	Timeout: 2 * time.Minute,
	Every:   time.Hour,
	Example: "use: docker.volume\nwarn: missing > 0 or size > 20GiB",
	Run:     volumes,
})

func volumes(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.projectOf(args)}
	// Asked first: an engine in trouble says so here, within a call's patience.
	if _, err := s.containers(ctx, f.Target); err != nil {
		return f, err
	}
	// The engine adds up every file; a call's usual patience is too short for that.
	used, err := s.api.DiskUsage(ctx, client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil {
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
		return f, s.failed("measuring volumes", err)
	}
	all := slices.DeleteFunc(used.Volumes.Items, func(v volume.Volume) bool { return f.Target != "" && v.Labels[projectLabel] != f.Target })
	missing, unmeasured := 0, 0
	for _, name := range args.Texts("expect") {
		if !slices.ContainsFunc(all, func(v volume.Volume) bool { return v.Name == name }) {
			missing++
			f.Detail = append(f.Detail, "volume "+name+" is not there")
		}
	}
	for _, v := range all {
		if v.UsageData == nil || v.UsageData.Size < 0 {
			unmeasured++
			f.Detail = append(f.Detail, "the engine cannot tell the size of volume "+v.Name)
			continue
		}
		f.Facts = append(f.Facts, fact.Size("size", v.UsageData.Size).On(v.Name))
	}
	f.Facts = append(f.Facts, fact.Number("volumes", len(all)), fact.Number("missing", missing), fact.Number("unmeasured", unmeasured))
	f.Note = fmt.Sprintf("%d volumes, %d missing", len(all), missing)
	return f, nil
}
