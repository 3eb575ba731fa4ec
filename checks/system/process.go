package system

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/advanced-lms/opsdeck/checks"
)

// process is what /proc/PID/stat says of one.
type process struct {
	pid, parent int
	name        string // at most 15 bytes, of the program's own choosing
	state       byte   // R running, S sleeping, D blocked, Z zombie, T stopped, I idle
	ticks       uint64 // processor time used, in ticks of 10 ms
	started     uint64 // ticks after boot; with the pid it names a process for ever
	rss         uint64 // pages
}

// maxProcesses bounds what one reading takes in; the kernel allows four
// million, at which a table of processes helps nobody.
const maxProcesses = 200_000

// processes reads one file of each process, sorted by pid. A process that ends
// meanwhile is left out. Where other users' processes are hidden, a count
// would be wrong, and the answer is that it is not allowed.
func (h host) processes(ctx context.Context) ([]process, error) {
	pids, err := h.pids()
	if err != nil {
		return nil, err
	}
	dir, err := unix.Open(h.path("proc"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", &os.PathError{Op: "open", Path: h.path("proc"), Err: err})
	}
	all, err := readProcesses(ctx, dir, pids)
	return all, errors.Join(err, unix.Close(dir))
}

func readProcesses(ctx context.Context, dir int, pids []int) ([]process, error) {
	all := make([]process, 0, len(pids))
	buffer := make([]byte, 4096)
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := strconv.Itoa(pid) + "/stat"
		content, err := readAt(dir, name, buffer)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading process %d: %w", pid, err)
		}
		p, ok := parseProcess(content)
		if !ok {
			return nil, malformed("proc/"+name, "%q does not describe a process", short(string(content)))
		}
		all = append(all, p)
	}
	return all, nil
}

// pids lists processes in ascending order.
func (h host) pids() ([]int, error) {
	dir, err := os.Open(h.path("proc"))
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	switch {
	case len(pids) > maxProcesses:
		return nil, checks.Failed(checks.Limit, "%d processes, more than the %d that are read", len(pids), maxProcesses)
	case len(pids) == 0:
		return nil, checks.Failed(checks.NoData, "no process in %s", h.path("proc"))
	case pids[0] != 1:
		return nil, checks.Failed(checks.Denied, "processes of other users are hidden from this one (hidepid)")
	}
	return pids, nil
}

// readAt reads a small file below an open directory with three system calls
// and no allocation; there is one for each process of the host.
func readAt(dir int, name string, buffer []byte) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	n, err := unix.Read(fd, buffer)
	return buffer[:max(n, 0)], errors.Join(err, unix.Close(fd))
}

// parseProcess reads a line of /proc/PID/stat. The name stands in parentheses
// and may hold parentheses, spaces and newlines itself, so the last closing
// one ends it.
func parseProcess(line []byte) (process, bool) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 2 || end < open {
		return process{}, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line[:open])))
	fields := bytes.Fields(line[end+1:])
	if err != nil || pid <= 0 || len(fields) < 22 || len(fields[0]) != 1 {
		return process{}, false
	}
	p := process{pid: pid, name: string(line[open+1 : end]), state: fields[0][0]}
	parent, ok := number(fields[1])
	p.parent = int(parent)
	var user, system uint64
	for _, w := range []struct {
		into  *uint64
		field int // counted from the state, which is the third of the line
	}{{&user, 11}, {&system, 12}, {&p.started, 19}, {&p.rss, 21}} {
		var good bool
		*w.into, good = number(fields[w.field])
		ok = ok && good
	}
	p.ticks = user + system
	return p, ok
}

// number reads decimal digits without turning them into a string first.
func number(digits []byte) (uint64, bool) {
	if len(digits) == 0 || len(digits) > 18 {
		return 0, string(digits) == "18446744073709551615"
	}
	var n uint64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	return n, true
}

// processorTime is each process's share of one core between the readings.
func processorTime(s span[[]process]) map[int]float64 {
	used := make(map[int]float64, len(s.after.values))
	for _, now := range s.after.values {
		before, found := byPID(s.before.values, now.pid)
		if !found || before.started != now.started {
			before = process{} // it began in between: all it used was used since
		}
		used[now.pid] = share(grown(before.ticks, now.ticks)/ticksPerSecond, s.seconds())
	}
	return used
}

// ticksPerSecond is USER_HZ, 100 on every architecture Linux runs on today.
const ticksPerSecond = 100

// sortedBy is the first n by an order, then by pid.
func sortedBy(all []process, less func(a, b process) int, n int) []process {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b process) int { return cmp.Or(less(a, b), cmp.Compare(a.pid, b.pid)) })
	return sorted[:min(n, len(sorted))]
}
