package system

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

// A cgroup is a directory of a cgroup file system with its version. The zero
// cgroup limits nothing.
type cgroup struct {
	dir     string // below the root, "" if there is none
	version int
}

// notLimited is the least number that cgroup version 1 writes for "no limit":
// the largest int64, rounded down to a page.
const notLimited = 1<<63 - 1<<16

// container returns the cgroup whose limit on the controller ("cpu", "memory")
// this process's container lives under. On a host it finds none: the limits of
// the session or the service that opsdeck itself runs in say nothing about the
// host and are not looked at.
//
// A container sees its own cgroup where the file system is mounted, because
// the runtime gave it a cgroup namespace or mounted only its part. One that
// shares the host's namespace is known by the runtime's marker file, and its
// cgroup is found by its path.
func (h host) container(controller string) (cgroup, error) {
	content, err := h.read("proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return cgroup{}, nil // a kernel without cgroups
	}
	if err != nil {
		return cgroup{}, err
	}
	mounts, err := h.mounts()
	if err != nil {
		return cgroup{}, err
	}
	own := parseCgroups(string(content))
	for _, m := range mounts {
		if m.fstype == "cgroup" && slices.Contains(m.super, controller) {
			return h.below(m, own[controller], 1), nil
		}
	}
	for _, m := range mounts {
		if m.fstype == "cgroup2" {
			return h.below(m, own[""], 2), nil
		}
	}
	return cgroup{}, nil
}

// containerOf is container, looked up once for a check: a process does not
// move between containers, and the mount table of a container host is long.
func containerOf(env checks.Env, h host, controller string) (cgroup, error) {
	key := "cgroup/" + controller
	if known, ok := checks.Remembered[cgroup](env.Memory, key); ok {
		return known, nil
	}
	found, err := h.container(controller)
	if err == nil {
		checks.Remember(env.Memory, key, found)
	}
	return found, err
}

// below is the cgroup of the process under a mount of the hierarchy.
func (h host) below(m mount, own string, version int) cgroup {
	g := cgroup{m.point, version}
	if !h.marked() || strings.Contains(own, "..") {
		return g
	}
	if rest, ok := strings.CutPrefix(own, m.root); ok {
		g.dir = path.Join(m.point, rest)
	}
	return g
}

// marked reports whether a container runtime left its mark in the root.
func (h host) marked() bool {
	for _, name := range []string{".dockerenv", "run/.containerenv"} {
		if found, err := h.exists(name); err == nil && found {
			return true
		}
	}
	return false
}

// parseCgroups maps controllers to the process's path; "" is version 2.
func parseCgroups(content string) map[string]string {
	own := map[string]string{}
	for line := range strings.Lines(content) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			own[controller] = parts[2]
		}
	}
	return own
}

// cpuLimit is the number of cores the quota is worth; false if there is none.
func (h host) cpuLimit(g cgroup) (cores float64, limited bool, err error) {
	if g.dir == "" {
		return 0, false, nil
	}
	quota, period, err := h.cpuQuota(g)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil // the root of a hierarchy has no such file
	}
	if err != nil || quota == 0 || period == 0 {
		return 0, false, err
	}
	return float64(quota) / float64(period), true, nil
}

// cpuQuota is the processor time allowed in each period; 0 for no limit.
func (h host) cpuQuota(g cgroup) (quota, period uint64, err error) {
	if g.version == 1 {
		quota, _, err = h.number(path.Join(g.dir, "cpu.cfs_quota_us"))
		if err != nil {
			return 0, 0, err
		}
		period, _, err = h.number(path.Join(g.dir, "cpu.cfs_period_us"))
		return quota, period, err
	}
	name := path.Join(g.dir, "cpu.max")
	content, err := h.read(name)
	if err != nil {
		return 0, 0, err
	}
	return parseCPUMax(name, string(content))
}

func parseCPUMax(name, content string) (quota, period uint64, err error) {
	fields := strings.Fields(content)
	if len(fields) != 2 {
		return 0, 0, malformed(name, "%q is not quota and period", short(content))
	}
	if fields[0] == "max" {
		return 0, 0, nil
	}
	quota, errQuota := strconv.ParseUint(fields[0], 10, 63)
	period, errPeriod := strconv.ParseUint(fields[1], 10, 63)
	if err := errors.Join(errQuota, errPeriod); err != nil {
		return 0, 0, malformed(name, "%q is not quota and period", short(content))
	}
	return quota, period, nil
}

// cpuUsed is the processor time the cgroup has used since it was made.
func (h host) cpuUsed(g cgroup) (time.Duration, error) {
	if g.version == 1 {
		accounting, err := h.container("cpuacct")
		if err != nil {
			return 0, err
		}
		nanos, _, err := h.number(path.Join(accounting.dir, "cpuacct.usage"))
		return time.Duration(nanos), err
	}
	micros, err := h.keyed(path.Join(g.dir, "cpu.stat"), "usage_usec")
	return time.Duration(micros) * time.Microsecond, err
}

// memoryLimit is the cgroup's limit in bytes and what of it is used without
// the file cache that the kernel would give back; false if there is no limit.
func (h host) memoryLimit(g cgroup) (used, limit uint64, limited bool, err error) {
	if g.dir == "" {
		return 0, 0, false, nil
	}
	names := []string{"memory.max", "memory.current", "inactive_file"}
	if g.version == 1 {
		names = []string{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	}
	limit, limited, err = h.number(path.Join(g.dir, names[0]))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, false, nil // the root of a hierarchy has no such file
	}
	if err != nil || !limited || limit >= notLimited {
		return 0, 0, false, err
	}
	used, _, err = h.number(path.Join(g.dir, names[1]))
	if err != nil {
		return 0, 0, false, err
	}
	cache, err := h.keyed(path.Join(g.dir, "memory.stat"), names[2])
	if err != nil {
		return 0, 0, false, err
	}
	return used - min(cache, used), limit, true, nil
}

// keyed reads the value of a key of a file of "key value" lines.
func (h host) keyed(name, key string) (uint64, error) {
	content, err := h.read(name)
	if err != nil {
		return 0, err
	}
	n, ok := keyedValue(string(content), key)
	if !ok {
		return 0, malformed(name, "no %s in it", key)
	}
	return n, nil
}

func keyedValue(content, key string) (uint64, bool) {
	for line := range strings.Lines(content) {
		if name, value, _ := strings.Cut(line, " "); name == key {
			return wholeNumber[uint64](value)
		}
	}
	return 0, false
}
