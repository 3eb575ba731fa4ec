package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/core/crash"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Stats measures containers against their own limits: a share of the whole
// host says nothing about a container that has less of it.
var Stats = module(checks.Module{
	Name: "docker.stats",
	Doc:  "Measures processor and memory of every container against its limits, with restarts and kills for want of memory",
	Params: []checks.Param{
		{Name: "project", Type: checks.TextParam, Default: "", Doc: "compose project; without it that of the connection, or every container of the engine", Example: "advanced-lms"},
		{Name: "sample", Type: checks.DurationParam, Default: time.Second, Doc: "time between two readings of the counters when no earlier reading is known"},
	},
	Facts: []fact.Spec{
		{Name: "cpu", Type: fact.Percent, Label: "container", Doc: "processor time, of the container's limit, or of the host's processors without one", Worse: fact.Higher},
		{Name: "mem", Type: fact.Percent, Label: "container", Doc: "memory without reclaimable cache, of the container's limit, or of the host's without one", Worse: fact.Higher},
		{Name: "mem_bytes", Type: fact.Bytes, Label: "container", Doc: "memory without reclaimable cache", Worse: fact.Higher, Optional: true},
		{Name: "limited", Type: fact.Bool, Label: "container", Doc: "the container has a memory limit", Worse: fact.Lower, Optional: true},
		{Name: "cpu_limited", Type: fact.Bool, Label: "container", Doc: "the container has a processor limit", Optional: true},
		{Name: "oom_killed", Type: fact.Bool, Label: "container", Doc: "the container was killed for want of memory and not started since", Worse: fact.Higher},
		{Name: "restarts", Type: fact.Count, Label: "container", Doc: "restarts by the engine since the container was made", Worse: fact.Higher},
		{Name: "running", Type: fact.Count, Unit: "containers", Doc: "containers that run and were measured"},
	},
	Warn:    "cpu > 80% or mem > 80% or limited == false",
	Fail:    "oom_killed == true or cpu > 95% or mem > 95%",
	Source:  "proposed",
	Least:   leastData,
	Window:  mostSpan,
	Timeout: 20 * time.Second,
	Every:   15 * time.Second,
	Example: "use: docker.stats\nwarn: mem > 80%\nfail: oom_killed == true or mem > 95%",
	Run:     stats,
})

// usage is one reading of a container's counters, by the engine's clock.
type usage struct {
	at            time.Time
	cpu           time.Duration // used since the container was started
	processors    uint32        // of the host
	memory, limit uint64        // bytes; without a limit of its own that of the host
	silent        bool          // the engine gave no figures for this one
}

// Bounds on the time between two readings of a container.
const (
	leastSpan = 500 * time.Millisecond
	mostSpan  = 5 * time.Minute

	// leastData is the least time over which a container's use is judged.
	leastData = 4 * time.Second
)

func stats(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	project := s.projectOf(args)
	all, err := s.containers(ctx, project)
	if err != nil {
		return checks.Findings{Target: project}, err
	}
	if len(all) == 0 && project != "" {
		return checks.Findings{Target: project}, checks.Failed(checks.NoData, "no container of compose project %q", project)
	}
	if len(all) == 0 {
		return checks.Findings{}, checks.NotHere{What: "no container on this engine"}
	}
	before, now, over, err := s.twice(ctx, env, args, all)
	if err != nil {
		return checks.Findings{Target: project}, err
	}
	f := describeUsage(all, before, now)
	f.Target, f.Over = project, over
	return f, nil
}

// twice reads the counters of running containers, and once more after a pause
// unless those of earlier runs are known. over is the time between the two; 0
// if no container runs.
func (s *Server) twice(
	ctx context.Context, env checks.Env, args checks.Args, all []inspected,
) (before, now map[string]usage, over time.Duration, err error) {
	now, err = s.read(ctx, all)
	if err != nil {
		return nil, nil, 0, err
	}
	at := env.Now()
	reading := checks.Reading[map[string]usage]{At: at, Values: now}
	first, known := checks.Baseline(env.Memory, "usage", reading, leastData, mostSpan, comparable)
	if before = first.Values; known {
		over = at.Sub(first.At)
	} else {
		before = now
		if err := pause(ctx, args.Duration("sample")); err != nil {
			return nil, nil, 0, err
		}
		if now, err = s.read(ctx, all); err != nil {
			return nil, nil, 0, err
		}
		checks.Keep(env.Memory, "usage", checks.Reading[map[string]usage]{At: env.Now(), Values: now})
		over = env.Now().Sub(at)
	}
	if len(now) == 0 {
		over = 0
	}
	return before, now, over, nil
}

// comparable reports whether every container that runs now has an earlier
// reading that makes a rate.
func comparable(before, now map[string]usage) bool {
	for id, b := range now {
		a, known := before[id]
		if age := b.at.Sub(a.at); !b.silent && (!known || a.silent || age < leastSpan || age > mostSpan || b.cpu < a.cpu) {
			return false
		}
	}
	return true
}

