package docker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
)

// The labels that compose, version 1 and 2, puts on its containers.
const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	oneOffLabel  = "com.docker.compose.oneoff" // "True" on those of "compose run"
)

// atOnce is how many calls one run has under way: an engine in trouble is not
// helped by more.
const atOnce = 2

// inspected is a container as the engine describes it.
type inspected struct {
	id, name         string
	project, service string
	image            string
	state            container.State
	restarts         int
	created, started time.Time // started is zero if it never was
	healthcheck      bool
	terminal         bool    // its output is a terminal's
	memory           int64   // limit in bytes, 0 for none
	cores            float64 // limit, 0 for none
}

// list gives the containers of a project as the engine lists them, those that
// do not run included; every one if there is no project.
func (s *Server) list(ctx context.Context, project string) ([]container.Summary, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	filters := client.Filters{}
	if project != "" {
		filters.Add("label", projectLabel+"="+project)
	}
	listed, err := call(ctx, s, "listing containers", func(ctx context.Context) (client.ContainerListResult, error) {
		return s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	})
	return listed.Items, err
}

// containers lists and describes the containers of a project. A container that
// is removed meanwhile is left out.
func (s *Server) containers(ctx context.Context, project string) ([]inspected, error) {
	listed, err := s.list(ctx, project)
	if err != nil {
		return nil, err
	}
	if len(listed) > maxContainers {
		return nil, checks.Failed(checks.Limit, "docker %s: %d containers, more than the %d that are looked at (name a project)", s.name, len(listed), maxContainers)
	}
	var mu sync.Mutex
	var all []inspected
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, item := range listed {
		group.Go(func() error {
			defer crash.Recover()
			c, err := s.inspect(inner, item.ID)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if c.id != "" {
				all = append(all, c)
			}
			return nil
		})
	}
	err = group.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	slices.SortFunc(all, func(a, b inspected) int { return cmp.Compare(a.name, b.name) })
	return all, err
}

// inspect returns the zero value for a container that is gone.
func (s *Server) inspect(ctx context.Context, id string) (inspected, error) {
	got, err := call(ctx, s, "inspecting container "+short(id), func(ctx context.Context) (client.ContainerInspectResult, error) {
		return s.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	})
	if gone(err) {
		return inspected{}, nil
	}
	if err != nil {
		return inspected{}, err
	}
	return describe(got.Container)
}

func short(id string) string { return id[:min(12, len(id))] }

func describe(got container.InspectResponse) (inspected, error) {
	if got.ID == "" || got.State == nil || got.Config == nil || got.HostConfig == nil {
		return inspected{}, checks.Failed(checks.Parse, "the engine's description of container %q has no state or no configuration", got.Name)
	}
	created, errCreated := instant(got.Created)
	started, errStarted := instant(got.State.StartedAt)
	if err := errors.Join(errCreated, errStarted); err != nil {
		return inspected{}, checks.Failed(checks.Parse, "container %s: %w", got.Name, err)
	}
	c := inspected{
		id: got.ID, name: strings.TrimPrefix(got.Name, "/"), image: got.Config.Image,
		project: got.Config.Labels[projectLabel], service: serviceOf(got.Config.Labels),
		state: *got.State, restarts: got.RestartCount, created: created, started: started,
		healthcheck: got.State.Health != nil && got.State.Health.Status != container.NoHealthcheck,
		terminal:    got.Config.Tty,
		memory:      got.HostConfig.Memory, cores: float64(got.HostConfig.NanoCPUs) / 1e9,
	}
	if c.cores == 0 && got.HostConfig.CPUQuota > 0 {
		period := got.HostConfig.CPUPeriod
		if period == 0 {
			period = 100_000 // the kernel's default, in microseconds
		}
		c.cores = float64(got.HostConfig.CPUQuota) / float64(period)
	}
	return c, nil
}

// serviceOf is the compose service that a container is part of, or "".
func serviceOf(labels map[string]string) string {
	if strings.EqualFold(labels[oneOffLabel], "true") {
		return "" // somebody's "compose run", no part of the service
	}
	return labels[serviceLabel]
}

// instant reads a time of the API; "0001-01-01..." and "" are the zero time.
func instant(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

// project is the one asked for: by the module's parameter, else by the connection.
func (s *Server) projectOf(args checks.Args) string {
	if name := args.Text("project"); name != "" {
		return name
	}
	return s.project
}
