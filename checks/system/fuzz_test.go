package system

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// seed adds the calm host's files, so that fuzzing starts from what the kernel writes.
func seed(f *testing.F, files ...string) {
	f.Helper()
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join("testdata/calm", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(content))
	}
}

func FuzzStat(f *testing.F) {
	seed(f, "proc/stat")
	f.Add("cpu 1 1 1 1\ncpu0 1 1 1 1\n")
	f.Fuzz(func(t *testing.T, content string) {
		s, err := parseStat("stat", content)
		if err != nil {
			return
		}
		if len(s.cores) == 0 {
			t.Error("no processor and no error")
		}
		for _, p := range []spent{spentBetween(cpuTicks{}, s.all), spentBetween(s.all, s.cores[0])} {
			for _, share := range []float64{p.busy, p.user, p.system, p.iowait, p.steal} {
				if !(share >= 0 && share <= 100.0001) {
					t.Errorf("a share of %v", share)
				}
			}
		}
	})
}

func FuzzMounts(f *testing.F) {
	seed(f, "proc/self/mountinfo")
	f.Fuzz(func(t *testing.T, content string) {
		table, err := parseMounts("mountinfo", content)
		if err == nil && len(table) == 0 {
			t.Error("no mount and no error")
		}
		once(visible(table))
		holding(table, "/var/log")
	})
}

func FuzzDiskstats(f *testing.F) {
	seed(f, "proc/diskstats")
	f.Fuzz(func(t *testing.T, content string) {
		disks, err := parseDiskstats("diskstats", content)
		if err != nil {
			return
		}
		for _, c := range disks {
			if r := diskRates(diskCounters{}, c, 1); math.IsNaN(r.busy) || r.busy > 100 || r.latency < 0 && c.readMs < math.MaxInt32 {
				t.Errorf("%+v gives %+v", c, r)
			}
		}
	})
}

func FuzzNet(f *testing.F) {
	seed(f, "proc/net/dev", "proc/net/snmp", "proc/net/netstat")
	f.Fuzz(func(t *testing.T, content string) {
		if all, err := parseNetDev("dev", content); err == nil && len(all) == 0 {
			t.Error("no interface and no error")
		}
		parseProtocol(content, "Tcp:")
	})
}

func FuzzPressure(f *testing.F) {
	seed(f, "proc/pressure/io")
	f.Fuzz(func(t *testing.T, content string) {
		lines, err := parsePressure("io", content)
		for kind, p := range lines {
			if err == nil && !(p.avg10 >= 0 && p.avg10 <= 100 && p.avg60 >= 0 && p.avg60 <= 100) {
				t.Errorf("%s is %+v", kind, p)
			}
		}
	})
}

func FuzzProcess(f *testing.F) {
	seed(f, "proc/1/stat", "proc/400/stat", "proc/401/stat")
	f.Add("7 (a) b) (c) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 1 1 1 1")
	f.Fuzz(func(t *testing.T, content string) {
		p, ok := parseProcess([]byte(content))
		if ok && (p.pid <= 0 || p.state == 0) {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzSmallFiles(f *testing.F) {
	seed(f, "proc/loadavg", "proc/uptime", "proc/sys/fs/file-nr", "proc/vmstat", "proc/self/cgroup", "etc/fstab", "etc/passwd", "proc/1/status")
	f.Add("max 100000")
	f.Add("50000 100000")
	f.Fuzz(func(t *testing.T, content string) {
		if l, err := parseLoadavg("loadavg", content); err == nil && !(l.loads[0] >= 0) {
			t.Errorf("a load of %v", l.loads[0])
		}
		if up, err := parseUptime("uptime", []byte(content)); err == nil && up < 0 {
			t.Errorf("up %v", up)
		}
		if files, err := parseFileNr("file-nr", content); err == nil && !(files >= 0) {
			t.Errorf("files %v", files)
		}
		if _, err := parseVMStat("vmstat", content); err == nil {
			if _, ok := keyedValue(content, "nr_free_pages"); !ok {
				t.Error("a vmstat without pages")
			}
		}
		if quota, period, err := parseCPUMax("cpu.max", content); err == nil && quota > 0 && math.IsNaN(float64(quota)/float64(period)) {
			t.Errorf("%d of %d", quota, period)
		}
		parseCgroups(content)
		parseFstab(content)
		parsePasswd(content)
		parseUID(content)
	})
}
