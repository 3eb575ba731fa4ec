package docker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Services compares what should run with what does. It never goes by exit
// codes, of a command or of a container: a service that ended well is still
// not there.
var Services = module(checks.Module{
	Name: "compose.services",
	Doc:  "Compares the services of a compose project with those expected: present, running, healthy, restarted",
	Params: []checks.Param{
		{Name: "project", Type: checks.TextParam, Default: "", Doc: "compose project; without it that of the connection, or every project of the engine", Example: "advanced-lms"},
		{Name: "expect", Type: checks.TextsParam, Doc: "services that must run; without it those of the connection, or those that have a container", Example: "backend, frontend, redis"},
		{Name: "recent", Type: checks.DurationParam, Default: 24 * time.Hour, Doc: "how long a restart counts as recent"},
	},
	Facts: []fact.Spec{
		{Name: "expected", Type: fact.Count, Unit: "services", Doc: "services that should run"},
		{Name: "running", Type: fact.Count, Unit: "services", Doc: "of those, services all of whose containers run", Worse: fact.Lower},
		{Name: "missing", Type: fact.Count, Unit: "services", Doc: "of those, services without a container", Worse: fact.Higher},
		{Name: "exited", Type: fact.Count, Unit: "services", Doc: "services with a container that ended, was paused or was never started", Worse: fact.Higher},
		{Name: "unhealthy", Type: fact.Count, Unit: "services", Doc: "services with a container whose health check fails", Worse: fact.Higher},
		{Name: "restarting", Type: fact.Count, Unit: "services", Doc: "services with a container that is being restarted, or was since the previous look", Worse: fact.Higher},
		{Name: "without_healthcheck", Type: fact.Count, Unit: "services", Doc: "running services without a health check: nothing says that they work", Worse: fact.Higher},
		{Name: "restarted", Type: fact.Count, Unit: "services", Doc: "running services that were restarted recently", Worse: fact.Higher},
		{Name: "oom_killed", Type: fact.Bool, Label: "service", Doc: "a container was killed for want of memory and not started since", Worse: fact.Higher, Optional: true},
		{Name: "state", Type: fact.Text, Label: "service", Doc: "the worst state of its containers: running, created, paused, restarting, exited, dead or missing"},
		{Name: "health", Type: fact.Text, Label: "service", Doc: "the worst health of its containers: healthy, none, starting or unhealthy", Optional: true},
		{Name: "restarts", Type: fact.Count, Label: "service", Doc: "restarts by the engine since its containers were made", Worse: fact.Higher, Optional: true},
		{Name: "up", Type: fact.Duration, Label: "service", Doc: "time since its youngest container was started", Worse: fact.Lower, Optional: true},
	},
	Warn:    "without_healthcheck > 0 or restarted > 0",
	Fail:    "missing > 0 or exited > 0 or unhealthy > 0 or restarting > 0",
	Source:  "proposed",
	Timeout: 15 * time.Second,
	Every:   30 * time.Second,
	Example: "use: compose.services\nwith: {expect: [backend, frontend, redis]}\nfail: missing > 0 or exited > 0 or unhealthy > 0 or restarting > 0",
	Run:     services,
})

func services(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	project := s.projectOf(args)
	all, err := s.containers(ctx, project)
	if err != nil {
		return checks.Findings{Target: project}, err
	}
	expected, source := s.expected(args)
	byName := group(all, project == "")
	if len(expected) == 0 {
		expected, source = slices.Sorted(maps.Keys(byName)), "from the containers that are there: one that was removed is not missed"
	}
	if len(expected) == 0 {
		return checks.Findings{Target: project}, nothing(project)
	}
	look := &look{now: env.Now(), recent: args.Duration("recent"), before: restartsBefore(env)}
	f := look.compare(expected, byName)
	f.Target = project
	f.Detail = append(f.Detail, "expected services: "+source)
	if extra := unexpected(expected, byName); len(extra) > 0 {
		f.Detail = append(f.Detail, "not expected and not judged: "+strings.Join(extra, ", "))
	}
	rememberRestarts(env, all)
	return f, nil
}

func nothing(project string) error {
	if project == "" {
		return checks.NotHere{What: "no compose project on this engine"}
	}
	return checks.Failed(checks.NoData, "no container of compose project %q, and no list of services that should run", project)
}

// expected is the list of the check, else that of the connection.
func (s *Server) expected(args checks.Args) (names []string, source string) {
	if list := args.Texts("expect"); len(list) > 0 {
		return list, "from the check"
	}
	return s.expect, "from the connection " + s.name
}

// group collects containers by service. Where several projects are looked at
// and share a service's name, the project tells them apart.
func group(all []inspected, manyProjects bool) map[string][]inspected {
	projects := map[string]bool{}
	for _, c := range all {
		if c.service != "" {
			projects[c.project] = true
		}
	}
	byName := map[string][]inspected{}
	for _, c := range all {
		if c.service == "" {
			continue
		}
		name := c.service
		if manyProjects && len(projects) > 1 {
			name = c.project + "/" + c.service
		}
		byName[name] = append(byName[name], c)
	}
	return byName
}

func unexpected(expected []string, byName map[string][]inspected) []string {
	var extra []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if !slices.Contains(expected, name) {
			extra = append(extra, fmt.Sprintf("%s (%s)", name, worstState(byName[name])))
		}
	}
	return extra
}

// restartCounts are the restarts of each container at the previous look.
type restartCounts map[string]int

func restartsBefore(env checks.Env) restartCounts {
	before, _ := checks.Remembered[restartCounts](env.Memory, "restarts")
	return before
}

func rememberRestarts(env checks.Env, all []inspected) {
	counts := restartCounts{}
	for _, c := range all {
		counts[c.id] = c.restarts
	}
	checks.Remember(env.Memory, "restarts", counts)
}
