package docker

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/hostfs"
)

// createdLabel marks what compose.up made, with the token of the action. What
// does not have it, compose.down does not remove.
const createdLabel = "opsdeck.created"

// testConnection is the docker connection of isolated projects.
const testConnection = "test"

var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// isolated is a project beside production on the same engine.
type isolated struct {
	s       *Server
	project string
	others  []checks.Connection // the other docker connections: production, whatever they say
}

// openIsolated refuses a project that is, or could be taken for, one that the
// site file knows as another connection's.
func openIsolated(env checks.Env) (isolated, error) {
	if env.Connection == "" {
		env.Connection = testConnection
	}
	i := slices.IndexFunc(env.Site.Connections, func(c checks.Connection) bool { return c.Kind == kind && c.Name == env.Connection })
	if i < 0 {
		return isolated{}, checks.NotHere{What: fmt.Sprintf("no docker connection %q for a project beside production", env.Connection)}
	}
	own := env.Site.Connections[i]
	p := isolated{project: own.Project}
	for _, c := range env.Site.Connections {
		if c.Kind == kind && c.Name != own.Name {
			p.others = append(p.others, c)
		}
	}
	switch {
	case own.Production:
		return p, checks.Failed(checks.Other, "docker connection %s is production", own.Name)
	case !projectName.MatchString(p.project):
		return p, checks.Failed(checks.Unconfigured, "docker connection %s names no project of its own (project: %q): compose would take the folder's name, which production may have too", own.Name, p.project)
	}
	for _, c := range p.others {
		if c.Project == p.project || c.File != "" && defaultProject(c.File) == p.project {
			return p, checks.Failed(checks.Other, "project %s is that of docker connection %s, or what compose calls it by default: it is not touched", p.project, c.Name)
		}
	}
	var err error
	p.s, err = server(env)
	return p, err
}

// defaultProject is the name that compose gives a project without one.
func defaultProject(file string) string {
	name := strings.ToLower(filepath.Base(filepath.Dir(file)))
	return strings.TrimLeft(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, name), "_-")
}

func (p isolated) containers(ctx context.Context) ([]container.Summary, error) {
	return p.s.list(ctx, p.project)
}

// volumes are all of the engine.
func (s *Server) volumes(ctx context.Context) ([]volume.Volume, error) {
	got, err := call(ctx, s, "listing volumes", func(ctx context.Context) (client.VolumeListResult, error) {
		return s.api.VolumeList(ctx, client.VolumeListOptions{})
	})
	slices.SortFunc(got.Items, func(a, b volume.Volume) int { return strings.Compare(a.Name, b.Name) })
	return got.Items, err
}

// layout is what a compose file would make.
type layout struct {
	Services map[string]struct {
		Image string `yaml:"image"`
	} `yaml:"services"`
	Volumes map[string]*struct {
		Name     string `yaml:"name"`
		External any    `yaml:"external"`
	} `yaml:"volumes"`
}

func (t composeTool) layout(ctx context.Context) (layout, error) {
	var l layout
	var text strings.Builder
	if _, err := t.run(ctx, checks.Call{Stdout: &text, Max: maxConfig}, "config"); err != nil {
		return l, err
	}
	if err := yaml.Unmarshal([]byte(text.String()), &l); err != nil || len(l.Services) == 0 {
		// The decoder's own words would quote the configuration, secrets and all.
		return l, checks.Failed(checks.Parse, "what compose config prints is no YAML of the expected form, or has no services")
	}
	return l, nil
}

// volumeNames are the names on the engine; an external volume is refused, for
// it belongs to somebody else by definition.
func (l layout) volumeNames(project string) ([]string, error) {
	var names []string
	for key, v := range l.Volumes {
		name := project + "_" + key
		if v != nil && v.External != nil && v.External != false {
			return nil, checks.Failed(checks.Other, "volume %s is external: it belongs to something outside of the project", key)
		}
		if v != nil && v.Name != "" {
			name = v.Name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// maxCompose bounds a compose file, in bytes.
const maxCompose = 4 << 20

// mark writes a second compose file that labels all that the first one makes.
func (l layout) mark(dir, file, token string) (string, error) {
	label := map[string]any{"labels": map[string]string{createdLabel: token}}
	marks := map[string]any{"services": map[string]any{}}
	for name := range maps.Keys(l.Services) {
		marks["services"].(map[string]any)[name] = label
	}
	if len(l.Volumes) > 0 {
		volumes := map[string]any{}
		for name := range maps.Keys(l.Volumes) {
			volumes[name] = label
		}
		marks["volumes"] = volumes
	}
	content, err := hostfs.Read(file, maxCompose)
	if err != nil {
		return "", err
	}
	var head struct {
		Version string `yaml:"version"`
	}
	if err := yaml.Unmarshal(content, &head); err == nil && head.Version != "" {
		marks["version"] = head.Version // the older command wants the same in all files
	}
	text, err := yaml.Marshal(marks)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "marks.yml")
	return path, hostfs.WriteAtomic(path, text, 0o600)
}
