package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
	"github.com/advanced-lms/opsdeck/checks/fact"
)

// PSI reports pressure stall information: the share of time in which tasks
// could not go on for want of processor, memory or disk. "some" is at least
// one task, "full" is all that were not idle. The kernel makes the means.
var PSI = module(checks.Module{
	Name: "sys.psi",
	Doc:  "Reads how much time tasks lose waiting for processor, memory and disk, as the kernel counts it",
	Facts: []fact.Spec{
		{Name: "cpu_some", Type: fact.Percent, Doc: "some task waited for a processor, mean of 10 seconds", Worse: fact.Higher},
		{Name: "mem_some", Type: fact.Percent, Doc: "some task waited for memory, mean of 10 seconds", Worse: fact.Higher},
		{Name: "mem_full", Type: fact.Percent, Doc: "all tasks waited for memory, mean of 10 seconds", Worse: fact.Higher},
		{Name: "io_some", Type: fact.Percent, Doc: "some task waited for a disk, mean of 10 seconds", Worse: fact.Higher},
		{Name: "io_full", Type: fact.Percent, Doc: "all tasks waited for a disk, mean of 10 seconds", Worse: fact.Higher},
		{Name: "cpu_some_60", Type: fact.Percent, Doc: "some task waited for a processor, mean of a minute", Worse: fact.Higher},
		{Name: "mem_some_60", Type: fact.Percent, Doc: "some task waited for memory, mean of a minute", Worse: fact.Higher},
		{Name: "mem_full_60", Type: fact.Percent, Doc: "all tasks waited for memory, mean of a minute", Worse: fact.Higher},
		{Name: "io_some_60", Type: fact.Percent, Doc: "some task waited for a disk, mean of a minute", Worse: fact.Higher},
		{Name: "io_full_60", Type: fact.Percent, Doc: "all tasks waited for a disk, mean of a minute", Worse: fact.Higher},
	},
	Warn:    "mem_full > 5% or mem_some_60 > 10% or io_full > 10% or cpu_some_60 > 25%",
	Fail:    "mem_full > 20% or mem_some_60 > 40% or io_full > 40%",
	Source:  "proposed, after systemd-oomd and below",
	Every:   2 * time.Second,
	Example: "use: sys.psi\nwarn: io_full > 10%",
	Run:     psi,
})

// pressure is one line: the means of 10 and 60 seconds.
type pressure struct{ avg10, avg60 float64 }

func psi(_ context.Context, env checks.Env, _ checks.Args) (checks.Findings, error) {
	h, err := root(env)
	if err != nil {
		return checks.Findings{}, err
	}
	var f checks.Findings
	for _, r := range []struct {
		file, name string
		lines      []string
	}{{"cpu", "cpu", []string{"some"}}, {"memory", "mem", []string{"some", "full"}}, {"io", "io", []string{"some", "full"}}} {
		lines, err := h.pressures("proc/pressure/" + r.file)
		if err != nil {
			return checks.Findings{}, err
		}
		for _, kind := range r.lines {
			p, ok := lines[kind]
			if !ok {
				return checks.Findings{}, malformed("proc/pressure/"+r.file, "no %q line", kind)
			}
			f.Facts = append(f.Facts, fact.Pct(r.name+"_"+kind, p.avg10), fact.Pct(r.name+"_"+kind+"_60", p.avg60))
		}
	}
	f.Note = pressureNote(f.Facts)
	return f, nil
}

func pressureNote(facts []fact.Fact) string {
	byName := map[string]fact.Value{}
	for _, f := range facts {
		byName[f.Name] = f.Value
	}
	return fmt.Sprintf("waiting: cpu %s, memory %s, disk %s", byName["cpu_some"], byName["mem_some"], byName["io_some"])
}

// pressures reads one file. A kernel built or booted without pressure
// information has none, which is nothing wrong with the host.
func (h host) pressures(name string) (map[string]pressure, error) {
	content, err := h.read(name)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return nil, checks.NotHere{What: "pressure information is switched off (boot with psi=1)"}
	}
	if errors.Is(err, fs.ErrNotExist) {
		if found, statErr := h.exists("proc/stat"); statErr == nil && found {
			return nil, checks.NotHere{What: "this kernel has no pressure information"}
		}
	}
	if err != nil {
		return nil, err
	}
	return parsePressure(name, string(content))
}

// parsePressure reads lines like "some avg10=0.00 avg60=0.12 avg300=0.10 total=1".
func parsePressure(name, content string) (map[string]pressure, error) {
	lines := map[string]pressure{}
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, malformed(name, "%q has fewer than three fields", short(line))
		}
		ten, okTen := average(fields[1], "avg10=")
		sixty, okSixty := average(fields[2], "avg60=")
		if !okTen || !okSixty {
			return nil, malformed(name, "%q holds no averages", short(line))
		}
		lines[fields[0]] = pressure{ten, sixty}
	}
	return lines, nil
}

func average(field, prefix string) (float64, bool) {
	text, ok := strings.CutPrefix(field, prefix)
	n, err := strconv.ParseFloat(text, 64)
	return n, ok && err == nil && n >= 0 && n <= 100
}
