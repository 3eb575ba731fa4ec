package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Down removes a project that Up made, with its volumes. It asks the engine for
// each thing by its id: a compose command that lost its -p or -f would take
// another project's.
var Down = module(checks.Module{
	Name:   "compose.down",
	Doc:    "Removes the containers, networks and volumes of the connection test's project, if compose.up made every one of them, and proves that all other volumes are still there",
	Effect: checks.Destructive, Danger: 3, Repeatable: true,
	Crash: "part of the project may be left; all of it is marked, and doing it again removes it",
	Facts: []fact.Spec{
		{Name: "containers", Type: fact.Count, Optional: true, Doc: "containers of the project"},
		{Name: "volumes", Type: fact.Count, Optional: true, Doc: "volumes of the project"},
		{Name: "others", Type: fact.Count, Optional: true, Doc: "volumes of the engine that are not the project's"},
		{Name: "made", Type: fact.Text, Label: "volume", Optional: true, Doc: "when each of those was made: by this it is known again"},
		{Name: "lost", Type: fact.Count, Worse: fact.Higher, Optional: true, Doc: "volumes of others that the preview saw and that are gone, or are new under the old name"},
		checks.DoneFact,
	},
	Fail: "done == false or lost > 0", Source: "proposed",
	Verify:  "done == true and lost == 0",
	Timeout: 5 * time.Minute,
	Example: "use: compose.down",
	Preview: previewDown, Run: down, Probe: probeDown,
})

// mostVolumes bounds the volumes of others that are proven to be still there.
const mostVolumes = 300

// downward is what is there of a project, and of others.
type downward struct {
	isolated
	containers   []container.Summary
	own, foreign []volume.Volume
}

func openDown(ctx context.Context, env checks.Env) (downward, error) {
	p, err := openIsolated(env)
	d := downward{isolated: p}
	if err != nil {
		return d, err
	}
	if d.containers, err = p.containers(ctx); err != nil {
		return d, err
	}
	all, err := p.s.volumes(ctx)
	if err != nil {
		return d, err
	}
	for _, v := range all {
		if v.Labels[projectLabel] == p.project {
			d.own = append(d.own, v)
		} else {
			d.foreign = append(d.foreign, v)
		}
	}
	if len(d.foreign) > mostVolumes {
		return d, checks.Failed(checks.Limit, "%d volumes of others, more than the %d that can be proven to stay", len(d.foreign), mostVolumes)
	}
	return d, nil
}

// mayRemove refuses a project of which anything was made by somebody else, or
// whose volumes somebody else has mounted.
func (d downward) mayRemove(ctx context.Context) error {
	for _, c := range d.containers {
		if c.Labels[createdLabel] == "" {
			return checks.Failed(checks.Other, "container %s of project %s was not made by compose.up: nothing of the project is removed", strings.Join(c.Names, " "), d.project)
		}
	}
	for _, v := range d.own {
		if v.Labels[createdLabel] == "" {
			return checks.Failed(checks.Other, "volume %s of project %s was not made by compose.up: nothing of the project is removed", v.Name, d.project)
		}
	}
	everyone, err := d.s.list(ctx, "")
	if err != nil {
		return err
	}
	for _, c := range everyone {
		for _, m := range c.Mounts {
			if c.Labels[projectLabel] != d.project && m.Name != "" && slices.ContainsFunc(d.own, func(v volume.Volume) bool { return v.Name == m.Name }) {
				return checks.Failed(checks.Other, "volume %s is also mounted by %s, which is not of project %s", m.Name, strings.Join(c.Names, " "), d.project)
			}
		}
	}
	return nil
}

func (d downward) facts() []fact.Fact {
	return []fact.Fact{fact.Number("containers", len(d.containers)), fact.Number("volumes", len(d.own)), fact.Number("others", len(d.foreign))}
}

