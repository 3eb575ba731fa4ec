package system

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// DiskIO judges how long an operation takes. How busy a disk is says little of
// a modern one, which works on many operations at once; it only keeps a rare
// slow operation on an idle disk from raising anything.
var DiskIO = module(checks.Module{
	Name: "sys.diskio",
	Doc:  "Measures latency, load and traffic of every disk over the last seconds",
	Params: []checks.Param{
		{Name: "devices", Type: checks.TextsParam, Doc: "disks to look at; without it every one that was ever used", Example: "vda, dm-0"},
		sampleParam,
	},
	Facts: []fact.Spec{
		{Name: "busy", Type: fact.Percent, Label: "device", Doc: "time with at least one operation under way", Worse: fact.Higher},
		{Name: "latency", Type: fact.Duration, Label: "device", Doc: "mean time of an operation, queueing included; 0 if there was none", Worse: fact.Higher},
		{Name: "read", Type: fact.Bytes, Label: "device", Doc: "bytes read each second"},
		{Name: "written", Type: fact.Bytes, Label: "device", Doc: "bytes written each second"},
		{Name: "queue", Type: fact.Count, Label: "device", Unit: "operations", Doc: "mean number of operations under way or waiting", Worse: fact.Higher},
	},
	Warn:    "latency > 50ms and busy > 20%",
	Fail:    "latency > 200ms and busy > 20%",
	Source:  "proposed",
	Least:   leastData,
	Window:  mostSpan,
	Every:   2 * time.Second,
	Example: "use: sys.diskio\nwarn: latency > 50ms and busy > 20%",
	Run:     diskIO,
})

// diskCounters is the part of a line of /proc/diskstats that is looked at.
type diskCounters struct {
	reads, sectorsRead, readMs      uint64
	writes, sectorsWritten, writeMs uint64
	busyMs, weightedMs              uint64
}

// sector is the unit of /proc/diskstats, whatever the device's own is.
const sector = 512

func diskIO(ctx context.Context, env checks.Env, args checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	s, err := twice(ctx, env, args, "diskstats", h.diskCounters)
	if err != nil {
		return checks.Findings{}, err
	}
	devices := args.Texts("devices")
	if len(devices) == 0 {
		if devices, err = h.disks(s.after.values); err != nil {
			return checks.Findings{}, err
		}
	}
	if len(devices) == 0 {
		return checks.Findings{}, checks.NotHere{What: "no disk is attached here"}
	}
	return describeDisks(s, devices)
}

func describeDisks(s span[map[string]diskCounters], devices []string) (checks.Findings, error) {
	f := checks.Findings{Over: s.over()}
	slowest := ""
	var worst time.Duration
	for _, name := range devices {
		b, there := s.after.values[name]
		if !there {
			return f, checks.Failed(checks.Missing, "no disk %q (there are %s)", name, strings.Join(slices.Sorted(maps.Keys(s.after.values)), ", "))
		}
		a, there := s.before.values[name]
		if !there {
			a = b // attached just now: nothing happened yet
		}
		r := diskRates(a, b, s.seconds())
		f.Facts = append(f.Facts,
			fact.Pct("busy", tidy(r.busy)).On(name), fact.Dur("latency", r.latency).On(name),
			fact.Size("read", tidy(r.read)).On(name), fact.Size("written", tidy(r.written)).On(name),
			fact.Number("queue", tidy(r.queue)).On(name),
		)
		if slowest == "" || r.latency > worst {
			slowest, worst = name, r.latency
			f.Note = fmt.Sprintf("%s %s an operation, %s busy", name, fact.FormatDuration(r.latency), fact.PctValue(r.busy))
		}
	}
	return f, nil
}

type diskRate struct {
	busy          float64
	latency       time.Duration
	read, written float64
	queue         float64
}

func diskRates(a, b diskCounters, seconds float64) diskRate {
	operations := grown(a.reads, b.reads) + grown(a.writes, b.writes)
	r := diskRate{
		busy:    min(100, share(grown(a.busyMs, b.busyMs), 1000*seconds)),
		read:    grown(a.sectorsRead, b.sectorsRead) * sector / seconds,
		written: grown(a.sectorsWritten, b.sectorsWritten) * sector / seconds,
		queue:   grown(a.weightedMs, b.weightedMs) / (1000 * seconds),
	}
	if operations > 0 {
		ms := (grown(a.readMs, b.readMs) + grown(a.writeMs, b.writeMs)) / operations
		r.latency = time.Duration(ms * float64(time.Millisecond)).Round(time.Microsecond)
	}
	return r
}

// disks are the whole devices that were ever used: partitions are not listed
// in /sys/block, and loop and memory devices are other disks seen twice.
func (h host) disks(known map[string]diskCounters) ([]string, error) {
	entries, err := os.ReadDir(h.path("sys/block"))
	if err != nil {
		return nil, fmt.Errorf("listing disks: %w", err)
	}
	var names []string
	for _, e := range entries {
		c, there := known[e.Name()]
		if there && c.reads+c.writes > 0 && !virtualDisk(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func virtualDisk(name string) bool {
	return slices.ContainsFunc([]string{"loop", "ram", "zram", "sr", "fd"}, func(prefix string) bool {
		rest, ok := strings.CutPrefix(name, prefix)
		return ok && rest != "" && rest[0] >= '0' && rest[0] <= '9'
	})
}

func (h host) diskCounters() (map[string]diskCounters, error) {
	const name = "proc/diskstats"
	content, err := h.read(name)
	if err != nil {
		return nil, err
	}
	return parseDiskstats(name, string(content))
}

// parseDiskstats reads lines of major, minor, name and at least eleven
// counters. Old kernels show partitions with four; those are left out.
func parseDiskstats(name, content string) (map[string]diskCounters, error) {
	disks := map[string]diskCounters{}
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) == 7 {
			continue
		}
		if len(fields) < 14 {
			return nil, malformed(name, "%q has fewer than 14 fields", short(line))
		}
		var n [11]uint64
		for i := range n {
			v, ok := wholeNumber[uint64](fields[3+i])
			if !ok {
				return nil, malformed(name, "%q is not a number", short(fields[3+i]))
			}
			n[i] = v
		}
		disks[fields[2]] = diskCounters{
			reads: n[0], sectorsRead: n[2], readMs: n[3], writes: n[4], sectorsWritten: n[6], writeMs: n[7],
			busyMs: n[9], weightedMs: n[10],
		}
	}
	return disks, nil
}
