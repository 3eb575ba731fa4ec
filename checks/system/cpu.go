package system

import (
	"context"
	"fmt"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// CPU tells how busy the processors are as a mean over a window, because an
// instant says nothing: a burst of half a second can warn and never fails.
var CPU = module(checks.Module{
	Name: "sys.cpu",
	Doc:  "Measures how busy the processors are, of the container's quota where there is one, with load and waiting tasks",
	Params: []checks.Param{
		{Name: "window", Type: checks.DurationParam, Default: time.Minute, Check: checkWindow, Doc: "mean over the readings of this long; fewer while watching has just begun, see measured"},
		sampleParam,
	},
	Facts: []fact.Spec{
		{Name: "busy", Type: fact.Percent, Doc: "time spent in programs and the kernel, of all cores or of the container's quota", Worse: fact.Higher},
		{Name: "user", Type: fact.Percent, Doc: "time spent in programs, of all cores", Worse: fact.Higher},
		{Name: "system", Type: fact.Percent, Doc: "time spent in the kernel, of all cores", Worse: fact.Higher},
		{Name: "iowait", Type: fact.Percent, Doc: "time idle while a task waited for a disk", Worse: fact.Higher},
		{Name: "steal", Type: fact.Percent, Doc: "time the hypervisor gave to others", Worse: fact.Higher},
		{Name: "hottest", Type: fact.Percent, Doc: "the busiest single core: 100 % of one core is the limit of a single thread", Worse: fact.Higher},
		{Name: "load1", Type: fact.Count, Doc: "tasks running or waiting for a disk, mean of 1 minute", Worse: fact.Higher},
		{Name: "load5", Type: fact.Count, Doc: "the same, mean of 5 minutes", Worse: fact.Higher},
		{Name: "load15", Type: fact.Count, Doc: "the same, mean of 15 minutes", Worse: fact.Higher},
		{Name: "load_per_core", Type: fact.Count, Doc: "load15 divided by the cores", Worse: fact.Higher},
		{Name: "cores", Type: fact.Count, Unit: "cores", Doc: "processors of the host"},
		{Name: "runnable", Type: fact.Count, Unit: "tasks", Doc: "tasks running or ready to run, this reading included", Worse: fact.Higher},
		{Name: "blocked", Type: fact.Count, Unit: "tasks", Doc: "tasks that wait for a disk or a network file system", Worse: fact.Higher},
		{Name: "measured", Type: fact.Duration, Doc: "how long the mean is really over"},
		{Name: "limit_cores", Type: fact.Count, Unit: "cores", Doc: "the container's quota", Optional: true},
	},
	Warn:    "busy > 70% or iowait > 20% or steal > 10% or load_per_core > 2",
	Fail:    "busy > 90% and measured >= 30s or steal > 25% and measured >= 30s",
	Source:  "busy 70 %: guide; load: Netdata; the rest: proposed",
	Least:   leastData,
	Window:  time.Minute,
	Every:   2 * time.Second,
	Example: "use: sys.cpu\nwith: {window: 60s}\nwarn: busy > 70%",
	Run:     cpu,
})

func checkWindow(value any) error {
	if d, ok := value.(time.Duration); ok && (d < time.Second || d > time.Hour) {
		return checks.Failed(checks.Limit, "a window is between 1s and 1h")
	}
	return nil
}

// cpuCounters is one reading.
type cpuCounters struct {
	stat  stat
	limit float64       // cores of the container's quota, 0 without
	used  time.Duration // by the container
}

func cpu(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	group, err := containerOf(env, h, "cpu")
	if err != nil {
		return checks.Findings{}, err
	}
	s, err := cpuSpan(ctx, env, args, func() (cpuCounters, error) { return h.cpuCounters(group) })
	if err != nil {
		return checks.Findings{}, err
	}
	now, err := h.loadavg()
	if err != nil {
		return checks.Findings{}, err
	}
	return describeCPU(s, now), nil
}

func (h host) cpuCounters(group cgroup) (cpuCounters, error) {
	s, err := h.stat()
	if err != nil {
		return cpuCounters{}, err
	}
	c := cpuCounters{stat: s}
	limit, limited, err := h.cpuLimit(group)
	if err != nil || !limited || limit >= float64(len(s.cores)) {
		return c, err
	}
	c.limit = limit
	c.used, err = h.cpuUsed(group)
	return c, err
}

// keptReadings bounds the readings kept for one window, however often the
// check runs.
const keptReadings = 60

// cpuSpan is the longest span of remembered readings that fits the window; a
// first run reads twice.
func cpuSpan(ctx context.Context, env checks.Env, args checks.Args, read func() (cpuCounters, error)) (span[cpuCounters], error) {
	type past = []reading[cpuCounters]
	window := args.Duration("window")
	values, err := read()
	if err != nil {
		return span[cpuCounters]{}, err
	}
	now := reading[cpuCounters]{env.Now(), values}
	known, _ := checks.Remembered[past](env.Memory, "cpu")
	known = within(known, now, window)
	if len(known) == 0 || now.at.Sub(known[0].at) < leastSpan {
		known = past{now}
		if now, err = again(ctx, env, args, read); err != nil {
			return span[cpuCounters]{}, err
		}
	}
	first := known[0]
	if !now.at.After(first.at) {
		return span[cpuCounters]{}, errStill
	}
	if now.at.Sub(known[len(known)-1].at) >= window/keptReadings {
		known = append(known, now)
	}
	checks.Remember(env.Memory, "cpu", known)
	return span[cpuCounters]{first, now}, nil
}

// within drops readings older than the window, and all of them when a
// processor or the quota came or went, because the counters no longer compare,
// or when nothing was read for so long that the mean would not be about now.
func within(known []reading[cpuCounters], now reading[cpuCounters], window time.Duration) []reading[cpuCounters] {
	if len(known) == 0 {
		return nil
	}
	last := known[len(known)-1]
	same := len(last.values.stat.cores) == len(now.values.stat.cores) && last.values.limit == now.values.limit
	if !same || now.at.Sub(last.at) > mostSpan {
		return nil
	}
	var kept []reading[cpuCounters]
	for _, r := range known {
		if now.at.Sub(r.at) <= window {
			kept = append(kept, r)
		}
	}
	return kept
}

func describeCPU(s span[cpuCounters], now loadavg) checks.Findings {
	a, b := s.before.values, s.after.values
	all := spentBetween(a.stat.all, b.stat.all)
	hottest, cores := 0.0, len(b.stat.cores)
	for i := range min(cores, len(a.stat.cores)) {
		hottest = max(hottest, spentBetween(a.stat.cores[i], b.stat.cores[i]).busy)
	}
	measured := s.over()
	f := checks.Findings{Over: measured}
	busy, of := all.busy, fmt.Sprintf("of %d cores", cores)
	if b.limit > 0 {
		busy = share((b.used - a.used).Seconds(), b.limit*s.seconds())
		of = fmt.Sprintf("of a quota of %s cores", fact.FormatNumber(b.limit))
		f.Facts = append(f.Facts, fact.Number("limit_cores", tidy(b.limit)))
		f.Detail = append(f.Detail, "busy is the container's share of its quota; user, system, iowait, steal, hottest and load are those of the whole host")
	}
	f.Facts = append(f.Facts,
		fact.Pct("busy", tidy(busy)), fact.Pct("user", tidy(all.user)), fact.Pct("system", tidy(all.system)),
		fact.Pct("iowait", tidy(all.iowait)), fact.Pct("steal", tidy(all.steal)), fact.Pct("hottest", tidy(hottest)),
		fact.Number("load1", now.loads[0]), fact.Number("load5", now.loads[1]), fact.Number("load15", now.loads[2]),
		fact.Number("load_per_core", tidy(now.loads[2]/float64(cores))), fact.Number("cores", cores),
		fact.Number("runnable", b.stat.runnable), fact.Number("blocked", b.stat.blocked),
		fact.Dur("measured", measured.Round(time.Millisecond)),
	)
	f.Note = fmt.Sprintf("%s busy %s over %s, load %s", fact.PctValue(busy), of, fact.FormatDuration(measured.Round(100*time.Millisecond)), fact.FormatNumber(now.loads[0]))
	return f
}