func previewDown(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	d, err := openDown(ctx, env)
	f := checks.Findings{Target: d.project, Locks: []string{"compose:" + d.project}}
	if err != nil {
		return f, err
	}
	if err := d.mayRemove(ctx); err != nil {
		return f, err
	}
	if len(d.containers)+len(d.own) == 0 {
		return f, checks.Failed(checks.NoData, "there is nothing of project %s", d.project)
	}
	engine, err := d.s.engineID(ctx)
	if err != nil {
		return f, err
	}
	f.Facts = d.facts()
	print := []string{engine, d.project}
	for _, c := range d.containers {
		print = append(print, short(c.ID))
		f.Detail = append(f.Detail, "removes container "+strings.TrimPrefix(strings.Join(c.Names, " "), "/"))
	}
	for _, v := range d.own {
		print = append(print, v.Name)
		f.Detail = append(f.Detail, "careful: removes volume "+v.Name+" with all that is in it")
	}
	for _, v := range d.foreign {
		f.Facts = append(f.Facts, fact.Word("made", v.CreatedAt).On(v.Name))
		f.Detail = append(f.Detail, "keeps volume "+v.Name)
	}
	f.Fingerprint = strings.Join(print, " ")
	f.Note = fmt.Sprintf("%d containers, %d volumes; %d of others stay", len(d.containers), len(d.own), len(d.foreign))
	return f, nil
}

func down(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	d, err := openDown(ctx, env)
	if err == nil {
		err = d.mayRemove(ctx)
	}
	f := checks.Findings{Target: d.project}
	if err != nil {
		return f, err
	}
	for _, c := range d.containers {
		env.Printf("removing container %s", short(c.ID))
		if err := d.remove(ctx, "removing container "+short(c.ID), func(ctx context.Context) error {
			_, err := d.s.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
			return err
		}); err != nil {
			return f, err
		}
	}
	if err := d.removeNetworks(ctx); err != nil {
		return f, err
	}
	for _, v := range d.own {
		env.Printf("removing volume %s", v.Name)
		if err := d.remove(ctx, "removing volume "+v.Name, func(ctx context.Context) error {
			_, err := d.s.api.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
			return err
		}); err != nil {
			return f, err
		}
	}
	return probeDown(ctx, env, checks.Args{})
}

// removal is how long one container or volume may take to go.
const removal = 30 * time.Second

func (d downward) remove(ctx context.Context, what string, do func(context.Context) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	inner, cancel := context.WithTimeout(ctx, removal)
	defer cancel()
	if err := do(inner); err != nil && !gone(err) {
		return d.s.failed(what, err)
	}
	return nil
}

func (d downward) removeNetworks(ctx context.Context) error {
	filters := client.Filters{}
	filters.Add("label", projectLabel+"="+d.project)
	got, err := call(ctx, d.s, "listing networks", func(ctx context.Context) (client.NetworkListResult, error) {
		return d.s.api.NetworkList(ctx, client.NetworkListOptions{Filters: filters})
	})
	if err != nil {
		return err
	}
	for _, n := range got.Items {
		if err := d.remove(ctx, "removing network "+n.Name, func(ctx context.Context) error {
			_, err := d.s.api.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// probeDown looks for what is left of the project and for every volume of
// others that the preview saw.
func probeDown(ctx context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	d, err := openDown(ctx, env)
	f := checks.Findings{Target: d.project}
	if err != nil {
		return f, err
	}
	others, known := env.BeforeFact("others", "")
	if !known {
		return f, checks.Failed(checks.NoData, "there is no preview to compare the volumes with")
	}
	lost := 0
	for _, b := range env.Before {
		if b.Name == "made" && !slices.ContainsFunc(d.foreign, func(v volume.Volume) bool { return v.Name == b.Label && v.CreatedAt == b.Text }) {
			lost++
			f.Detail = append(f.Detail, "volume "+b.Label+" is not what it was")
		}
	}
	f.Note = fmt.Sprintf("%d containers and %d volumes of %s are left; %d of %d volumes of others lost", len(d.containers), len(d.own), d.project, lost, int(others.Num))
	f.Facts = append(d.facts(), fact.Number("lost", lost), fact.Flag("done", len(d.containers)+len(d.own) == 0))
	return f, nil
}
