package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// The labels that say from which files compose made a container.
const (
	filesLabel     = "com.docker.compose.project.config_files"
	directoryLabel = "com.docker.compose.project.working_dir"
)

// replica is one container of a service, with what a new one must share.
type replica struct {
	inspected
	imageID, imageName string
	environment        []string // secrets among it
	mounts             []string // sorted: "volume lms_data at /data, rw"
	files              string   // compose files it was made from, absolute; "" if it does not say
	autoRemove         bool
}

// inspectService gives the containers of one service, those that do not run included.
func (s *Server) inspectService(ctx context.Context, project, service string) ([]replica, error) {
	listed, err := s.list(ctx, project)
	if err != nil {
		return nil, err
	}
	var all []replica
	for _, item := range listed {
		if serviceOf(item.Labels) != service {
			continue
		}
		got, err := call(ctx, s, "inspecting container "+short(item.ID), func(ctx context.Context) (client.ContainerInspectResult, error) {
			return s.api.ContainerInspect(ctx, item.ID, client.ContainerInspectOptions{})
		})
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		base, err := describe(got.Container)
		if err != nil {
			return nil, err
		}
		all = append(all, replica{
			inspected: base, imageID: got.Container.Image, imageName: got.Container.Config.Image,
			environment: got.Container.Config.Env, mounts: mountsOf(got.Container.Mounts),
			files: filesOf(got.Container.Config.Labels), autoRemove: got.Container.HostConfig.AutoRemove,
		})
	}
	slices.SortFunc(all, func(a, b replica) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func mountsOf(points []container.MountPoint) []string {
	var mounts []string
	for _, m := range points {
		what := m.Source
		if m.Name != "" {
			what = m.Name
		}
		access := "ro"
		if m.RW {
			access = "rw"
		}
		mounts = append(mounts, fmt.Sprintf("%s %s at %s, %s", m.Type, what, m.Destination, access))
	}
	slices.Sort(mounts)
	return mounts
}

// filesOf makes the compose files absolute; docker-compose notes them as they
// were given.
func filesOf(labels map[string]string) string {
	if labels[filesLabel] == "" {
		return ""
	}
	files := strings.Split(labels[filesLabel], ",")
	for i, file := range files {
		if !filepath.IsAbs(file) {
			files[i] = filepath.Join(labels[directoryLabel], file)
		}
	}
	return strings.Join(files, ",")
}

func ids(all []replica) string {
	var list []string
	for _, c := range all {
		list = append(list, short(c.id))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// mountsDigest is the same for services whose containers mount the same.
func mountsDigest(all []replica) string {
	var list []string
	for _, c := range all {
		list = append(list, strings.Join(c.mounts, "\n"))
	}
	slices.Sort(list)
	sum := sha256.Sum256([]byte(strings.Join(list, "\n\n")))
	return hex.EncodeToString(sum[:8])
}

// imageID is the image that goes by a name here, "" if none does.
func (s *Server) imageID(ctx context.Context, name string) (string, error) {
	got, err := call(ctx, s, "inspecting image "+name, func(ctx context.Context) (client.ImageInspectResult, error) {
		return s.api.ImageInspect(ctx, name)
	})
	if gone(err) {
		return "", nil
	}
	return got.ID, err
}

func (s *Server) engineID(ctx context.Context) (string, error) {
	got, err := call(ctx, s, "asking for the engine's id", func(ctx context.Context) (client.SystemInfoResult, error) {
		return s.api.Info(ctx, client.InfoOptions{})
	})
	if err == nil && got.Info.ID == "" {
		err = checks.Failed(checks.Parse, "docker %s: the engine has no id", s.name)
	}
	return got.Info.ID, err
}

const (
	// healthEvery is how often a new container is looked at.
	healthEvery = 500 * time.Millisecond
	// settled is how long a container without a health check must keep running.
	settled = 3 * time.Second
)

// awaitHealthy waits until every container is healthy or one will not become
// so. What it then sees is a fact; only not being able to see is an error.
func (r recreation) awaitHealthy(ctx context.Context, env checks.Env, wait time.Duration) ([]replica, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	steady := map[string]time.Time{} // since when each runs, as seen here
	for {
		all, err := r.s.inspectService(ctx, r.tool.project, r.name)
		if err != nil {
			return nil, err
		}
		state := condition(all, steady, time.Now())
		if state != waiting {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting until they are healthy: %w", ctx.Err())
		case <-over.C:
			env.Printf("not healthy after %s", fact.FormatDuration(wait))
			return all, nil
		case <-tick.C:
		}
	}
}

type progress uint8

const (
	waiting progress = iota
	settledWell
	broken
)

// condition tells whether there is anything to wait for. A container that
// restarts or has restarted since it was first seen will not settle.
func condition(all []replica, steady map[string]time.Time, now time.Time) progress {
	state := settledWell
	for _, c := range all {
		switch {
		case c.state.Status != container.StateRunning && c.state.Status != container.StateCreated || c.restarts > 0:
			return broken
		case c.state.Status != container.StateRunning:
			state = waiting
		case c.healthcheck && c.state.Health.Status == container.Unhealthy:
			return broken
		case c.healthcheck && c.state.Health.Status != container.Healthy:
			state = waiting
		case !c.healthcheck:
			if steady[c.id].IsZero() {
				steady[c.id] = now
			}
			if now.Sub(steady[c.id]) < settled {
				state = waiting
			}
		}
	}
	if len(all) == 0 {
		return broken
	}
	return state
}

// well reports whether a container runs and does not say otherwise.
func (c replica) well() bool {
	return c.state.Status == container.StateRunning && (!c.healthcheck || c.state.Health.Status == container.Healthy)
}

func (r recreation) healthy() bool {
	return len(r.replicas) > 0 && !slices.ContainsFunc(r.replicas, func(c replica) bool { return !c.well() })
}

// compare holds the containers to what was to become of them.
func (r recreation) compare(idsBefore, mountsBefore string) []fact.Fact {
	old := strings.Fields(idsBefore)
	replaced, unchecked, otherImage := 0, 0, 0
	for _, c := range r.replicas {
		if !slices.Contains(old, short(c.id)) {
			replaced++
		}
		if !c.healthcheck {
			unchecked++
		}
		if c.imageID != r.imageTo {
			otherImage++
		}
	}
	done := r.healthy() && replaced == len(r.replicas) && len(r.replicas) >= len(old) && otherImage == 0 && len(r.outdated()) == 0
	return append(r.facts(),
		fact.Flag("mounts_kept", mountsDigest(r.replicas) == mountsBefore), fact.Number("replaced", replaced),
		fact.Flag("healthy", r.healthy()), fact.Number("unchecked", unchecked), fact.Flag(checks.DoneFact.Name, done))
}

func (r recreation) says() string {
	if len(r.replicas) == 0 {
		return r.target() + " has no container"
	}
	n := 0
	for _, c := range r.replicas {
		if c.well() {
			n++
		}
	}
	return fmt.Sprintf("%d of %d containers run well, image %s", n, len(r.replicas), shortImage(r.replicas[0].imageID))
}

func replicaTable(all []replica) checks.Table {
	t := checks.Table{Name: "containers", Columns: []checks.Column{
		{Name: "container", Type: fact.Text}, {Name: "id", Type: fact.Text}, {Name: "state", Type: fact.Text},
		{Name: "health", Type: fact.Text}, {Name: "image", Type: fact.Text}, {Name: "image_id", Type: fact.Text},
	}}
	for _, c := range all {
		health := container.NoHealthcheck
		if c.healthcheck {
			health = c.state.Health.Status
		}
		t.Rows = append(t.Rows, []fact.Value{
			fact.WordValue(c.name), fact.WordValue(short(c.id)), fact.WordValue(string(c.state.Status)),
			fact.WordValue(string(health)), fact.WordValue(c.imageName), fact.WordValue(shortImage(c.imageID)),
		})
	}
	return t
}

func mountTable(all []replica) checks.Table {
	t := checks.Table{Name: "mounts", Columns: []checks.Column{{Name: "container", Type: fact.Text}, {Name: "kept", Type: fact.Text}}}
	for _, c := range all {
		for _, m := range c.mounts {
			t.Rows = append(t.Rows, []fact.Value{fact.WordValue(c.name), fact.WordValue(m)})
		}
	}
	return t
}
