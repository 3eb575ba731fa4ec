package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// Memory looks at what becomes of sessions when memory runs out: without a
// limit the host swaps or kills; noeviction refuses logins; a policy that
// evicts any key at random logs people out.
var Memory = module(checks.Module{
	Name: "redis.memory",
	Doc:  "Measures the memory of a Redis server against its limit, with policy, fragmentation, evictions and refused connections",
	Params: []checks.Param{
		{Name: "sample", Type: checks.DurationParam, Default: 500 * time.Millisecond, Doc: "time between two readings of the counters when no earlier reading is known"},
	},
	Facts: []fact.Spec{
		{Name: "used", Type: fact.Bytes, Doc: "memory that the server's data takes", Worse: fact.Higher, Growth: true},
		{Name: "limited", Type: fact.Bool, Doc: "maxmemory is set", Worse: fact.Lower},
		{Name: "limit", Type: fact.Bytes, Doc: "maxmemory", Optional: true},
		{Name: "used_share", Type: fact.Percent, Doc: "used, of maxmemory; absent without one", Worse: fact.Higher, Optional: true},
		{Name: "host_share", Type: fact.Percent, Doc: "memory the process holds, of the machine's", Worse: fact.Higher, Optional: true},
		{Name: "policy", Type: fact.Text, Doc: "maxmemory-policy: what happens when the limit is reached"},
		{Name: "fragmentation", Type: fact.Count, Doc: "memory the process holds, divided by used; means little below 100 MiB", Worse: fact.Higher},
		{Name: "evicted", Type: fact.Count, Unit: "/s", Doc: "keys removed to stay below the limit", Worse: fact.Higher, Optional: true},
		{Name: "rejected", Type: fact.Count, Unit: "/s", Doc: "connections refused because maxclients was reached", Worse: fact.Higher, Optional: true},
	},
	Warn: `used_share > 75% or limited == false or fragmentation > 1.5 and used > 100MiB or evicted > 0 or rejected > 0` +
		` or policy == "noeviction" or policy == "allkeys-random" or policy == "volatile-random"`,
	Fail:    "used_share > 90% or host_share > 90%",
	Source:  "proposed; fragmentation: Netdata",
	Least:   leastCounters,
	Window:  staleCounters,
	Timeout: 6 * time.Second,
	Every:   10 * time.Second,
	Example: "use: redis.memory\nwarn: used_share > 75%\nfail: used_share > 90%",
	Run:     memory,
})

// counters are the two numbers of INFO stats that rates are made of.
type counters struct {
	at                time.Time
	evicted, rejected uint64
	run               string // of the server: after a restart it counts from 0
}

// leastCounters is the least time over which evictions are judged.
const leastCounters = 4 * time.Second

// staleCounters is the age beyond which a mean says nothing about now.
const staleCounters = 10 * time.Minute

func memory(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	s, err := server(env)
	if err != nil {
		return checks.Findings{}, err
	}
	values, now, err := s.memory(ctx, env)
	if err != nil {
		return checks.Findings{Target: s.options.Addr}, err
	}
	kept, known := checks.Baseline(env.Memory, "counters", checks.Reading[counters]{At: now.at, Values: now}, leastCounters, staleCounters,
		func(older, newer counters) bool { return older.run == newer.run })
	before := kept.Values
	if !known || now.at.Sub(before.at) < 100*time.Millisecond {
		before = now
		if err := pause(ctx, args.Duration("sample")); err != nil {
			return checks.Findings{}, err
		}
		if values, now, err = s.memory(ctx, env); err != nil {
			return checks.Findings{Target: s.options.Addr}, err
		}
		checks.Keep(env.Memory, "counters", checks.Reading[counters]{At: now.at, Values: now})
	}
	f, err := s.describeMemory(values)
	f.Target, f.Over = s.options.Addr, now.at.Sub(before.at)
	f.Facts = append(f.Facts, rates(before, now)...)
	return f, err
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

func (s *Server) memory(ctx context.Context, env checks.Env) (map[string]string, counters, error) {
	values, err := s.info(ctx, "memory", "stats", "server")
	if err != nil {
		return nil, counters{}, err
	}
	c := counters{at: env.Now(), run: values["run_id"]}
	var ok bool
	if c.evicted, ok = count(values, "evicted_keys"); !ok {
		return nil, c, s.missing("evicted_keys")
	}
	if c.rejected, ok = count(values, "rejected_connections"); !ok {
		return nil, c, s.missing("rejected_connections")
	}
	return values, c, nil
}

func rates(before, now counters) []fact.Fact {
	seconds := now.at.Sub(before.at).Seconds()
	if seconds <= 0 || before.run != now.run || now.evicted < before.evicted || now.rejected < before.rejected {
		return nil
	}
	return []fact.Fact{
		fact.Number("evicted", float64(now.evicted-before.evicted)/seconds),
		fact.Number("rejected", float64(now.rejected-before.rejected)/seconds),
	}
}

func (s *Server) describeMemory(values map[string]string) (checks.Findings, error) {
	used, okUsed := count(values, "used_memory")
	limit, okLimit := count(values, "maxmemory")
	fragmentation, err := strconv.ParseFloat(values["mem_fragmentation_ratio"], 64)
	policy := values["maxmemory_policy"]
	for field, ok := range map[string]bool{"used_memory": okUsed, "maxmemory": okLimit, "mem_fragmentation_ratio": err == nil && fragmentation >= 0, "maxmemory_policy": policy != ""} {
		if !ok {
			return checks.Findings{}, s.missing(field)
		}
	}
	f := checks.Findings{Facts: []fact.Fact{
		fact.Size("used", used), fact.Flag("limited", limit > 0), fact.Word("policy", policy), fact.Number("fragmentation", fragmentation),
	}}
	note := []string{fact.FormatBytes(float64(used)) + " used, no limit"}
	if limit > 0 {
		share := 100 * float64(used) / float64(limit)
		f.Facts = append(f.Facts, fact.Size("limit", limit), fact.Pct("used_share", share))
		note[0] = fmt.Sprintf("%s of %s used (%s)", fact.FormatBytes(float64(used)), fact.FormatBytes(float64(limit)), fact.PctValue(share))
	}
	resident, okResident := count(values, "used_memory_rss")
	machine, okMachine := count(values, "total_system_memory")
	if okResident && okMachine && machine > 0 {
		f.Facts = append(f.Facts, fact.Pct("host_share", 100*float64(resident)/float64(machine)))
	}
	f.Note = strings.Join(append(note, policy), ", ")
	return f, nil
}
