package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Config looks at what containers were made with, not at the file: the file may
// have been changed since, or another one been used.
var Config = module(checks.Module{
	Name: "config.compose",
	Doc:  "Finds containers whose image is not pinned to a version, and ports published on every address of the host",
	Params: []checks.Param{
		{Name: "project", Type: checks.TextParam, Default: "", Doc: "compose project; without it that of the connection, or every container of the engine"},
		{Name: "services", Type: checks.TextsParam, Doc: "these services alone; without it all", Example: "[prometheus, grafana]"},
	},
	Facts: []fact.Spec{
		{Name: "pinned", Type: fact.Bool, Label: "container", Worse: fact.Lower, Doc: "the image has a tag other than latest, or a digest"},
		{Name: "public", Type: fact.Count, Unit: "ports", Label: "container", Worse: fact.Higher, Doc: "ports published on every address"},
	},
	Warn: "pinned == false or public > 0", Source: "proposed",
	Every:   checks.DefaultEvery * 6,
	Example: "use: config.compose\nwith: {services: [prometheus, grafana]}",
	Run:     config,
})

func config(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	f := checks.Findings{Target: s.projectOf(args)}
	listed, err := s.list(ctx, f.Target)
	if err != nil {
		return f, err
	}
	if len(listed) > maxContainers {
		return f, checks.Failed(checks.Limit, "%d containers, more than the %d that are looked at (name a project)", len(listed), maxContainers)
	}
	only := args.Texts("services")
	seen, bad := 0, 0
	for _, item := range listed {
		if len(only) > 0 && !slices.Contains(only, serviceOf(item.Labels)) {
			continue
		}
		got, err := call(ctx, s, "inspecting container "+short(item.ID), func(ctx context.Context) (client.ContainerInspectResult, error) {
			return s.api.ContainerInspect(ctx, item.ID, client.ContainerInspectOptions{})
		})
		if gone(err) {
			continue
		}
		if err != nil {
			return f, err
		}
		c := got.Container
		if c.Config == nil || c.HostConfig == nil {
			return f, checks.Failed(checks.Parse, "the engine's description of container %q has no configuration", c.Name)
		}
		name, public := strings.TrimPrefix(c.Name, "/"), 0
		for port, bindings := range c.HostConfig.PortBindings {
			for _, b := range bindings {
				if !b.HostIP.IsValid() || b.HostIP.IsUnspecified() {
					public++
					f.Detail = append(f.Detail, fmt.Sprintf("%s publishes %s on every address", name, port))
				}
			}
		}
		isPinned := pinned(c.Config.Image)
		if !isPinned {
			f.Detail = append(f.Detail, fmt.Sprintf("%s runs %s, whatever that is today", name, c.Config.Image))
		}
		if seen++; !isPinned || public > 0 {
			bad++
		}
		f.Facts = append(f.Facts, fact.Flag("pinned", isPinned).On(name), fact.Number("public", public).On(name))
	}
	switch {
	case seen == 0 && len(only) > 0:
		return f, checks.NotHere{What: "no container of the services " + strings.Join(only, ", ")}
	case seen == 0:
		return f, checks.Failed(checks.NoData, "there is no container to look at")
	}
	f.Note = fmt.Sprintf("%d of %d containers unpinned or public", bad, seen)
	return f, nil
}

// pinned reports whether a reference says which version it means.
func pinned(image string) bool {
	if strings.Contains(image, "@sha256:") || strings.HasPrefix(image, "sha256:") {
		return true
	}
	_, tag, tagged := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return tagged && tag != "" && tag != "latest"
}