// pause waits for d, or for as much of it as leaves time to answer.
func pause(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline)/2)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) read(ctx context.Context, all []inspected) (map[string]usage, error) {
	var mu sync.Mutex
	readings := map[string]usage{}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, c := range all {
		if c.state.Status != container.StateRunning {
			continue
		}
		group.Go(func() error {
			defer crash.Recover()
			u, err := s.usage(inner, c)
			switch {
			case gone(err):
				return nil
			case silent(err) && inner.Err() == nil:
				u = usage{silent: true} // the others still have their say
			case err != nil:
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			readings[c.id] = u
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return readings, err
}

// silent reports that one container could not be measured: its runtime hangs,
// or it ended just now.
func silent(err error) bool {
	class := checks.ClassOf(err)
	return class == checks.Timeout || class == checks.NoData
}

// usage takes one reading. The engine is asked for one sample, not for a
// stream, and the answer is read to its end and closed.
func (s *Server) usage(ctx context.Context, c inspected) (usage, error) {
	return call(ctx, s, "measuring container "+c.name, func(ctx context.Context) (usage, error) {
		got, err := s.api.ContainerStats(ctx, c.id, client.ContainerStatsOptions{})
		if err != nil {
			return usage{}, err
		}
		var answer container.StatsResponse
		err = json.NewDecoder(io.LimitReader(got.Body, maxAnswer)).Decode(&answer)
		if closeErr := got.Body.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return usage{}, err
		}
		return reading(answer)
	})
}

func reading(got container.StatsResponse) (usage, error) {
	m := got.MemoryStats
	if got.Read.IsZero() || m.Limit == 0 || got.CPUStats.OnlineCPUs == 0 && len(got.CPUStats.CPUUsage.PercpuUsage) == 0 {
		return usage{}, checks.Failed(checks.NoData, "the engine measures nothing of it")
	}
	processors := got.CPUStats.OnlineCPUs
	if processors == 0 {
		processors = uint32(len(got.CPUStats.CPUUsage.PercpuUsage))
	}
	cache, ok := m.Stats["total_inactive_file"] // cgroup version 1
	if !ok {
		cache = m.Stats["inactive_file"]
	}
	return usage{
		at: got.Read, cpu: time.Duration(got.CPUStats.CPUUsage.TotalUsage), processors: processors,
		memory: m.Usage - min(cache, m.Usage), limit: m.Limit,
	}, nil
}

var containerColumns = []checks.Column{
	{Name: "container", Type: fact.Text}, {Name: "cpu", Type: fact.Percent}, {Name: "mem", Type: fact.Percent}, {Name: "mem_bytes", Type: fact.Bytes},
	{Name: "limit", Type: fact.Bytes}, {Name: "restarts", Type: fact.Count}, {Name: "state", Type: fact.Text},
}

func describeUsage(all []inspected, before, now map[string]usage) checks.Findings {
	var f checks.Findings
	table := checks.Table{Name: "containers", Columns: containerColumns}
	measured, unlimited, killed := 0, 0, 0
	for _, c := range all {
		own := []fact.Fact{fact.Flag("oom_killed", c.state.OOMKilled), fact.Number("restarts", c.restarts)}
		row := []fact.Value{fact.WordValue(c.name), fact.PctValue(0), fact.PctValue(0), fact.SizeValue(0), fact.SizeValue(c.memory), fact.NumberValue(c.restarts), fact.WordValue(string(c.state.Status))}
		if c.state.OOMKilled {
			killed++
		}
		if b, runs := now[c.id]; runs {
			m := measure(c, before[c.id], b)
			own = append(own, m.facts()...)
			row[1], row[2], row[3] = fact.PctValue(m.cpu), fact.PctValue(m.memory), fact.SizeValue(b.memory)
			measured++
			if c.memory == 0 {
				unlimited++
			}
			if b.silent {
				f.Detail = append(f.Detail, c.name+": the engine gave no figures of it")
			}
		}
		for _, one := range own {
			f.Facts = append(f.Facts, one.On(c.name))
		}
		table.Rows = append(table.Rows, row)
	}
	f.Facts = append(f.Facts, fact.Number("running", measured))
	f.Tables = []checks.Table{table}
	f.Note = fmt.Sprintf("%d of %d containers run", measured, len(all))
	if killed > 0 {
		f.Note += fmt.Sprintf(", %d killed for want of memory", killed)
	}
	if unlimited > 0 {
		f.Note += fmt.Sprintf(", %d without a memory limit", unlimited)
	}
	return f
}

// measured are a running container's shares; not a number where the engine did
// not answer, which leaves the rule undecided.
type measured struct {
	cpu, memory         float64
	bytes               uint64
	limited, cpuLimited bool
}

func measure(c inspected, a, b usage) measured {
	m := measured{cpu: math.NaN(), memory: math.NaN(), bytes: b.memory, limited: c.memory > 0, cpuLimited: c.cores > 0}
	if b.silent {
		return m
	}
	m.memory = percent(float64(b.memory), float64(b.limit))
	cores := c.cores
	if cores == 0 {
		cores = float64(b.processors)
	}
	if span := b.at.Sub(a.at).Seconds(); !a.silent && !a.at.IsZero() && span > 0 && b.cpu >= a.cpu {
		m.cpu = percent((b.cpu - a.cpu).Seconds(), cores*span)
	}
	return m
}

func (m measured) facts() []fact.Fact {
	facts := []fact.Fact{
		fact.Pct("cpu", m.cpu), fact.Pct("mem", m.memory),
		fact.Flag("limited", m.limited), fact.Flag("cpu_limited", m.cpuLimited),
	}
	if !math.IsNaN(m.memory) {
		facts = append(facts, fact.Size("mem_bytes", m.bytes))
	}
	return facts
}

func percent(part, whole float64) float64 {
	if whole <= 0 {
		return math.NaN()
	}
	return math.Round(100_000*part/whole) / 1000
}
