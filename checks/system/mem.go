package system

import (
	"context"
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Mem judges what is available, not what is free: memory that caches files is
// given back on demand and is no sign of want.
var Mem = module(checks.Module{
	Name:   "sys.mem",
	Doc:    "Measures the memory that is not available, of the container's limit where there is one, and the traffic to swap",
	Params: []checks.Param{sampleParam},
	Facts: []fact.Spec{
		{Name: "used", Type: fact.Percent, Doc: "memory that is not available, of the machine or of the container's limit", Worse: fact.Higher},
		{Name: "swap_used", Type: fact.Percent, Doc: "swap in use, 0 where there is none", Worse: fact.Higher},
		{Name: "available", Type: fact.Bytes, Doc: "what programs can still get without swapping", Worse: fact.Lower, Growth: true},
		{Name: "total", Type: fact.Bytes, Doc: "memory of the machine"},
		{Name: "swap_total", Type: fact.Bytes, Doc: "size of the swap, 0 where there is none"},
		{Name: "swap_in", Type: fact.Count, Unit: "/s", Doc: "pages read back from swap", Worse: fact.Higher, Optional: true},
		{Name: "swap_out", Type: fact.Count, Unit: "/s", Doc: "pages written to swap", Worse: fact.Higher, Optional: true},
		{Name: "limit", Type: fact.Bytes, Doc: "the container's limit", Optional: true},
		{Name: "oom_kills", Type: fact.Count, Unit: "processes", Doc: "processes killed for want of memory since watching began, at most in the last hour", Worse: fact.Higher, Optional: true},
		{Name: "oom_kills_total", Type: fact.Count, Unit: "processes", Doc: "the same since boot; kernels before 4.13 do not count them", Worse: fact.Higher, Optional: true},
	},
	Warn:    "used > 80% or swap_in > 0 or swap_out > 0 or oom_kills > 0",
	Fail:    "used > 95%",
	Source:  "used 80 %: guide; the rest: proposed",
	Least:   leastData,
	Window:  mostSpan,
	Every:   2 * time.Second,
	Example: "use: sys.mem\nwarn: used > 80%",
	Run:     memory,
})

// vmstat is the counters of /proc/vmstat that are looked at; a kernel without
// swap support or an old one lacks some.
type vmstat struct {
	in, out, kills       uint64
	countsSwap, countOOM bool
}

func memory(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	s, err := twice(ctx, env, args, "vmstat", h.vmstat)
	if err != nil {
		return checks.Findings{}, err
	}
	now, err := h.meminfo(ctx)
	if err != nil {
		return checks.Findings{}, err
	}
	group, err := containerOf(env, h, "memory")
	if err != nil {
		return checks.Findings{}, err
	}
	used, limit, limited, err := h.memoryLimit(group)
	if err != nil {
		return checks.Findings{}, err
	}
	f := describeMemory(now, used, limit, limited && limit < now.Total)
	f.Over = s.over()
	f.Facts = append(f.Facts, swapTraffic(s)...)
	f.Facts = append(f.Facts, oomKills(env, s.after)...)
	return f, nil
}

// meminfo reads /proc/meminfo. gopsutil returns zeros for a file it cannot
// read, so a total of nothing is asked after.
func (h host) meminfo(ctx context.Context) (*mem.VirtualMemoryStat, error) {
	const name = "proc/meminfo"
	ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: h.path("proc")})
	now, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, malformed(name, "%v", err)
	}
	if now.Total > 0 && now.Available <= now.Total && now.SwapFree <= now.SwapTotal && now.Available > 0 {
		return now, nil
	}
	if _, err := h.read(name); err != nil {
		return nil, err
	}
	return nil, malformed(name, "total %d, available %d, swap %d, free swap %d do not fit", now.Total, now.Available, now.SwapTotal, now.SwapFree)
}

func describeMemory(now *mem.VirtualMemoryStat, used, limit uint64, limited bool) checks.Findings {
	var f checks.Findings
	available, total := now.Available, now.Total
	usedShare := share(float64(total-available), float64(total))
	of := fact.SizeValue(total).String()
	if limited {
		usedShare = share(float64(used), float64(limit))
		available = min(available, limit-min(used, limit))
		of = fmt.Sprintf("the container's %s", fact.SizeValue(limit))
		f.Facts = append(f.Facts, fact.Size("limit", limit))
	}
	f.Facts = append(f.Facts,
		fact.Pct("used", tidy(usedShare)),
		fact.Pct("swap_used", tidy(share(float64(now.SwapTotal-now.SwapFree), float64(now.SwapTotal)))),
		fact.Size("available", available), fact.Size("total", total), fact.Size("swap_total", now.SwapTotal),
	)
	f.Note = fmt.Sprintf("%s used, %s available of %s", fact.PctValue(usedShare), fact.SizeValue(available), of)
	return f
}

func (h host) vmstat() (vmstat, error) {
	const name = "proc/vmstat"
	content, err := h.read(name)
	if err != nil {
		return vmstat{}, err
	}
	return parseVMStat(name, string(content))
}

func parseVMStat(name, content string) (vmstat, error) {
	var v vmstat
	if _, ok := keyedValue(content, "nr_free_pages"); !ok {
		return v, malformed(name, "no nr_free_pages in it")
	}
	var in, out bool
	v.in, in = keyedValue(content, "pswpin")
	v.out, out = keyedValue(content, "pswpout")
	v.countsSwap = in && out
	v.kills, v.countOOM = keyedValue(content, "oom_kill")
	return v, nil
}

func swapTraffic(s span[vmstat]) []fact.Fact {
	a, b := s.before.values, s.after.values
	if !a.countsSwap || !b.countsSwap {
		return nil
	}
	return []fact.Fact{
		fact.Number("swap_in", tidy(grown(a.in, b.in)/s.seconds())),
		fact.Number("swap_out", tidy(grown(a.out, b.out)/s.seconds())),
	}
}

// oomKills compares with the oldest reading of the last hour. One reading says
// nothing about when a process was killed.
func oomKills(env checks.Env, now reading[vmstat]) []fact.Fact {
	if !now.values.countOOM {
		return nil
	}
	type past = []reading[uint64]
	known, _ := checks.Remembered[past](env.Memory, "oom")
	for len(known) > 1 && now.at.Sub(known[0].at) > time.Hour {
		known = known[1:]
	}
	facts := []fact.Fact{fact.Number("oom_kills_total", now.values.kills)}
	if len(known) > 0 {
		facts = append(facts, fact.Number("oom_kills", grown(known[0].values, now.values.kills)))
	}
	if len(known) == 0 || now.at.Sub(known[len(known)-1].at) >= time.Minute {
		known = append(known, reading[uint64]{now.at, now.values.kills})
	}
	checks.Remember(env.Memory, "oom", known)
	return facts
}
