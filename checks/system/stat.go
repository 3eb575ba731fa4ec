package system

import (
	"strconv"
	"strings"
)

// cpuTicks is the time one processor, or all together, spent so far, in ticks
// of 10 ms. Guest time is part of User and Nice and is not counted again.
type cpuTicks struct {
	User, Nice, System, Idle, IOWait, IRQ, SoftIRQ, Steal uint64
}

// stat is /proc/stat.
type stat struct {
	all      cpuTicks
	cores    []cpuTicks
	booted   int64 // Unix seconds
	runnable uint64
	blocked  uint64
}

func (h host) stat() (stat, error) {
	const name = "proc/stat"
	content, err := h.read(name)
	if err != nil {
		return stat{}, err
	}
	return parseStat(name, string(content))
}

func parseStat(name, content string) (stat, error) {
	var s stat
	for line := range strings.Lines(content) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		ok := true
		switch {
		case key == "cpu":
			s.all, ok = parseTicks(rest)
		case strings.HasPrefix(key, "cpu"):
			var core cpuTicks
			core, ok = parseTicks(rest)
			s.cores = append(s.cores, core)
		case key == "btime":
			s.booted, ok = wholeNumber[int64](rest)
		case key == "procs_running":
			s.runnable, ok = wholeNumber[uint64](rest)
		case key == "procs_blocked":
			s.blocked, ok = wholeNumber[uint64](rest)
		}
		if !ok {
			return stat{}, malformed(name, "%q does not hold numbers", short(line))
		}
	}
	if len(s.cores) == 0 || s.all == (cpuTicks{}) {
		return stat{}, malformed(name, "no processor in it")
	}
	return s, nil
}

// parseTicks reads at least the four columns of the oldest kernels.
func parseTicks(rest string) (cpuTicks, bool) {
	var t cpuTicks
	into := []*uint64{&t.User, &t.Nice, &t.System, &t.Idle, &t.IOWait, &t.IRQ, &t.SoftIRQ, &t.Steal}
	fields := strings.Fields(rest)
	if len(fields) < 4 {
		return t, false
	}
	for i, field := range fields[:min(len(fields), len(into))] {
		n, ok := wholeNumber[uint64](field)
		if !ok {
			return t, false
		}
		*into[i] = n
	}
	return t, true
}

func wholeNumber[N int64 | uint64](text string) (N, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 63)
	return N(n), err == nil
}

// spent is what the counters grew by between two readings, in percent of all
// processor time in between. Time stolen by the hypervisor is not busy time of
// this host; waiting for a disk is idle time.
type spent struct{ busy, user, system, iowait, steal float64 }

func spentBetween(a, b cpuTicks) spent {
	user := grown(a.User, b.User) + grown(a.Nice, b.Nice)
	system := grown(a.System, b.System) + grown(a.IRQ, b.IRQ) + grown(a.SoftIRQ, b.SoftIRQ)
	iowait, steal := grown(a.IOWait, b.IOWait), grown(a.Steal, b.Steal)
	total := user + system + iowait + steal + grown(a.Idle, b.Idle)
	return spent{
		busy: share(user+system, total), user: share(user, total), system: share(system, total),
		iowait: share(iowait, total), steal: share(steal, total),
	}
}
