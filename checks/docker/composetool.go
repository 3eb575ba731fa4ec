package docker

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/advanced-lms/opsdeck/checks"
)

// composeTool is the compose command at one engine, with the project and the
// file always named: by default it takes both from the current directory.
type composeTool struct {
	exec    checks.Exec
	argv    []string // up to and including -f FILE
	file    string
	project string
	plugin  bool // "docker compose", not the older docker-compose
}

// maxConfig bounds the configuration that compose prints, in bytes.
const maxConfig = 4 << 20

// openCompose takes the plugin if it answers, else docker-compose. Engine and
// file are those of the connection.
func openCompose(ctx context.Context, env checks.Env, s *Server, project string) (composeTool, error) {
	t := composeTool{exec: env.Exec, file: s.file, project: project}
	switch {
	case env.Exec == nil:
		return t, checks.Failed(checks.Unconfigured, "commands are not available: compose cannot be run")
	case project == "":
		return t, checks.Failed(checks.Unconfigured, "docker connection %s names no compose project", s.name)
	case !filepath.IsAbs(s.file):
		return t, checks.Failed(checks.Unconfigured, "docker connection %s names no compose file by its whole path (file: %q)", s.name, s.file)
	}
	argv := []string{"docker", "-H", s.host, "compose"}
	out, err := env.Exec(ctx, checks.Call{Argv: append(slices.Clone(argv), "version", "--short")})
	if ctx.Err() != nil {
		return t, ctx.Err()
	}
	t.plugin = err == nil && out.Code == 0
	if !t.plugin {
		argv = []string{"docker-compose", "-H", s.host}
	}
	t.argv = append(argv, "-p", project, "-f", s.file)
	return t, nil
}

// run runs one command of compose. Its own lines go to live as they come.
func (t composeTool) run(ctx context.Context, call checks.Call, words ...string) (checks.Output, error) {
	call.Argv = append(slices.Clone(t.argv), words...)
	call.Dir = filepath.Dir(t.file) // where compose looks for .env
	steering, err := sources(t.file)
	if err != nil {
		return checks.Output{}, fmt.Errorf("compose %s: %w", words[0], err)
	}
	call.Config = append(call.Config, steering...)
	out, err := t.exec(ctx, call)
	if checks.ClassOf(err) == checks.Missing && !t.plugin {
		return out, checks.Failed(checks.Missing, "docker compose does not work here, and the older command neither: %w", err)
	}
	if err != nil {
		return out, fmt.Errorf("compose %s: %w", words[0], err)
	}
	if out.Code != 0 {
		return out, checks.Failed(checks.Other, "compose %s of %s ends with %d: %s", words[0], t.file, out.Code, lastLine(out.Stderr))
	}
	return out, nil
}

func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}

// wanted is a service as the compose file has it now, its variables filled in.
// The environment holds secrets: names may be shown, values never.
type wanted struct {
	Image       string             `yaml:"image"`
	Environment map[string]*string `yaml:"environment"`
}

// service reads what the compose file says of a service. It refuses a file
// whose variables are not all set: compose would put nothing in their place.
func (t composeTool) service(ctx context.Context, name string) (wanted, error) {
	var text bytes.Buffer
	out, err := t.run(ctx, checks.Call{Stdout: &text, Max: maxConfig}, "config")
	if err != nil {
		return wanted{}, err
	}
	for line := range strings.SplitSeq(string(out.Stderr), "\n") {
		if strings.Contains(line, "variable is not set") {
			return wanted{}, checks.Failed(checks.Unconfigured, "compose would put nothing in place of a variable of %s: %s", t.file, line)
		}
	}
	return parseConfig(text.Bytes(), name)
}

func parseConfig(text []byte, name string) (wanted, error) {
	var config struct {
		Services map[string]wanted `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		// The decoder's own words would quote the configuration, secrets and all.
		return wanted{}, checks.Failed(checks.Parse, "what compose config prints is no YAML of the expected form")
	}
	w, ok := config.Services[name]
	if !ok {
		names := slices.Sorted(maps.Keys(config.Services))
		return wanted{}, checks.Failed(checks.Missing, "the compose file has no service %q: %s", name, checks.Nearest(name, names))
	}
	for key, value := range w.Environment {
		if value != nil { // compose doubles the sign, so that its output can be read again
			plain := strings.ReplaceAll(*value, "$$", "$")
			w.Environment[key] = &plain
		}
	}
	return w, nil
}

// differing are the names of the variables that the file sets and a
// container's environment does not have, or has with another value.
func (w wanted) differing(environment []string) []string {
	has := map[string]string{}
	for _, line := range environment {
		name, value, _ := strings.Cut(line, "=")
		has[name] = value
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(w.Environment)) {
		value, there := has[name]
		if want := w.Environment[name]; want != nil && (!there || value != *want) {
			names = append(names, name)
		}
	}
	return names
}

// recreate replaces the containers of one service by such as the file
// describes, and touches no other. Neither is an image fetched or built nor a
// volume renewed.
func (t composeTool) recreate(ctx context.Context, live *checks.Env, service string, replicas int, stop time.Duration) error {
	words := []string{"up", "-d", "--no-deps", "--no-build", "--force-recreate", "-t", strconv.Itoa(int(stop.Seconds()))}
	if t.plugin {
		words = append(words, "--pull", "never")
	}
	if replicas > 1 {
		words = append(words, "--scale", service+"="+strconv.Itoa(replicas))
	}
	_, err := t.run(ctx, checks.Call{Live: live.Out}, append(words, service)...)
	return err
}
