package docker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// look is what judging services of one run needs besides the containers.
type look struct {
	now    time.Time
	recent time.Duration
	before restartCounts
	counts tally
}

// tally counts services, not containers.
type tally struct {
	running, missing, exited, unhealthy, restarting, unchecked, restarted int
}

var serviceColumns = []checks.Column{
	{Name: "service", Type: fact.Text}, {Name: "state", Type: fact.Text}, {Name: "health", Type: fact.Text},
	{Name: "restarts", Type: fact.Count}, {Name: "up", Type: fact.Duration}, {Name: "exit", Type: fact.Text}, {Name: "image", Type: fact.Text},
}

func (l *look) compare(expected []string, byName map[string][]inspected) checks.Findings {
	var f checks.Findings
	table := checks.Table{Name: "services", Columns: serviceColumns}
	for _, name := range expected {
		facts, row := l.service(name, byName[name])
		f.Facts = append(f.Facts, facts...)
		table.Rows = append(table.Rows, row)
	}
	c := l.counts
	f.Facts = append(f.Facts,
		fact.Number("expected", len(expected)), fact.Number("running", c.running), fact.Number("missing", c.missing),
		fact.Number("exited", c.exited), fact.Number("unhealthy", c.unhealthy), fact.Number("restarting", c.restarting),
		fact.Number("without_healthcheck", c.unchecked), fact.Number("restarted", c.restarted),
	)
	f.Tables = []checks.Table{table}
	f.Note = c.note(len(expected))
	return f
}

func (c tally) note(expected int) string {
	parts := []string{fmt.Sprintf("%d of %d up", c.running, expected)}
	for _, p := range []struct {
		n    int
		word string
	}{{c.missing, "missing"}, {c.exited, "exited"}, {c.restarting, "restarting"}, {c.unhealthy, "unhealthy"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	return strings.Join(parts, ", ")
}

// service gives the facts and the row of one service and adds it to the tally.
func (l *look) service(name string, containers []inspected) ([]fact.Fact, []fact.Value) {
	if len(containers) == 0 {
		l.counts.missing++
		none := fact.WordValue("")
		return []fact.Fact{fact.Word("state", "missing").On(name)},
			[]fact.Value{fact.WordValue(name), fact.WordValue("missing"), none, fact.NumberValue(0), fact.DurValue(0), none, none}
	}
	state, health := worstState(containers), worstHealth(containers)
	l.add(state, health, containers)
	restarts, killed := 0, false
	for _, c := range containers {
		restarts += c.restarts
		killed = killed || c.state.OOMKilled
	}
	up, runs := youngest(containers, l.now)
	facts := []fact.Fact{
		fact.Word("state", string(state)), fact.Word("health", string(health)),
		fact.Number("restarts", restarts), fact.Flag("oom_killed", killed),
	}
	if runs {
		facts = append(facts, fact.Dur("up", up))
	}
	for i := range facts {
		facts[i] = facts[i].On(name)
	}
	return facts, []fact.Value{
		fact.WordValue(name), fact.WordValue(string(state)), fact.WordValue(string(health)), fact.NumberValue(restarts),
		fact.DurValue(up), fact.WordValue(ending(containers)), fact.WordValue(containers[0].image),
	}
}

func (l *look) add(state container.ContainerState, health container.HealthStatus, containers []inspected) {
	c := &l.counts
	switch {
	case state == container.StateRestarting || l.restartedSince(containers):
		c.restarting++
	case state != container.StateRunning:
		c.exited++
	}
	if state != container.StateRunning {
		return
	}
	c.running++
	switch health {
	case container.Unhealthy:
		c.unhealthy++
	case container.NoHealthcheck:
		c.unchecked++
	}
	if slices.ContainsFunc(containers, l.restartedRecently) {
		c.restarted++
	}
}

// restartedSince catches a loop of crashes whose containers run whenever one
// looks.
func (l *look) restartedSince(containers []inspected) bool {
	return slices.ContainsFunc(containers, func(c inspected) bool {
		before, known := l.before[c.id]
		return known && c.restarts > before
	})
}

// made is how long after its creation a container is started by the deployment
// that made it. A later start is a restart, by the engine or by a person.
const made = 2 * time.Minute

func (l *look) restartedRecently(c inspected) bool {
	return l.now.Sub(c.started) < l.recent && (c.restarts > 0 || c.started.Sub(c.created) > made)
}

// states and healths, worst first. A state that this list does not know is
// worse than all.
var (
	states = []container.ContainerState{
		container.StateDead, container.StateRemoving, container.StateExited, container.StateRestarting,
		container.StatePaused, container.StateCreated, container.StateRunning,
	}
	healths = []container.HealthStatus{container.Unhealthy, container.Starting, container.NoHealthcheck, container.Healthy}
)

func worstState(containers []inspected) container.ContainerState {
	worst := containers[0].state.Status
	for _, c := range containers {
		if slices.Index(states, c.state.Status) < slices.Index(states, worst) {
			worst = c.state.Status
		}
	}
	return worst
}

func worstHealth(containers []inspected) container.HealthStatus {
	worst := container.Healthy
	for _, c := range containers {
		health := container.NoHealthcheck
		if c.healthcheck {
			health = c.state.Health.Status
		}
		if slices.Index(healths, health) < slices.Index(healths, worst) {
			worst = health
		}
	}
	return worst
}

// youngest is how long the container that was started last is up; false if
// none runs.
func youngest(containers []inspected, now time.Time) (up time.Duration, runs bool) {
	for _, c := range containers {
		if c.state.Status != container.StateRunning || c.started.IsZero() {
			continue
		}
		if age := max(0, now.Sub(c.started)); !runs || age < up {
			up, runs = age, true
		}
	}
	return up.Round(time.Second), runs
}

// ending says how containers that do not run ended. It is shown, and judged by nobody.
func ending(containers []inspected) string {
	var ends []string
	for _, c := range containers {
		if c.state.Status != container.StateExited && c.state.Status != container.StateDead && c.state.Status != container.StateRestarting {
			continue
		}
		end := fmt.Sprintf("exit %d", c.state.ExitCode)
		if c.state.OOMKilled {
			end += ", out of memory"
		}
		if c.state.Error != "" {
			end += ", " + c.state.Error
		}
		ends = append(ends, end)
	}
	return strings.Join(ends, "; ")
}
