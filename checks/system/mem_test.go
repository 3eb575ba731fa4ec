package system

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/advanced-lms/opsdeck/checks"
)

func available(kib string) func(tree) {
	return func(tr tree) { tr.replace("proc/meminfo", "MemAvailable:   10000000 kB", "MemAvailable: "+kib+" kB") }
}

func TestMem(t *testing.T) {
	tests := []struct {
		name    string
		change  func(tree)
		level   checks.Level
		because string
	}{
		{"calm", unchanged, checks.OK, ""},
		{"cache is not use", func(tr tree) { tr.replace("proc/meminfo", "MemFree:          400000", "MemFree:            1000") }, checks.OK, ""},
		{"exactly the guide's 80 % passes", available("3200000"), checks.OK, ""},
		{"tight", available("3000000"), checks.Warn, "used"},
		{"full", available("600000"), checks.Crit, "used"},
		{"swapping in", func(tr tree) { tr.replace("proc/vmstat", "pswpin 50", "pswpin 1050") }, checks.Warn, "swap_in"},
		{"swapping out", func(tr tree) { tr.replace("proc/vmstat", "pswpout 70", "pswpout 1070") }, checks.Warn, "swap_out"},
		{"a process was killed", func(tr tree) { tr.replace("proc/vmstat", "oom_kill 3", "oom_kill 4") }, checks.Warn, "oom_kills"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { judged(t, after(t, Mem, nil, tt.change), tt.level, tt.because) })
	}
}

func TestSwapTrafficIsPerSecond(t *testing.T) {
	res := after(t, Mem, nil, func(tr tree) { tr.replace("proc/vmstat", "pswpin 50", "pswpin 1050") })
	near(t, res, "swap_in", "", 20)
	near(t, res, "swap_used", "", 5)
	near(t, res, "used", "", 37.5)
}

func TestKillsOfBeforeWatchingBeganDoNotWarnAndOldOnesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := calm(t)
		w := watch(t, checks.Env{Root: tr.dir}, Mem, nil)
		res := w.run()
		judged(t, res, checks.OK, "")
		near(t, res, "oom_kills_total", "", 3)
		tr.replace("proc/vmstat", "oom_kill 3", "oom_kill 5")
		for minute := range 75 {
			time.Sleep(time.Minute)
			res = w.run()
			if minute == 5 {
				judged(t, res, checks.Warn, "oom_kills")
				near(t, res, "oom_kills", "", 2)
			}
		}
		judged(t, res, checks.OK, "")
	})
}

func TestInsideAContainerTheMemoryLimitIsTheMeasure(t *testing.T) {
	tests := []struct {
		name  string
		mount string
		files map[string]string
		used  float64
		level checks.Level
	}{
		{"version 2", version2, map[string]string{"memory.max": "1073741824\n", "memory.current": "1073741824\n", "memory.stat": "anon 5\ninactive_file 107374182\n"}, 90, checks.Warn},
		{"version 1", version1, map[string]string{"memory/memory.limit_in_bytes": "1073741824\n", "memory/memory.usage_in_bytes": "1052266987\n", "memory/memory.stat": "cache 5\ntotal_inactive_file 0\n"}, 98, checks.Crit},
		{"none, version 2", version2, map[string]string{"memory.max": "max\n"}, 37.5, checks.OK},
		{"none, version 1", version1, map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 37.5, checks.OK},
		{"above the machine", version2, map[string]string{"memory.max": "107374182400\n", "memory.current": "1\n", "memory.stat": "inactive_file 0\n"}, 37.5, checks.OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := now(t, Mem, nil, inContainer(tt.mount, tt.files))
			judged(t, res, tt.level, "")
			near(t, res, "used", "", tt.used)
		})
	}
}

func TestOnAKernelThatDoesNotCountThereIsNoFact(t *testing.T) {
	res := after(t, Mem, nil, func(tr tree) { tr.write("proc/vmstat", "nr_free_pages 1\n") })
	judged(t, res, checks.OK, "")
	for _, name := range []string{"swap_in", "swap_out", "oom_kills", "oom_kills_total"} {
		if f, ok := res.Fact(name, ""); ok {
			t.Errorf("%s is %v", name, f.Value)
		}
	}
}
