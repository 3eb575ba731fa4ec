// Package system finds out how the host is: processor, memory, disks, network,
// pressure, processes, uptime. It reads /proc, /sys and cgroup files and asks
// the kernel for file system sizes; it starts no command.
//
// Everything is read under Env.Root, so a fixture stands for a host. Inside a
// container the limits of its cgroup (version 1 or 2) are the measure, not the
// machine's size. gopsutil reads /proc/meminfo, with its estimate for kernels
// that do not say what is available; the other files are read here, because
// there gopsutil turns an unreadable file into zeros, falls back from the given
// root to the running host, or opens several files for each device or process.
//
// Read files.go and rates.go first, then any module: one a file. The package
// must not know rules, runbooks or screens, and it never reads a process's
// environment.
package system

import "github.com/advanced-lms/opsdeck/checks"

var modules []*checks.Module

func module(m checks.Module) *checks.Module {
	m.Reach = checks.Local
	modules = append(modules, &m)
	return &m
}

// Family is what main joins.
func Family() checks.Family {
	return checks.Family{
		Name:    "system",
		Doc:     "The host itself: processor, memory, disks, network, pressure, processes, uptime",
		Modules: modules,
	}
}
