package system

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// unreal are types of file systems that hold no data of anybody's, or that are
// read-only and full by design.
var unreal = []string{
	"autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
	"efivarfs", "erofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse", "fusectl", "hugetlbfs",
	"iso9660", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs", "rootfs", "rpc_pipefs", "securityfs",
	"selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs", "udf",
}

// handed are files that container runtimes mount into a container from a host's disk.
var handed = []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"}

// real reports whether a mount is looked at when none is named. An overlay is
// a view of another file system, but it is all that a container sees of its root.
func (m mount) real() bool {
	if m.fstype == "overlay" {
		return m.point == "/"
	}
	return !slices.Contains(unreal, m.fstype) && !slices.Contains(handed, m.point)
}

// choose picks what to ask: the named paths, or every real file system once.
// Named paths that are not there come back as missing; of those below a mount
// that may hang, only the mount table is looked at.
func choose(h host, table []mount, named, exclude []string) (targets []asked, missing []string) {
	if len(named) == 0 {
		for _, m := range once(visible(table)) {
			if m.real() && !under(m.point, exclude) {
				targets = append(targets, asked{mount: m, label: m.point})
			}
		}
		return targets, nil
	}
	for _, name := range named {
		name = path.Clean("/" + name)
		m, ok := holding(table, name)
		if !ok || m.point != name && absent(h, name) {
			missing = append(missing, name)
			continue
		}
		targets = append(targets, asked{mount: m, label: name})
	}
	return targets, missing
}

func absent(h host, name string) bool {
	_, err := os.Lstat(h.path(name))
	return errors.Is(err, fs.ErrNotExist)
}

// under reports whether a path is one of the directories or below one.
func under(p string, dirs []string) bool {
	for _, dir := range dirs {
		dir = path.Clean("/" + dir)
		if p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") {
			return true
		}
	}
	return false
}

// visible keeps, of mounts stacked on one point, the last, which hides the others.
func visible(table []mount) []mount {
	var kept []mount
	for i, m := range table {
		if !slices.ContainsFunc(table[i+1:], func(later mount) bool { return later.point == m.point }) {
			kept = append(kept, m)
		}
	}
	return kept
}

// once keeps one mount of each file system: bind mounts show the same device
// again. The one that shows the whole file system wins, then the shortest path.
func once(table []mount) []mount {
	best := map[string]int{}
	for i, m := range table {
		known, ok := best[m.device]
		if !m.real() {
			continue
		}
		if !ok || plainer(m, table[known]) {
			best[m.device] = i
		}
	}
	var kept []mount
	for i, m := range table {
		if known, ok := best[m.device]; ok && known == i {
			kept = append(kept, m)
		}
	}
	return kept
}

func plainer(a, b mount) bool {
	if whole := a.root == "/"; whole != (b.root == "/") {
		return whole
	}
	return len(a.point) < len(b.point)
}

// holding is the visible mount that a path is on: the longest point above it.
func holding(table []mount, name string) (mount, bool) {
	var found mount
	for _, m := range visible(table) {
		if under(name, []string{m.point}) && len(m.point) >= len(found.point) {
			found = m
		}
	}
	return found, found.point != ""
}
