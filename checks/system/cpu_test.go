package system

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func mkfifo(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

// ticks is a /proc/stat of two cores that went on from the calm one by these
// ticks on the first core and none on the second, which idled as long.
func ticks(user, system, idle, iowait, steal int) func(tree) {
	return func(tr tree) {
		first := fmt.Sprintf("%d 100 %d %d %d 50 75 %d 0 0", 5000+user, 2500+system, 42000+idle, 250+iowait, 25+steal)
		total := user + system + idle + iowait + steal
		second := fmt.Sprintf("5000 100 2500 %d 250 50 75 25 0 0", 42000+total)
		all := fmt.Sprintf("%d 200 %d %d %d 100 150 %d 0 0", 10000+user, 5000+system, 84000+idle+total, 500+iowait, 50+steal)
		tr.write("proc/stat", "cpu  "+all+"\ncpu0 "+first+"\ncpu1 "+second+"\nbtime 1795444396\nprocs_running 2\nprocs_blocked 0\n")
	}
}

// both is a /proc/stat in which both cores did the same.
func both(user, system, idle, iowait, steal int) func(tree) {
	return func(tr tree) {
		core := fmt.Sprintf("%d 100 %d %d %d 50 75 %d 0 0", 5000+user, 2500+system, 42000+idle, 250+iowait, 25+steal)
		all := fmt.Sprintf("%d 200 %d %d %d 100 150 %d 0 0", 10000+2*user, 5000+2*system, 84000+2*idle, 500+2*iowait, 50+2*steal)
		tr.write("proc/stat", "cpu  "+all+"\ncpu0 "+core+"\ncpu1 "+core+"\nbtime 1795444396\nprocs_running 5\nprocs_blocked 1\n")
	}
}

func TestCPU(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		level   checks.Level
		because string
	}{
		{"calm", both(500, 200, 4300, 0, 0), checks.OK, ""},
		{"busy", both(3000, 700, 1300, 0, 0), checks.Warn, "busy"},
		{"exactly the guide's 70 % passes", both(3000, 500, 1500, 0, 0), checks.OK, ""},
		{"sustained", both(4000, 700, 300, 0, 0), checks.Crit, "busy"},
		{"waiting for a disk", both(100, 100, 3000, 1800, 0), checks.Warn, "iowait"},
		{"stolen", both(100, 100, 3300, 0, 1500), checks.Crit, "steal"},
		{"load", func(tr tree) { both(100, 100, 4800, 0, 0)(tr); tr.write("proc/loadavg", "9.1 8.7 4.5 2/114 1\n") }, checks.Warn, "load_per_core"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { judged(t, after(t, CPU, nil, tt.change), tt.level, tt.because) })
	}
}

func TestCPUFiguresAddUp(t *testing.T) {
	res := after(t, CPU, nil, ticks(3000, 1000, 500, 300, 200))
	near(t, res, "busy", "", 40)
	near(t, res, "user", "", 30)
	near(t, res, "system", "", 10)
	near(t, res, "iowait", "", 3)
	near(t, res, "steal", "", 2)
	near(t, res, "hottest", "", 80)
	near(t, res, "measured", "", 50_500)
	near(t, res, "load_per_core", "", 0.105)
}

func TestABurstOfHalfASecondIsNotSustained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		go func() {
			time.Sleep(250 * time.Millisecond)
			both(49, 1, 0, 0, 0)(tr)
		}()
		res := watch(t, checks.Env{Root: tr.dir}, CPU, nil).run()
		judged(t, res, checks.Warn, "busy")
		near(t, res, "busy", "", 100)
		near(t, res, "measured", "", 500)
	})
}

func TestTheMeanIsOverTheWindowHoweverOftenItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		w := watch(t, checks.Env{Root: tr.dir}, CPU, map[string]any{"window": "60s"})
		w.run()
		busy := 0
		for second := 1; second <= 300; second++ {
			time.Sleep(time.Second)
			if second > 270 {
				busy++ // busy for the last half minute, idle before
			}
			both(100*busy, 0, 100*(second-busy), 0, 0)(tr)
			res := w.run()
			if second == 300 {
				near(t, res, "measured", "", 60_000)
				near(t, res, "busy", "", 50)
			}
		}
	})
}

func TestReadingsOfLongAgoAreNotAveraged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		w := watch(t, checks.Env{Root: tr.dir}, CPU, map[string]any{"window": "1h"})
		w.run()
		time.Sleep(10 * time.Minute)
		near(t, w.run(), "measured", "", 500)
	})
}

func TestASampleFitsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, checks.Env{Root: calm(t).dir}, CPU, map[string]any{"sample": "1m"})
		w.check.Timeout = 4 * time.Second
		near(t, w.run(), "measured", "", 3000)
	})
}

// inContainer makes the tree a container with these files in its cgroup.
func inContainer(mountinfo string, files map[string]string) func(tree) {
	return func(tr tree) {
		tr.replace("proc/self/mountinfo", "26 23 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", mountinfo)
		for name, content := range files {
			tr.write("sys/fs/cgroup/"+name, content)
		}
	}
}

const (
	version2 = "26 23 0:38 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
	version1 = "26 23 0:38 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid - cgroup cgroup rw,cpu,cpuacct\n" +
		"27 23 0:39 /docker/abc /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n"
)

func TestInsideAContainerTheQuotaIsTheMeasure(t *testing.T) {
	tests := []struct {
		name    string
		mount   string
		files   map[string]string
		used    string // the file that counts, after the busy time
		grown   string
		busy    float64
		limited bool
	}{
		{"version 2", version2, map[string]string{"cpu.max": "50000 100000\n", "cpu.stat": "usage_usec 1000000\nuser_usec 1\n"},
			"cpu.stat", "usage_usec 21200000\n", 80, true},
		{"version 1", version1, map[string]string{"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n", "cpu,cpuacct/cpuacct.usage": "1000000000\n"},
			"cpu,cpuacct/cpuacct.usage", "21200000000\n", 80, true},
		{"no quota, version 2", version2, map[string]string{"cpu.max": "max 100000\n", "cpu.stat": "usage_usec 1\n"}, "cpu.stat", "usage_usec 1\n", 4, false},
		{"no quota, version 1", version1, map[string]string{"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, "x", "", 4, false},
		{"a quota above the machine", version2, map[string]string{"cpu.max": "900000 100000\n", "cpu.stat": "usage_usec 1\n"}, "cpu.stat", "usage_usec 1\n", 4, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := calm(t)
				inContainer(tt.mount, tt.files)(tr)
				w := watch(t, checks.Env{Root: tr.dir}, CPU, nil)
				w.run()
				time.Sleep(50 * time.Second)
				both(100, 100, 4800, 0, 0)(tr)
				tr.write("sys/fs/cgroup/"+tt.used, tt.grown)
				res := w.run()
				near(t, res, "busy", "", tt.busy)
				if _, limited := res.Fact("limit_cores", ""); limited != tt.limited {
					t.Errorf("a limit is reported: %v", limited)
				}
			})
		})
	}
}

func TestAContainerInTheHostsNamespaceIsFoundByItsMark(t *testing.T) {
	res := now(t, Mem, nil, func(tr tree) {
		tr.write(".dockerenv", "")
		tr.write("proc/self/cgroup", "0::/system.slice/docker-abc.scope\n")
		tr.write("sys/fs/cgroup/system.slice/docker-abc.scope/memory.max", "1073741824\n")
		tr.write("sys/fs/cgroup/system.slice/docker-abc.scope/memory.current", "536870912\n")
		tr.write("sys/fs/cgroup/system.slice/docker-abc.scope/memory.stat", "anon 1\ninactive_file 0\n")
	})
	near(t, res, "used", "", 50)
}

func TestOnAHostTheLimitsOfItsOwnSessionAreNotTheHosts(t *testing.T) {
	res := now(t, Mem, nil, func(tr tree) {
		dir := "sys/fs/cgroup/user.slice/user-1000.slice/session-4.scope/"
		tr.write(dir+"memory.max", "1048576\n")
		tr.write(dir+"memory.current", "1048576\n")
	})
	near(t, res, "used", "", 37.5)
	if _, limited := res.Fact("limit", ""); limited {
		t.Error("the session's limit is taken for the host's")
	}
}

func TestALimitThatCannotBeReadIsUnknown(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"nonsense":  {"cpu.max": "lots\n", "memory.max": "lots\n"},
		"half read": {"cpu.max": "1 100\n", "memory.max": "1048576\n"},
	} {
		for _, m := range []*checks.Module{CPU, Mem} {
			res := now(t, m, nil, inContainer(version2, files))
			if res.Level != checks.Unknown {
				t.Errorf("%s: %s is %v", name, m.Name, res.Level)
			}
		}
	}
}
